//! Names of the metrics that the scheduler, the engine and the service record. `metrics` describes them.

pub(super) const REQUESTS: &str = "undertone_requests_total";
pub(super) const REQUEST_DURATION: &str = "undertone_request_duration_seconds";
pub(super) const REQUESTS_IN_FLIGHT: &str = "undertone_requests_in_flight";
pub(super) const AUDIO: &str = "undertone_audio_seconds_total";
pub(super) const DECODE_DURATION: &str = "undertone_decode_duration_seconds";
pub(super) const DECISIONS: &str = "undertone_decisions_total";
pub(super) const ABSTAINED: &str = "undertone_abstained_total";
pub(super) const QUEUE_DURATION: &str = "undertone_queue_duration_seconds";
pub(super) const QUEUE_ENTRIES: &str = "undertone_queue_entries";
pub(super) const QUEUE_BYTES: &str = "undertone_queue_bytes";
pub(super) const BATCHES: &str = "undertone_batches_total";
pub(super) const BATCH_SIZE: &str = "undertone_batch_size";
pub(super) const BATCH_CALLERS: &str = "undertone_batch_callers";
pub(super) const BATCH_PADDING: &str = "undertone_batch_padding_ratio";
pub(super) const BATCH_DURATION: &str = "undertone_batch_duration_seconds";
pub(super) const QUEUE_DEVICE: &str = "undertone_queue_device_seconds";
pub(super) const BATCH_COST_ERROR: &str = "undertone_batch_cost_error_ratio";
pub(super) const DEVICE_BUSY: &str = "undertone_device_busy_ratio";
pub(super) const EVICTED: &str = "undertone_evicted_total";
pub(super) const STALLS: &str = "undertone_stalls_total";
pub(super) const EXPIRED: &str = "undertone_expired_total";
pub(super) const CANCELLED: &str = "undertone_cancelled_total";
pub(super) const COST: &str = "undertone_batch_cost_seconds";
pub(super) const REFUSED: &str = "undertone_refused_total";
