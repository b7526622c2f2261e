//! One log line a call, at a bounded rate.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines a second. A line costs some 10 µs of a network thread, so that all of them together stay under a
/// thousandth of its time.
const LINES_A_SECOND: u32 = 100;

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Call {
    /// The process's number for it.
    pub id: u64,
    /// Who called, unless by a socket without addresses.
    pub peer: Option<SocketAddr>,
    /// The method, one of a closed set.
    pub method: &'static str,
    /// gRPC code of the answer; CANCELLED if the caller went away.
    pub code: &'static str,
    /// From the arrival of the call's head to the end of its answer.
    pub total: Duration,
    /// What the call was about, as far as it came.
    pub facts: Facts,
}

/// What is learnt of a call while it is answered.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whose share of the device it was charged to.
    pub tenant: String,
    /// Recordings that were answered, well or not.
    pub recordings: u64,
    /// Their audio, of each as long as it is.
    pub audio: Duration,
    /// Time spent decoding.
    pub decode: Duration,
    /// Time spent waiting for batches.
    pub queue: Duration,
    /// Time spent in batches.
    pub device: Duration,
}

/// Logs a call at INFO, unless 100 calls have been logged within the second under way.
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

/// Logs a call of no interest but to who looks for a fault: a probe's, at DEBUG.
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

/// Says how many calls got no line since this was last said; to be called now and then, and at the end.
pub fn report_left_out() {
    let left_out = lock().take_left_out();
    report(left_out);
}

fn report(left_out: u64) {
    if left_out > 0 {
        tracing::info!(
            left_out,
            "calls that got no log line, since {LINES_A_SECOND} a second are written"
        );
    }
}

/// To a microsecond.
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

/// Lines of the second under way.
struct Rate {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Rate {
    /// Whether a call's line is written, and how many were left out before if that is to be said now.
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
    fn so_many_lines_a_second_are_written_and_the_others_are_counted() {
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
