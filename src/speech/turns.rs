//! Frames with and without speech to turns, and to the steps that are theirs.
//!
//! Speech counts where it lasts [`CONFIRMED_FRAMES`]. When it does, a turn begins, with the segments of
//! the lead-in before it: there the sequence starts anew. It ends with a long enough silence, of which
//! the lead-out is its own. One with too little speech in it was a noise, and is none, and so is one
//! whose speech turns out to be a steady sound. All of this is known when a segment is whole, so a live
//! stream can follow; it keeps the lead-in's features for it.

use std::ops::Range;

use super::Sound;
use super::recent::{KEPT, Recent};
use crate::frontend::SEGMENT_FRAMES;

/// Frames in a row without which speech does not count: 64 ms.
pub const CONFIRMED_FRAMES: usize = 8;
/// By so many frames the silence that ends a turn must be longer than the lead-out, so that the turn's
/// last segment is whole before the turn is over: 200 ms.
pub const ENDING_FRAMES: usize = SEGMENT_FRAMES - CONFIRMED_FRAMES + 1;

/// So much speech is at least needed for a turn, so that one of its segments holds
/// [`CONFIRMED_FRAMES`] of it, wherever segments lie: 128 ms.
pub const LEAST_SPEECH_FRAMES: usize = 2 * CONFIRMED_FRAMES;

/// What makes a turn; all in frames of 8 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnRule {
    /// Less speech than this is no turn; at least [`LEAST_SPEECH_FRAMES`].
    pub least_speech: usize,
    /// So much silence ends a turn; at least [`ENDING_FRAMES`] more than the lead-out.
    pub end_silence: usize,
    /// The first segment may start so long before the speech, but not in the turn before, nor in a tone or music that
    /// goes on. The first that holds [`CONFIRMED_FRAMES`] of it is a turn's however short this is.
    pub lead_in: usize,
    /// Segments are a turn's that start so long after its speech.
    pub lead_out: usize,
}

/// What is known of a segment when it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectedStep {
    /// At least [`CONFIRMED_FRAMES`] of its frames hold speech; see [`TurnTracker::first_doubtful`].
    pub speech: bool,
    /// A turn begins, if there will be enough speech in it, with the step of this number in the lane:
    /// this one or one before, never one before an earlier turn's first. The sequence starts anew there,
    /// also if the turn turns out to be none, which a live stream cannot know yet: so it and a recording
    /// agree on every step.
    pub begins: Option<usize>,
}

/// A turn that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedTurn {
    /// Its steps, by their number in the lane.
    pub steps: Range<usize>,
    /// From its first frame of speech to behind its last.
    pub frames: Range<usize>,
}

/// Follows a lane: frame after frame, and each segment when it is whole.
#[derive(Clone, Debug)]
pub struct TurnTracker {
    rule: TurnRule,
    /// Frames from segment to segment.
    hop: usize,
    frames: usize,
    steps: usize,
    /// Steps up to the end of the turn before.
    over: usize,
    /// Frames up to the end of the last tone or music that went on.
    tone_end: usize,
    /// Frames of speech without a gap until now.
    run: usize,
    /// Which of the newest frames hold speech.
    recent: Recent,
    current: Option<Current>,
}

/// A turn that has not ended.
#[derive(Clone, Debug)]
struct Current {
    turn: DetectedTurn,
    /// Frames that hold speech.
    speech: usize,
    /// Those of them that are among the newest.
    recent: Recent,
    /// Behind the last of them that is not among the newest any more.
    certain_end: usize,
}

impl TurnTracker {
    /// A tracker at the start of a lane with so many frames from segment to segment, at least one.
    #[must_use]
    pub fn new(rule: TurnRule, hop: usize) -> Self {
        Self {
            rule,
            hop: hop.max(1),
            frames: 0,
            steps: 0,
            over: 0,
            tone_end: 0,
            run: 0,
            recent: Recent::default(),
            current: None,
        }
    }

    /// The next frame holds this. Gives the turn that it ends.
    pub fn frame(&mut self, sound: Sound) -> Option<DetectedTurn> {
        let speech = sound == Sound::Speech;
        self.frames += 1;
        self.recent.push(speech);
        self.run = if speech { self.run + 1 } else { 0 };
        if let Some(current) = &mut self.current {
            current.advance(self.frames);
        }
        match sound {
            // What goes on was taken back when it was found.
            Sound::Steady(0) => self.tone_end = self.frames,
            Sound::Steady(before) => self.take_back(before + 1),
            Sound::Silence | Sound::Speech => {}
        }
        if self.run >= CONFIRMED_FRAMES {
            self.speak();
            return None;
        }
        // A run that is not confirmed yet is no silence either.
        let silence = |turn: &DetectedTurn| self.frames - self.run - turn.frames.end;
        match &self.current {
            Some(current) if silence(&current.turn) >= self.rule.end_silence => self.end(),
            _ => None,
        }
    }

    /// The first step that holds no speech, nor do those behind it, if the newest frame is
    /// [`Sound::Steady`] with so many before it: all of their frames are taken back.
    #[must_use]
    pub fn first_doubtful(&self, before: usize) -> usize {
        let first = self.frames.saturating_sub(before + 1);
        first.div_ceil(self.hop).min(self.steps)
    }

    /// The last 32 frames are a segment.
    pub fn segment(&mut self) -> DetectedStep {
        let start = self.frames.saturating_sub(SEGMENT_FRAMES);
        let mut step = DetectedStep {
            speech: self.recent.marked(SEGMENT_FRAMES) >= CONFIRMED_FRAMES,
            begins: None,
        };
        if let Some(Current { turn, .. }) = &mut self.current {
            if turn.steps.is_empty() {
                let lead_in = turn.frames.start.saturating_sub(self.rule.lead_in);
                let earliest = lead_in.max(self.tone_end.min(turn.frames.start));
                let first = earliest.div_ceil(self.hop).clamp(self.over, self.steps);
                step.begins = Some(first);
                turn.steps = first..self.steps + 1;
            } else if start + CONFIRMED_FRAMES <= turn.frames.end + self.rule.lead_out {
                turn.steps.end = self.steps + 1;
            }
        }
        self.steps += 1;
        step
    }

    /// The lane is over. Gives the turn that it ends.
    #[must_use]
    pub fn finish(mut self) -> Option<DetectedTurn> {
        self.end()
    }

    fn speak(&mut self) {
        let first = self.frames - self.run;
        let current = self.current.get_or_insert(Current {
            turn: DetectedTurn {
                steps: 0..0,
                frames: first..first,
            },
            speech: 0,
            recent: Recent::default(),
            certain_end: first,
        });
        // What came before the run was confirmed counts as well.
        let new = match self.run {
            CONFIRMED_FRAMES => CONFIRMED_FRAMES,
            _ => 1,
        };
        current.speech += new;
        current.recent.mark(new);
        current.turn.frames.end = self.frames;
    }

    /// None of so many newest frames holds speech.
    fn take_back(&mut self, frames: usize) {
        self.recent.unmark(frames);
        let Some(mut current) = self.current.take() else {
            return;
        };
        current.speech -= current.recent.unmark(frames);
        if current.speech == 0 {
            return;
        }
        let since = current.recent.since_marked();
        current.turn.frames.end = since.map_or(current.certain_end, |since| self.frames - since);
        let last = self.last_step(&current.turn);
        let steps = &mut current.turn.steps;
        steps.end = steps.end.min(last.max(steps.start) + 1);
        self.current = Some(current);
    }

    fn end(&mut self) -> Option<DetectedTurn> {
        let current = self.current.take()?;
        let mut turn = current.turn;
        if turn.steps.is_empty() || current.speech < self.rule.least_speech {
            return None;
        }
        // What was confirmed after the newest segment was whole makes segments before it the turn's.
        let whole = self.steps.min(self.last_step(&turn) + 1);
        turn.steps.end = turn.steps.end.max(whole);
        self.over = turn.steps.end;
        Some(turn)
    }

    /// The last step that is the turn's, once it is whole.
    fn last_step(&self, turn: &DetectedTurn) -> usize {
        (turn.frames.end + self.rule.lead_out).saturating_sub(CONFIRMED_FRAMES) / self.hop
    }
}

impl Current {
    /// So many frames of the lane have been.
    fn advance(&mut self, frames: usize) {
        if self.recent.push(false) {
            self.certain_end = frames - KEPT;
        }
    }
}

#[cfg(test)]
mod tests;
