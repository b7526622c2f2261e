//! Detection of turns: the sound of each frame comes in, turns and the steps that belong to them go out.
//!
//! A turn begins when speech has lasted for [`CONFIRMED_FRAMES`]. The segments of the lead-in before the speech belong
//! to it, and the sequence starts anew with the first of them. A long enough silence ends the turn. The lead-out is the
//! part of that silence that belongs to the turn. A turn with too little speech is dropped as a noise. A turn is also
//! dropped if all its speech is retracted as a steady sound. Each result is available when a segment is complete, so a
//! live stream can use it if it keeps the features of the lead-in.

use std::ops::Range;

use super::recent::{RECENT_FRAMES, Recent};
use super::sound::Sound;
use crate::frontend::SEGMENT_FRAMES;

/// Speech counts once it has lasted for this many frames in a row: 64 ms. The earlier frames of that run count too.
pub const CONFIRMED_FRAMES: usize = 8;
/// Least number of frames by which the silence that ends a turn is longer than the lead-out: 200 ms. So the turn's last
/// segment is complete before the turn ends.
pub const ENDING_FRAMES: usize = SEGMENT_FRAMES - CONFIRMED_FRAMES + 1;

/// Smallest value of [`TurnRule::least_speech`]: 128 ms. So one of a turn's segments holds [`CONFIRMED_FRAMES`] of its
/// speech, wherever the segments begin.
pub const LEAST_SPEECH_FRAMES: usize = 2 * CONFIRMED_FRAMES;

/// The parameters of turn detection, in frames of 8 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnRule {
    /// Least speech of a turn; at least [`LEAST_SPEECH_FRAMES`].
    pub least_speech: usize,
    /// Silence that ends a turn; at least [`ENDING_FRAMES`] more than the lead-out.
    pub end_silence: usize,
    /// A turn's first segment starts at most this long before the turn's speech. It also starts neither in the turn
    /// before nor in a tone or music that lasts. Exception: the first segment that holds [`CONFIRMED_FRAMES`] of the
    /// speech always belongs to the turn, even if it starts earlier than that.
    pub lead_in: usize,
    /// Time after a turn's speech that counts as part of the turn. A segment belongs to the turn if at least
    /// [`CONFIRMED_FRAMES`] of it lie before the end of that time.
    pub lead_out: usize,
}

/// The result for a segment when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectedStep {
    /// Whether at least [`CONFIRMED_FRAMES`] of its frames hold speech. A steady sound retracts this; see
    /// [`TurnTracker::first_retracted_step`].
    pub speech: bool,
    /// If a turn begins: the number, in the lane, of its first step. That is the step just completed or an earlier step,
    /// but no earlier than the first step of any earlier turn. The sequence starts anew at the turn's first step.
    /// Whether the turn will be dropped is not known yet, so this also holds for turns that are dropped later. A live
    /// stream and a recording therefore have the same result for every step.
    pub begins: Option<usize>,
}

/// A turn that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedTurn {
    /// Numbers, in the lane, of its steps.
    pub steps: Range<usize>,
    /// Frames from its first to its last frame of speech.
    pub frames: Range<usize>,
}

/// Detects the turns of a lane.
///
/// The caller passes each frame to [`TurnTracker::frame`]. It calls [`TurnTracker::segment`] whenever a segment is
/// complete, and [`TurnTracker::finish`] at the end of the lane.
#[derive(Clone, Debug)]
pub struct TurnTracker {
    rule: TurnRule,
    /// Frames from the start of a segment to the start of the next.
    hop: usize,
    /// Number of frames of the lane.
    frames: usize,
    /// Number of steps of the lane.
    steps: usize,
    /// End of the steps of the turn before.
    taken_steps: usize,
    /// End of the last tone or music that lasted, in frames.
    tone_end: usize,
    /// Number of newest frames that hold speech without a gap.
    speech_run: usize,
    /// Which of the newest frames hold speech, confirmed or not.
    recent: Recent,
    /// The turn that has begun and not ended.
    open: Option<OpenTurn>,
}

/// A turn that has not ended.
#[derive(Clone, Debug)]
struct OpenTurn {
    /// The turn up to now. Its steps are empty until the first segment after the speech was confirmed.
    turn: DetectedTurn,
    /// Number of frames of confirmed speech.
    speech: usize,
    /// Which of the newest frames hold confirmed speech.
    recent: Recent,
    /// End of the speech that is too old to be retracted, in frames.
    final_end: usize,
}

impl TurnTracker {
    /// Returns a tracker at the start of a lane. `hop` is the number of frames from the start of a segment to the start
    /// of the next, at least 1.
    #[must_use]
    pub fn new(rule: TurnRule, hop: usize) -> Self {
        Self {
            rule,
            hop: hop.max(1),
            frames: 0,
            steps: 0,
            taken_steps: 0,
            tone_end: 0,
            speech_run: 0,
            recent: Recent::default(),
            open: None,
        }
    }

    /// Accepts the sound of the next frame. Returns the turn that ends with it.
    pub fn frame(&mut self, sound: Sound) -> Option<DetectedTurn> {
        let speech = sound == Sound::Speech;
        self.frames += 1;
        self.recent.push(speech);
        self.speech_run = if speech { self.speech_run + 1 } else { 0 };
        if let Some(open) = &mut self.open {
            open.advance(self.frames);
        }
        match sound {
            // The frames before were retracted when the sound was found.
            Sound::Steady(0) => self.tone_end = self.frames,
            Sound::Steady(before) => self.retract(before + 1),
            Sound::Silence | Sound::Speech => {}
        }
        if self.speech_run >= CONFIRMED_FRAMES {
            self.add_speech();
            return None;
        }
        // Speech that is not confirmed yet is not silence either.
        let silence = |turn: &DetectedTurn| self.frames - self.speech_run - turn.frames.end;
        match &self.open {
            Some(open) if silence(&open.turn) >= self.rule.end_silence => self.end_turn(),
            _ => None,
        }
    }

    /// Returns the first of the steps whose frames are all retracted, if the newest frame is [`Sound::Steady`] with
    /// `before` frames before it. That step and those after it hold no speech.
    #[must_use]
    pub fn first_retracted_step(&self, before: usize) -> usize {
        let first = self.frames.saturating_sub(before + 1);
        first.div_ceil(self.hop).min(self.steps)
    }

    /// Makes a step of the newest 32 frames, because they are a complete segment.
    pub fn segment(&mut self) -> DetectedStep {
        let start = self.frames.saturating_sub(SEGMENT_FRAMES);
        let mut step = DetectedStep {
            speech: self.recent.marked(SEGMENT_FRAMES) >= CONFIRMED_FRAMES,
            begins: None,
        };
        if let Some(OpenTurn { turn, .. }) = &mut self.open {
            if turn.steps.is_empty() {
                let lead_in = turn.frames.start.saturating_sub(self.rule.lead_in);
                let earliest = lead_in.max(self.tone_end.min(turn.frames.start));
                let first = earliest
                    .div_ceil(self.hop)
                    .clamp(self.taken_steps, self.steps);
                step.begins = Some(first);
                turn.steps = first..self.steps + 1;
            } else if start + CONFIRMED_FRAMES <= turn.frames.end + self.rule.lead_out {
                turn.steps.end = self.steps + 1;
            }
        }
        self.steps += 1;
        step
    }

    /// Ends the lane. Returns the turn that ends with it.
    #[must_use]
    pub fn finish(mut self) -> Option<DetectedTurn> {
        self.end_turn()
    }

    /// Adds the newest frame to the open turn, because it holds confirmed speech. Opens a turn if none is open.
    fn add_speech(&mut self) {
        let first = self.frames - self.speech_run;
        let open = self.open.get_or_insert(OpenTurn {
            turn: DetectedTurn {
                steps: 0..0,
                frames: first..first,
            },
            speech: 0,
            recent: Recent::default(),
            final_end: first,
        });
        // The frames from before the confirmation count as well.
        let new = match self.speech_run {
            CONFIRMED_FRAMES => CONFIRMED_FRAMES,
            _ => 1,
        };
        open.speech += new;
        open.recent.mark(new);
        open.turn.frames.end = self.frames;
    }

    /// Retracts the speech of the newest `frames` frames. Drops the open turn if no speech is left in it.
    fn retract(&mut self, frames: usize) {
        self.recent.unmark(frames);
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.speech -= open.recent.unmark(frames);
        if open.speech == 0 {
            return;
        }
        let since = open.recent.since_marked();
        open.turn.frames.end = since.map_or(open.final_end, |since| self.frames - since);
        let last = self.last_step(&open.turn);
        let steps = &mut open.turn.steps;
        steps.end = steps.end.min(last.max(steps.start) + 1);
        self.open = Some(open);
    }

    /// Ends the open turn. Returns it, unless it has too little speech.
    fn end_turn(&mut self) -> Option<DetectedTurn> {
        let open = self.open.take()?;
        let mut turn = open.turn;
        if turn.steps.is_empty() || open.speech < self.rule.least_speech {
            return None;
        }
        // Speech that was confirmed after the newest segment may add steps that are already complete.
        let complete = self.steps.min(self.last_step(&turn) + 1);
        turn.steps.end = turn.steps.end.max(complete);
        self.taken_steps = turn.steps.end;
        Some(turn)
    }

    /// Returns the last step that belongs to a turn. It need not be complete yet.
    fn last_step(&self, turn: &DetectedTurn) -> usize {
        (turn.frames.end + self.rule.lead_out).saturating_sub(CONFIRMED_FRAMES) / self.hop
    }
}

impl OpenTurn {
    /// Advances to a lane of `frames` frames.
    fn advance(&mut self, frames: usize) {
        if self.recent.push(false) {
            self.final_end = frames - RECENT_FRAMES;
        }
    }
}

#[cfg(test)]
mod tests;
