//! The detector's result for one frame.

use super::recent::RECENT_FRAMES;

/// Largest number of frames before the newest that [`Sound::Steady`] can retract, 3 s. The turn tracker keeps that many
/// frames and the newest.
pub const MAX_RETRACTED_FRAMES: usize = RECENT_FRAMES - 1;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Noise, or digital silence.
    Silence,
    /// Speech.
    Speech,
    /// A sound that lasts and does not vary as speech does. This frame holds no speech. The stated number of frames
    /// before it hold none either, whatever their results were. The number is at most [`MAX_RETRACTED_FRAMES`]. It is 0
    /// for each further frame of a tone or music, because the frames before it were retracted already.
    Steady(usize),
}
