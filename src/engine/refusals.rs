//! Counts refusals of the scheduler.

use crate::scheduler::core::{Class, Refusal};
use crate::telemetry::{batches, requests};

/// Counts a refused request.
pub(super) fn count_refusal(refusal: &Refusal, class: Class) {
    requests::refused(refusal.name(), class.name());
    if matches!(refusal, Refusal::Deadline { .. } | Refusal::Late { .. }) {
        batches::expired("admission");
    }
}
