//! What decoding and segmenting one recording needs, and what it finds out beside the segments.

use std::sync::Arc;
use std::time::Duration;

use super::turn_detection::TurnDetection;
use crate::audio::{Encoding, LaneChoice, Limits};
use crate::frontend::{Band, Spec};

/// How a recording is decoded and segmented.
#[derive(Debug)]
pub(super) struct SegmentationSettings {
    pub(super) encoding: Encoding,
    pub(super) lanes: LaneChoice,
    pub(super) limits: Limits,
    pub(super) spec: Arc<Spec>,
    pub(super) turn_detection: TurnDetection,
}

/// Properties of a decoded recording.
#[derive(Debug)]
pub(super) struct AudioInfo {
    /// Short name of the codec.
    pub(super) codec: String,
    /// Samples at 16 kHz of each lane.
    pub(super) samples: usize,
    pub(super) truncated: bool,
    pub(super) channels_changed: bool,
    /// Frequency band of the source.
    pub(super) band: Band,
    /// Time that decoding took.
    pub(super) time: Duration,
}
