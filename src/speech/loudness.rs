//! How loud a lane's talker is: what is much softer is a breath, or somebody else.

use super::bands::{Levels, third};

/// Whatever lies this far (30 dB) below the loudest speech is not the talker's.
const RANGE: f32 = 7.0;
/// Speech is louder in a band or two than in the third by no more than this (17 dB). A tone is by far more, and is
/// as loud as that.
const TILT: f32 = 4.0;
/// How fast the loudest speech is taken back, in ln power a frame (1 dB a second), and forward.
const FALL: f32 = 0.002;
const RISE: f32 = 0.1;

/// Follows the loudest speech.
#[derive(Clone, Debug, Default)]
pub(super) struct Loudness {
    held: Option<Held>,
}

/// Ln power of the loudest band of speech.
#[derive(Clone, Copy, Debug)]
struct Held {
    most: f32,
    /// The same, as it was before the last pause.
    before: f32,
}

impl Loudness {
    /// A frame of these levels passes, with which something begins or not.
    pub(super) fn pass(&mut self, levels: &Levels, begins: bool) {
        let held = self.held.get_or_insert_with(|| {
            // What a lane starts with may be soft or a roar: both leave room for a talker.
            let most = of(levels) - RANGE;
            Held { most, before: most }
        });
        held.most -= FALL;
        held.before -= FALL;
        if begins {
            held.before = held.most;
        }
    }

    /// Whether a frame of these levels is loud enough to be the talker's.
    pub(super) fn near(&self, levels: &Levels) -> bool {
        self.held.is_none_or(|held| of(levels) > held.most - RANGE)
    }

    /// The frame that has passed is speech.
    pub(super) fn rise(&mut self, levels: &Levels) {
        if let Some(held) = &mut self.held {
            held.most += RISE * (of(levels) - held.most).max(0.0);
        }
    }

    /// What was heard since something began was no speech.
    pub(super) fn take_back(&mut self) {
        if let Some(held) = &mut self.held {
            held.most = held.before;
        }
    }
}

fn of(levels: &Levels) -> f32 {
    let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
    loudest.min(third(levels) + TILT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many frames of something that begins and is taken for speech, in all bands alike.
    fn speak(loudness: &mut Loudness, level: f32, frames: usize) {
        for frame in 0..frames {
            loudness.pass(&[level; _], frame == 0);
            loudness.rise(&[level; _]);
        }
    }

    #[test]
    fn what_was_no_speech_leaves_the_talker_as_loud_as_he_was() {
        let mut loudness = Loudness::default();
        speak(&mut loudness, -8.0, 100);
        let near = |loudness: &Loudness| [-14.0, -16.0].map(|level| loudness.near(&[level; _]));
        assert_eq!(near(&loudness), [true, false]);
        speak(&mut loudness, -2.0, 60);
        assert_eq!(near(&loudness), [false, false]);
        loudness.take_back();
        assert_eq!(near(&loudness), [true, false]);
    }
}
