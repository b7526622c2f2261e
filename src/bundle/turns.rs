//! `[turns]` in a manifest: what makes a turn, and which values make sense.

use serde::{Deserialize, Serialize};

use super::ManifestError;

/// How a lane is cut into turns; in milliseconds, heard in frames of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// Less speech than this is no turn; 128 to 10 000.
    pub least_speech_ms: u32,
    /// So much silence ends a turn; 200 more than `lead_out_ms` to 60 000.
    pub end_silence_ms: u32,
    /// Segments before a turn's speech that are its own start at most so long before; 0 to 10 000. The
    /// first that holds 64 ms of speech is its own in any case.
    pub lead_in_ms: u32,
    /// Segments behind a turn's speech that are its own start at most so long behind; 0 to 10 000.
    pub lead_out_ms: u32,
}

impl Default for Turns {
    /// What was chosen on real speech (design, section Speech).
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
    /// The first value out of its bounds.
    pub(super) fn check(self) -> Result<(), ManifestError> {
        let most = "at most 10000";
        for (field, value, bounds, rule) in [
            (
                "turns.least_speech_ms",
                self.least_speech_ms,
                128..=10_000,
                "128 to 10000",
            ),
            ("turns.lead_in_ms", self.lead_in_ms, 0..=10_000, most),
            ("turns.lead_out_ms", self.lead_out_ms, 0..=10_000, most),
            (
                "turns.end_silence_ms",
                self.end_silence_ms,
                self.lead_out_ms.saturating_add(200)..=60_000,
                "200 more than lead_out_ms, at most 60000",
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
