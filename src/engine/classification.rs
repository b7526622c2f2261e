//! What an engine returns for a recording.

use std::time::Duration;

use crate::decision::{Prediction, Span};
use crate::scheduler::TimeSpent;

/// The predictions of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// Length of the audio.
    pub duration: Duration,
    /// One for each lane, in the order of the channels.
    pub lanes: Vec<Lane>,
    /// Whether part of the audio is missing or damaged;
    /// see [`Recording::truncated`](crate::audio::Recording::truncated).
    pub truncated: bool,
    /// Whether the audio changes its number of channels;
    /// see [`Recording::channels_changed`](crate::audio::Recording::channels_changed).
    pub channels_changed: bool,
    /// Whether the source was sampled at 8 kHz or less, so that the upper part of the model's band is empty.
    pub narrow_band: bool,
    /// Where the time went.
    pub timing: Timing,
}

/// The predictions of one lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The channel, counted from 0; 0 for a mix.
    pub index: usize,
    /// Prediction of the turns together. Turns that may be music are left out if another turn is clearly
    /// articulated. Without a turn it abstains.
    pub total: Prediction,
    /// Prediction of each turn, in order; empty if nobody speaks.
    pub turns: Vec<Span>,
    /// Prediction of each window; empty unless the request has a window.
    pub timeline: Vec<Span>,
}

/// Where the time of a request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Decoding and cutting into segments.
    pub decode: Duration,
    /// Waiting for batches and running in them, summed over the request's entries.
    pub spent: TimeSpent,
}
