//! The log line of each call, at a bounded rate.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest number of lines a second. It bounds the time that network threads spend on logging and the size of the log.
const LINES_A_SECOND: u32 = 100;

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Call {
    /// The number of the call within the process.
    pub id: u64,
    /// The caller's address. `None` for a Unix domain socket.
    pub peer: Option<SocketAddr>,
    /// The method. It is one of a fixed set of names.
    pub method: &'static str,
    /// The gRPC code of the response. CANCELLED if the caller went away.
    pub code: &'static str,
    /// Time from the arrival of the call's headers to the end of its response.
    pub total: Duration,
    /// The facts about the call's work, as far as it was done.
    pub facts: Facts,
}

/// The facts about the work of a call.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The tenant to which its device time was charged.
    pub tenant: String,
    /// Number of recordings that were answered, with a result or an error.
    pub recordings: u64,
    /// Total duration of their audio. A recording with several lanes counts once.
    pub audio: Duration,
    /// Time spent decoding.
    pub decode: Duration,
    /// Time spent waiting for batches.
    pub queue: Duration,
    /// Time spent in batches.
    pub device: Duration,
}

/// Logs a call at INFO, unless 100 calls have been logged within the current second.
pub fn ended(call: &Call) {
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let (written, left_out) = lock().call(Instant::now());
    report(left_out);
    if !written {
        return;
    }
    let (peer, total_ms) = (call.peer.map(tracing::field::display), millis(call.total));
    let [decode_ms, queue_ms, device_ms] =
        [call.facts.decode, call.facts.queue, call.facts.device].map(millis);
    tracing::info!(
        id = call.id,
        peer,
        tenant = call.facts.tenant,
        method = call.method,
        code = call.code,
        recordings = call.facts.recordings,
        audio_seconds = call.facts.audio.as_secs_f64(),
        decode_ms,
        queue_ms,
        device_ms,
        total_ms,
        "call"
    );
}

/// Logs a call of health checking or reflection at DEBUG, because it is of interest only when a fault is searched.
pub fn probed(call: &Call) {
    let (peer, total_ms) = (call.peer.map(tracing::field::display), millis(call.total));
    tracing::debug!(
        id = call.id,
        peer,
        method = call.method,
        code = call.code,
        total_ms,
        "probe"
    );
}

/// Logs one recording of a stream at DEBUG; `number` counts those of its call from 0.
pub fn recording(id: u64, number: u64, code: &'static str, facts: &Facts) {
    let [decode_ms, queue_ms, device_ms] = [facts.decode, facts.queue, facts.device].map(millis);
    tracing::debug!(
        id,
        number,
        code,
        audio_seconds = facts.audio.as_secs_f64(),
        decode_ms,
        queue_ms,
        device_ms,
        "recording"
    );
}

/// Logs how many calls got no line since the last report. Must be called regularly and at the end.
pub fn report_left_out() {
    let left_out = lock().take_left_out();
    report(left_out);
}

fn report(left_out: u64) {
    if left_out > 0 {
        tracing::info!(
            left_out,
            "calls without a log line, because at most {LINES_A_SECOND} lines a second are written"
        );
    }
}

/// Returns milliseconds with the precision of a microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

static RATE: Mutex<Rate> = Mutex::new(Rate {
    since: None,
    written: 0,
    left_out: 0,
});

fn lock() -> std::sync::MutexGuard<'static, Rate> {
    RATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines of the current second.
struct Rate {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Rate {
    /// Returns whether a call's line is written, and the number of calls left out before if it is to be logged now.
    fn call(&mut self, now: Instant) -> (bool, u64) {
        let second = Duration::from_secs(1);
        let over = |since| now.saturating_duration_since(since) >= second;
        if self.since.is_none_or(over) {
            self.since = Some(now);
            self.written = 1;
            return (true, self.take_left_out());
        }
        if self.written < LINES_A_SECOND {
            self.written += 1;
            return (true, 0);
        }
        self.left_out += 1;
        (false, 0)
    }

    fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_lines_a_second_is_written_and_the_others_are_counted() {
        let mut rate = Rate {
            since: None,
            written: 0,
            left_out: 0,
        };
        let begun = Instant::now();
        let at = |millis: u64| begun + Duration::from_millis(millis);
        let first: Vec<_> = (0..250).map(|millis| rate.call(at(millis))).collect();
        let written = first.iter().filter(|(written, _)| *written).count();
        assert_eq!(written, LINES_A_SECOND as usize);
        assert!(first.iter().all(|(_, left_out)| *left_out == 0));
        assert_eq!(rate.call(at(999)), (false, 0));
        assert_eq!(rate.call(at(1_000)), (true, 151));
        assert_eq!(rate.call(at(1_001)), (true, 0));
    }
}
