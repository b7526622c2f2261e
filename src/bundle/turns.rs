//! `[turns]` in a manifest: how turns are found, and the range of each value.

use serde::{Deserialize, Serialize};

use super::error::ManifestError;

/// Durations that decide how a lane is cut into turns. They are applied in frames of 8 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// Least speech of a turn, in milliseconds: 128 to 10 000.
    pub least_speech_ms: u32,
    /// Silence that ends a turn, in milliseconds: at least `lead_out_ms` + 200, at most 60 000.
    pub end_silence_ms: u32,
    /// Lead-in, in milliseconds: 0 to 10 000. A segment belongs to the turn if it starts at most this long
    /// before the turn's speech. The first segment with 64 ms of speech always belongs to it.
    pub lead_in_ms: u32,
    /// Lead-out, in milliseconds: 0 to 10 000. A segment belongs to the turn if at least 64 ms of it lie
    /// before the end of this time after the turn's speech.
    pub lead_out_ms: u32,
}

impl Default for Turns {
    /// Returns the values that were chosen on real speech.
    fn default() -> Self {
        Self {
            least_speech_ms: 200,
            end_silence_ms: 1_000,
            lead_in_ms: 1_500,
            lead_out_ms: 0,
        }
    }
}

impl Turns {
    /// Reports the first value outside its range.
    pub(super) fn check(self) -> Result<(), ManifestError> {
        let most = "must be at most 10000";
        for (field, value, bounds, rule) in [
            (
                "turns.least_speech_ms",
                self.least_speech_ms,
                128..=10_000,
                "must be 128 to 10000",
            ),
            ("turns.lead_in_ms", self.lead_in_ms, 0..=10_000, most),
            ("turns.lead_out_ms", self.lead_out_ms, 0..=10_000, most),
            (
                "turns.end_silence_ms",
                self.end_silence_ms,
                self.lead_out_ms.saturating_add(200)..=60_000,
                "must be at least lead_out_ms + 200 and at most 60000",
            ),
        ] {
            if !bounds.contains(&value) {
                return Err(ManifestError::Value {
                    field,
                    found: value.to_string(),
                    rule,
                });
            }
        }
        Ok(())
    }
}
