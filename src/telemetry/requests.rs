//! Metrics that the engine and the service record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};

use super::names::{
    ABSTAINED, AUDIO, DECISIONS, DECODE_DURATION, REFUSED, REQUEST_DURATION, REQUESTS,
    REQUESTS_IN_FLIGHT,
};

/// Audio classified so far, in milliseconds: interactive, bulk.
static AUDIO_MILLIS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// A request being answered. It counts as in flight until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    method: &'static str,
    begun: Instant,
    code: &'static str,
}

impl InFlight {
    /// Counts a new request. Its code is CANCELLED unless [`InFlight::answered`] is called.
    #[must_use]
    pub fn new(method: &'static str) -> Self {
        gauge!(REQUESTS_IN_FLIGHT, "method" => method).increment(1.0);
        Self {
            method,
            begun: Instant::now(),
            code: "CANCELLED",
        }
    }

    /// Ends the request with a gRPC code.
    pub fn answered(mut self, code: &'static str) {
        self.code = code;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let method = self.method;
        gauge!(REQUESTS_IN_FLIGHT, "method" => method).decrement(1.0);
        counter!(REQUESTS, "method" => method, "code" => self.code).increment(1);
        histogram!(REQUEST_DURATION, "method" => method).record(self.begun.elapsed().as_secs_f64());
    }
}

/// Records the time to decode a recording. `codec` is a name from the decoder, never from a caller.
pub fn decoded(codec: &str, time: Duration) {
    histogram!(DECODE_DURATION, "codec" => codec.to_owned()).record(time.as_secs_f64());
}

/// Counts a request that was refused at admission.
pub fn refused(reason: &'static str, class: &'static str) {
    counter!(REFUSED, "reason" => reason, "class" => class).increment(1);
}

/// Counts the prediction of a lane. `label` and `reason` come from the model and the code, never from a caller.
pub fn predicted(audio: Duration, class: &'static str, label: &str, reason: Option<&'static str>) {
    // The counter holds whole seconds. The sum is rounded and not each lane, so that short lanes add up.
    let lane = u64::try_from(audio.as_millis()).unwrap_or(u64::MAX);
    let sum = AUDIO_MILLIS[usize::from(class == "bulk")]
        .fetch_add(lane, Ordering::Relaxed)
        .saturating_add(lane);
    counter!(AUDIO, "class" => class).absolute(sum / 1_000);
    counter!(DECISIONS, "label" => label.to_owned()).increment(1);
    if let Some(reason) = reason {
        counter!(ABSTAINED, "reason" => reason).increment(1);
    }
}
