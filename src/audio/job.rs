//! The options and limits of one call, and the receiver of its samples. All decoders use them.

use super::rates::CapturedRate;
use super::timer::DecodeTimer;
use super::{AudioError, LaneChoice, Limits};

/// Receives finished samples: `[L][N]`, lanes at 16 kHz of the same length. It may move them out of the
/// vectors.
pub(super) type LaneSink<'a> = &'a mut dyn FnMut(&mut [Vec<f32>]) -> Result<(), AudioError>;

/// The options of one call.
pub(super) struct DecodeJob {
    pub(super) lanes: LaneChoice,
    pub(super) limits: Limits,
    pub(super) timer: DecodeTimer,
    /// Bytes of the recording, if all of them are there.
    pub(super) size: Option<u64>,
    /// Set before the first samples are delivered.
    pub(super) captured_rate: CapturedRate,
}
