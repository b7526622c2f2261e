//! Raw frames to speech, and speech to turns: where somebody speaks, and which steps are a turn's.
//!
//! A [`Detector`] says of each frame whether it holds speech, a [`Tracker`] makes turns of that, while
//! they are heard: neither looks at what comes after. State is of fixed size. Knows the front end's frames and nothing else of
//! the house.

mod detector;
mod turns;

pub use detector::Detector;
pub use turns::{CONFIRMED_FRAMES, ENDING_FRAMES, Rule, Step, Tracker, Turn};
