//! Frames with and without speech to turns, and to the steps that are theirs.
//!
//! Speech counts where it lasts [`CONFIRMED_FRAMES`]. When it does, a turn begins, with the segments of
//! the lead-in before it: there the sequence starts anew. It ends with a long enough silence, of which
//! the lead-out is its own. One with too little speech in it was a noise, and is none, and so is one
//! whose speech turns out to be a steady sound. All of this is
//! known when a segment is whole, so a live stream can follow; it keeps the lead-in's features for it.

use std::ops::Range;

use super::{STEADY_FRAMES, Sound};
use crate::frontend::SEGMENT_FRAMES;

/// Frames in a row without which speech does not count: 64 ms.
pub const CONFIRMED_FRAMES: usize = 8;
/// By so many frames the silence that ends a turn must be longer than the lead-out, so that the turn's
/// last segment is whole before the turn is over.
pub const ENDING_FRAMES: usize = SEGMENT_FRAMES - CONFIRMED_FRAMES;

/// What makes a turn; all in frames of 8 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Less speech than this is no turn.
    pub least_speech: usize,
    /// So much silence ends a turn; at least [`ENDING_FRAMES`] more than the lead-out.
    pub end_silence: usize,
    /// The first segment may start so long before the speech, but not in the turn before.
    pub lead_in: usize,
    /// Segments are a turn's that start so long after its speech.
    pub lead_out: usize,
}

/// What is known of a segment when it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// At least [`CONFIRMED_FRAMES`] of its frames hold speech.
    pub speech: bool,
    /// A turn begins, if there will be enough speech in it, with the step of this number in the lane:
    /// this one or one before. The sequence starts anew there.
    pub begins: Option<usize>,
}

/// A turn that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its steps, by their number in the lane.
    pub steps: Range<usize>,
    /// From its first frame of speech to behind its last.
    pub frames: Range<usize>,
}

/// Follows a lane: frame after frame, and each segment when it is whole.
#[derive(Clone, Debug)]
pub struct Tracker {
    rule: Rule,
    /// Frames from segment to segment.
    hop: usize,
    frames: usize,
    steps: usize,
    /// Steps up to the end of the turn before.
    over: usize,
    /// Frames of speech without a gap until now.
    run: usize,
    /// The newest frames' speech, one bit each.
    recent: u128,
    current: Option<Current>,
}

/// The newest frames, about which a steady one may change the detector's mind.
const DOUBTFUL: u128 = u128::MAX >> (u128::BITS as usize - DOUBTFUL_FRAMES);
const DOUBTFUL_FRAMES: usize = STEADY_FRAMES + 1;

/// A turn that has not ended.
#[derive(Clone, Debug)]
struct Current {
    turn: Turn,
    /// Frames that hold speech.
    speech: usize,
    /// Those of them that are among the newest, one bit each.
    recent: u128,
    /// Behind the last of them that is not among the [`DOUBTFUL`] any more.
    certain_end: usize,
}

impl Tracker {
    /// A tracker at the start of a lane with so many frames from segment to segment, at least one.
    #[must_use]
    pub fn new(rule: Rule, hop: usize) -> Self {
        Self {
            rule,
            hop: hop.max(1),
            frames: 0,
            steps: 0,
            over: 0,
            run: 0,
            recent: 0,
            current: None,
        }
    }

    /// The next frame holds this. Gives the turn that it ends.
    pub fn frame(&mut self, sound: Sound) -> Option<Turn> {
        let speech = sound == Sound::Speech;
        self.frames += 1;
        self.recent = self.recent << 1 | u128::from(speech);
        self.run = if speech { self.run + 1 } else { 0 };
        if let Some(current) = &mut self.current {
            current.advance(self.frames);
        }
        if sound == Sound::Steady {
            self.take_back();
        }
        if self.run >= CONFIRMED_FRAMES {
            self.speak();
            return None;
        }
        // A run that is not confirmed yet is no silence either.
        let silence = |turn: &Turn| self.frames - self.run - turn.frames.end;
        match &self.current {
            Some(current) if silence(&current.turn) >= self.rule.end_silence => self.end(),
            _ => None,
        }
    }

    /// The last 32 frames are a segment.
    pub fn segment(&mut self) -> Step {
        let start = self.frames.saturating_sub(SEGMENT_FRAMES);
        let heard = self.recent & (u128::MAX >> (u128::BITS as usize - SEGMENT_FRAMES));
        let mut step = Step {
            speech: heard.count_ones() as usize >= CONFIRMED_FRAMES,
            begins: None,
        };
        if let Some(Current { turn, .. }) = &mut self.current {
            if turn.steps.is_empty() {
                let earliest = turn.frames.start.saturating_sub(self.rule.lead_in);
                let first = earliest.div_ceil(self.hop).max(self.over);
                if first <= self.steps {
                    step.begins = Some(first);
                    turn.steps = first..self.steps + 1;
                }
            } else if start + CONFIRMED_FRAMES <= turn.frames.end + self.rule.lead_out {
                turn.steps.end = self.steps + 1;
            }
        }
        self.steps += 1;
        step
    }

    /// The lane is over. Gives the turn that it ends.
    #[must_use]
    pub fn finish(mut self) -> Option<Turn> {
        self.end()
    }

    fn speak(&mut self) {
        let first = self.frames - self.run;
        let current = self.current.get_or_insert(Current {
            turn: Turn {
                steps: 0..0,
                frames: first..first,
            },
            speech: 0,
            recent: 0,
            certain_end: first,
        });
        // What came before the run was confirmed counts as well.
        let new = match self.run {
            CONFIRMED_FRAMES => CONFIRMED_FRAMES,
            _ => 1,
        };
        current.speech += new;
        current.recent |= (1 << new) - 1;
        current.turn.frames.end = self.frames;
    }

    /// None of the doubtful frames holds speech.
    fn take_back(&mut self) {
        self.recent &= !DOUBTFUL;
        let Some(mut current) = self.current.take() else {
            return;
        };
        current.speech -= (current.recent & DOUBTFUL).count_ones() as usize;
        current.recent &= !DOUBTFUL;
        if current.speech == 0 {
            return;
        }
        let turn = &mut current.turn;
        turn.frames.end = current.certain_end;
        let last =
            (turn.frames.end + self.rule.lead_out).saturating_sub(CONFIRMED_FRAMES) / self.hop;
        turn.steps.end = turn.steps.end.min(last.max(turn.steps.start) + 1);
        self.current = Some(current);
    }

    fn end(&mut self) -> Option<Turn> {
        let Current { turn, speech, .. } = self.current.take()?;
        if turn.steps.is_empty() {
            return None;
        }
        self.over = turn.steps.end;
        (speech >= self.rule.least_speech).then_some(turn)
    }
}

impl Current {
    /// So many frames of the lane have been.
    fn advance(&mut self, frames: usize) {
        self.recent <<= 1;
        if self.recent >> DOUBTFUL_FRAMES & 1 == 1 {
            self.certain_end = frames - DOUBTFUL_FRAMES;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule {
        least_speech: 25,
        end_silence: 100,
        lead_in: 23,
        lead_out: 0,
    };

    /// Steps and turns of a lane that speaks where it is told, in segments every `hop` frames.
    fn follow(rule: Rule, frames: &[bool], hop: usize) -> (Vec<Step>, Vec<Turn>) {
        let sound = |speech: &bool| match speech {
            true => Sound::Speech,
            false => Sound::Silence,
        };
        follow_sounds(rule, &frames.iter().map(sound).collect::<Vec<_>>(), hop)
    }

    fn follow_sounds(rule: Rule, sounds: &[Sound], hop: usize) -> (Vec<Step>, Vec<Turn>) {
        let mut tracker = Tracker::new(rule, hop);
        let (mut steps, mut turns) = (Vec::new(), Vec::new());
        for (number, sound) in sounds.iter().enumerate() {
            turns.extend(tracker.frame(*sound));
            let whole = (number + 1).checked_sub(SEGMENT_FRAMES);
            if whole.is_some_and(|start| start.is_multiple_of(hop)) {
                steps.push(tracker.segment());
            }
        }
        turns.extend(tracker.finish());
        (steps, turns)
    }

    fn lane(frames: usize, spoken: &[Range<usize>]) -> Vec<bool> {
        (0..frames)
            .map(|frame| spoken.iter().any(|range| range.contains(&frame)))
            .collect()
    }

    #[test]
    fn a_turn_is_the_steps_with_its_speech_and_a_lead_in() {
        let (steps, turns) = follow(RULE, &lane(1_000, &[200..400, 450..500, 700..800]), 16);
        // Step 12 starts at 192 and step 11 at 176, a frame before the lead-in.
        // Step 30 starts at 480 and has 20 frames of the first turn's speech, step 31 has four.
        assert_eq!(turns[0].steps, 12..31);
        assert_eq!(turns[0].frames, 200..500);
        assert_eq!(turns[1].steps, 43..50);
        assert_eq!(turns.len(), 2);
        assert_eq!((steps[12].begins, steps[43].begins), (Some(12), Some(43)));
    }

    #[test]
    fn the_silence_that_ends_a_turn_may_be_one_frame_longer_but_not_shorter() {
        for (gap, turns) in [(99, 1), (100, 2)] {
            let frames = lane(600, &[100..200, 200 + gap..400]);
            assert_eq!(follow(RULE, &frames, 16).1.len(), turns, "{gap}");
        }
    }

    #[test]
    fn clicks_and_noises_are_no_turn() {
        for (spoken, turns) in [(7, 0), (24, 0), (25, 1)] {
            let frames: Vec<bool> = (0..300).map(|frame| frame < spoken).collect();
            assert_eq!(follow(RULE, &frames, 16).1.len(), turns, "{spoken}");
        }
        let clicks: Vec<bool> = (0..2_000).map(|frame| frame % 20 < 7).collect();
        assert_eq!(follow(RULE, &clicks, 16).1, []);
    }

    #[test]
    fn lead_in_and_lead_out_are_silence_around_a_turn_and_never_steps_of_another() {
        let rule = Rule {
            lead_in: 60,
            lead_out: 60,
            ..RULE
        };
        let frames = lane(1_000, &[200..400, 505..600]);
        let (steps, turns) = follow(rule, &frames, 16);
        // Step 9 starts at 144, within 60 frames before the speech, and step 28 at 448, within 60 behind.
        assert_eq!(turns[0].steps, 9..29);
        // Step 28 lies in this one's lead-in as well.
        assert_eq!(turns[1].steps, 29..41);
        // Step 11 is whole at 208, when the first turn's speech is confirmed.
        assert_eq!(steps[11].begins, Some(9));
        assert_eq!(steps.iter().filter_map(|step| step.begins).count(), 2);
    }

    #[test]
    fn speech_from_the_first_frame_begins_with_the_first_step() {
        let (steps, turns) = follow(RULE, &[true; 64], 16);
        assert_eq!((steps[0].begins, steps[0].speech), (Some(0), true));
        assert_eq!(turns[0].steps, 0..3);
        assert_eq!(turns[0].frames, 0..64);
    }

    #[test]
    fn a_steady_sound_is_no_turn_nor_the_end_of_one() {
        let sounds = |spoken: &[Range<usize>], steady: &[usize]| {
            let mut sounds: Vec<Sound> = lane(1_000, spoken)
                .iter()
                .map(|speech| match speech {
                    true => Sound::Speech,
                    false => Sound::Silence,
                })
                .collect();
            for frame in steady {
                sounds[*frame] = Sound::Steady;
            }
            follow_sounds(RULE, &sounds, 16)
        };
        let long = STEADY_FRAMES;
        let (steps, turns) = sounds(&[200..200 + long], &[200 + long]);
        assert_eq!(turns, []);
        // It has begun all the same, which nobody could know better.
        assert_eq!(steps[12].begins, Some(12));
        // A word, and a line that opens half a second behind it.
        let (word, noise) = (200..230, 280..280 + long);
        let (_, alone) = sounds(std::slice::from_ref(&word), &[]);
        let (_, both) = sounds(&[word, noise.clone()], &[noise.end]);
        assert_eq!(both, alone);
        // A click before that is not enough.
        assert_eq!(sounds(&[200..210, noise.clone()], &[noise.end]).1, []);
        // Who speaks then begins a turn of his own.
        let (_, after) = sounds(&[noise.clone(), 360..400], &[noise.end]);
        assert_eq!(after[0].frames, 360..400);
    }

    proptest! {
        #[test]
        fn turns_are_apart_in_order_and_begin_where_the_sequence_starts_anew(
            runs in prop::collection::vec((1..120usize, 1..200usize), 1..12),
            hop in 1..=SEGMENT_FRAMES,
            lead_in in 0..150usize,
            lead_out in 0..100usize,
            longer in ENDING_FRAMES..150usize,
        ) {
            let frames: Vec<bool> = runs
                .iter()
                .flat_map(|(silence, speech)| {
                    std::iter::repeat_n(false, *silence).chain(std::iter::repeat_n(true, *speech))
                })
                .collect();
            let end_silence = lead_out + longer;
            let rule = Rule { least_speech: 25, end_silence, lead_in, lead_out };
            let (steps, turns) = follow(rule, &frames, hop);
            for turn in &turns {
                let begins = steps.iter().filter_map(|step| step.begins);
                let inside: Vec<usize> = begins.filter(|step| turn.steps.contains(step)).collect();
                prop_assert_eq!(inside, [turn.steps.start]);
                prop_assert!(hop * turn.steps.start + lead_in >= turn.frames.start);
                let last = hop * (turn.steps.end - 1);
                prop_assert!(last < turn.frames.end + lead_out + SEGMENT_FRAMES);
                prop_assert!(turn.steps.end <= steps.len());
            }
            for pair in turns.windows(2) {
                prop_assert!(pair[0].steps.end <= pair[1].steps.start);
                prop_assert!(pair[0].frames.end + end_silence <= pair[1].frames.start);
            }
        }
    }
}
