//! Raw frames to speech, and speech to turns: where somebody speaks, and which steps are a turn's.
//!
//! A [`Detector`] says of each frame what [`Sound`] it holds, a [`TurnTracker`] makes turns of that, while
//! they are heard: neither looks at what comes after, but the detector may take back what it said last.
//! State is of fixed size. Knows the front end's frames and nothing else of the house.

mod articulation;
mod bands;
mod detector;
mod loudness;
mod noise;
mod partials;
mod recent;
mod steadiness;
mod turns;

pub use articulation::MOST_TAKEN_BACK;
pub use detector::Detector;
pub use turns::{
    CONFIRMED_FRAMES, DetectedStep, DetectedTurn, ENDING_FRAMES, LEAST_SPEECH_FRAMES, TurnRule,
    TurnTracker,
};

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Noise, or nothing.
    Silence,
    /// Somebody speaks.
    Speech,
    /// A sound that came and does not vary as speech does is none: neither is this frame, nor are so many before
    /// it, up to [`MOST_TAKEN_BACK`], whatever was said of them. A tone or music that goes on gives 0.
    Steady(usize),
}
