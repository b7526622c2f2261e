//! The level of the loudest speech in a lane.
//!
//! A sound that is much softer is a breath, or the voice of somebody else. Band levels come in.

use super::bands::{Levels, third_loudest};

/// A sound this far below the loudest speech, in ln power (30 dB), is not the talker's.
const SPEECH_RANGE: f32 = 7.0;
/// Speech exceeds its third loudest band by at most this, in ln power (17 dB). A tone exceeds it by more, so only this
/// much of it counts.
const MAX_OVER_THIRD: f32 = 4.0;
/// Decay of the loudest level, in ln power a frame (1 dB a second).
const DECAY: f32 = 0.002;
/// A louder frame raises the loudest level by this part of the distance between the two, so one frame alone raises it
/// little.
const RISE_FRACTION: f32 = 0.1;

/// Tracks the level of the loudest speech.
#[derive(Clone, Debug, Default)]
pub(super) struct Loudness {
    /// `None` before the first frame.
    level: Option<SpeechLevel>,
}

/// Level of the loudest speech, in ln power.
#[derive(Clone, Copy, Debug)]
struct SpeechLevel {
    loudest: f32,
    /// The value of `loudest` from before the newest sound, with the decay since then.
    before: f32,
}

impl Loudness {
    /// Advances by a frame of these levels. `begins` states whether a sound begins with it.
    pub(super) fn advance(&mut self, levels: &Levels, begins: bool) {
        let level = self.level.get_or_insert_with(|| {
            // The first frame may be much softer or much louder than the talker. A talker down to twice the range below
            // it is loud enough.
            let loudest = speech_level(levels) - SPEECH_RANGE;
            SpeechLevel {
                loudest,
                before: loudest,
            }
        });
        level.loudest -= DECAY;
        level.before -= DECAY;
        if begins {
            level.before = level.loudest;
        }
    }

    /// Returns whether a frame of these levels is loud enough to be the talker's.
    pub(super) fn is_loud_enough(&self, levels: &Levels) -> bool {
        self.level
            .is_none_or(|level| speech_level(levels) > level.loudest - SPEECH_RANGE)
    }

    /// Raises the loudest level, because the newest frame, of these levels, is speech.
    pub(super) fn raise(&mut self, levels: &Levels) {
        if let Some(level) = &mut self.level {
            level.loudest += RISE_FRACTION * (speech_level(levels) - level.loudest).max(0.0);
        }
    }

    /// Restores the level from before the newest sound, because that sound was not speech.
    pub(super) fn restore(&mut self) {
        if let Some(level) = &mut self.level {
            level.loudest = level.before;
        }
    }
}

/// Returns the level of the loudest band, at most [`MAX_OVER_THIRD`] over the third loudest.
fn speech_level(levels: &Levels) -> f32 {
    let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
    loudest.min(third_loudest(levels) + MAX_OVER_THIRD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds frames of a sound with the same level in all bands, as speech.
    fn speak(loudness: &mut Loudness, level: f32, frames: usize) {
        for frame in 0..frames {
            loudness.advance(&[level; _], frame == 0);
            loudness.raise(&[level; _]);
        }
    }

    #[test]
    fn a_sound_that_was_not_speech_does_not_raise_the_loudest_level() {
        let mut loudness = Loudness::default();
        speak(&mut loudness, -8.0, 100);
        let loud_enough =
            |loudness: &Loudness| [-14.0, -16.0].map(|level| loudness.is_loud_enough(&[level; _]));
        assert_eq!(loud_enough(&loudness), [true, false]);
        speak(&mut loudness, -2.0, 60);
        assert_eq!(loud_enough(&loudness), [false, false]);
        loudness.restore();
        assert_eq!(loud_enough(&loudness), [true, false]);
    }
}
