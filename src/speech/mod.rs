//! Detection of speech and turns.
//!
//! Raw frames of the front end come in. A [`Detector`] returns the [`Sound`] of each frame. A [`TurnTracker`] makes
//! turns of the sounds, and states which segments (steps) belong to each turn. Both work while the audio arrives. They
//! wait for no later frame, except that the first 32 frames of a lane are decided together. The detector may retract its
//! newest results. Their state has a fixed size. This module
//! depends only on the front end. The decisions page has the reasons, under "Speech".

mod articulation;
mod bands;
mod detector;
mod loudness;
mod noise;
mod partials;
mod recent;
mod sound;
mod steadiness;
mod turns;

pub use detector::Detector;
pub use sound::{MAX_RETRACTED_FRAMES, Sound};
pub use turns::{
    CONFIRMED_FRAMES, DetectedStep, DetectedTurn, ENDING_FRAMES, LEAST_SPEECH_FRAMES, TurnRule,
    TurnTracker,
};
