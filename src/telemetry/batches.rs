//! What the scheduler's shell records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::names::{
    BATCH_CALLERS, BATCH_COST_ERROR, BATCH_DURATION, BATCH_PADDING, BATCH_SIZE, BATCHES, CANCELLED,
    COST, DEVICE_BUSY, EVICTED, EXPIRED, QUEUE_BYTES, QUEUE_DEVICE, QUEUE_DURATION, QUEUE_ENTRIES,
    STALLS,
};

/// A batch that has run.
#[derive(Clone, Copy, Debug)]
pub struct FinishedBatch {
    /// N of the padded shape.
    pub rows: usize,
    /// T of the padded shape; 1 for the encoder.
    pub steps: usize,
    /// Rows without padding.
    pub size: usize,
    /// Items (segments or steps) without padding.
    pub items: usize,
    /// Callers that have items in it.
    pub callers: usize,
    /// Device time that it was predicted to cost.
    pub predicted: Duration,
    /// Device time that it did cost.
    pub cost: Duration,
    /// Time on the device, by the clock.
    pub duration: Duration,
    /// Whether it gave a result.
    pub succeeded: bool,
}

/// What one worker records of the batches of one graph. The instruments are looked up once, because a look-up
/// costs as much as planning a batch.
#[derive(Debug)]
pub struct BatchInstruments {
    graph: &'static str,
    succeeded: Counter,
    failed: Counter,
    size: Histogram,
    callers: Histogram,
    padding: Histogram,
    cost_error: Histogram,
    /// By rows and steps; as many as there are shapes.
    durations: HashMap<(usize, usize), Histogram>,
}

impl BatchInstruments {
    /// Returns the instruments for a graph of this name.
    #[must_use]
    pub fn new(graph: &'static str) -> Self {
        Self {
            graph,
            succeeded: counter!(BATCHES, "graph" => graph, "outcome" => "ok"),
            failed: counter!(BATCHES, "graph" => graph, "outcome" => "failed"),
            size: histogram!(BATCH_SIZE, "graph" => graph),
            callers: histogram!(BATCH_CALLERS, "graph" => graph),
            padding: histogram!(BATCH_PADDING, "graph" => graph),
            cost_error: histogram!(BATCH_COST_ERROR, "graph" => graph),
            durations: HashMap::new(),
        }
    }

    /// Records a batch.
    pub fn record(&mut self, batch: &FinishedBatch) {
        let outcome = if batch.succeeded {
            &self.succeeded
        } else {
            &self.failed
        };
        outcome.increment(1);
        self.size.record(batch.size as f64);
        self.callers.record(batch.callers as f64);
        let padded = (batch.rows * batch.steps) as f64;
        self.padding.record(1.0 - batch.items as f64 / padded);
        let graph = self.graph;
        let shape = (batch.rows, batch.steps);
        let duration = self.durations.entry(shape).or_insert_with(|| {
            let shape = shape_name(batch.rows, batch.steps);
            histogram!(BATCH_DURATION, "graph" => graph, "shape" => shape)
        });
        duration.record(batch.duration.as_secs_f64());
        if batch.succeeded {
            let error = batch.cost.as_secs_f64() / batch.predicted.as_secs_f64().max(1e-9);
            self.cost_error.record(error);
        }
    }
}

/// How long entries of one class waited for one graph.
#[derive(Debug)]
pub struct WaitTimes(Histogram);

impl WaitTimes {
    /// Returns the histogram for a graph and a class of these names.
    #[must_use]
    pub fn new(graph: &'static str, class: &'static str) -> Self {
        Self(histogram!(QUEUE_DURATION, "graph" => graph, "class" => class))
    }

    /// Records how long an entry had waited when its batch was formed.
    pub fn record(&self, time: Duration) {
        self.0.record(time.as_secs_f64());
    }
}

fn shape_name(rows: usize, steps: usize) -> String {
    format!("{rows}x{steps}")
}

/// Records how long a batch of this shape took at warm-up.
pub fn cost(graph: &'static str, rows: usize, steps: usize, time: Duration) {
    gauge!(COST, "graph" => graph, "shape" => shape_name(rows, steps)).set(time.as_secs_f64());
}

/// How many entries of one class wait for one graph.
#[derive(Debug)]
pub struct EntriesGauge(Gauge);

impl EntriesGauge {
    /// Returns the gauge for a graph and a class of these names.
    #[must_use]
    pub fn new(graph: &'static str, class: &'static str) -> Self {
        Self(gauge!(QUEUE_ENTRIES, "graph" => graph, "class" => class))
    }

    /// Sets the number of entries.
    pub fn set(&self, entries: usize) {
        self.0.set(entries as f64);
    }
}

/// The predicted device time of one class's unfinished work.
#[derive(Debug)]
pub struct BacklogGauge(Gauge);

impl BacklogGauge {
    /// Returns the gauge for a class of this name.
    #[must_use]
    pub fn new(class: &'static str) -> Self {
        Self(gauge!(QUEUE_DEVICE, "class" => class))
    }

    /// Sets the device time.
    pub fn set(&self, time: Duration) {
        self.0.set(time.as_secs_f64());
    }
}

/// The bytes of the tensors that are held.
#[derive(Debug)]
pub struct BytesGauge(Gauge);

impl BytesGauge {
    /// Returns the gauge.
    #[must_use]
    pub fn new() -> Self {
        Self(gauge!(QUEUE_BYTES))
    }

    /// Sets the number of bytes.
    pub fn set(&self, bytes: usize) {
        self.0.set(bytes as f64);
    }
}

impl Default for BytesGauge {
    fn default() -> Self {
        Self::new()
    }
}

/// Records the entries of a job that left unfinished: those that waited, and those of which batches took items.
pub fn cancelled(waiting: usize, begun: usize) {
    for (stage, entries) in [("queue", waiting), ("device", begun)] {
        if entries > 0 {
            counter!(CANCELLED, "stage" => stage).increment(entries as u64);
        }
    }
}

/// Records that the scheduler ended a request: it was evicted, or it expired in the queue.
pub fn ended(evicted: bool) {
    if evicted {
        counter!(EVICTED).increment(1);
    } else {
        expired("queue");
    }
}

/// Records that the whole process stood still while it had requests under way.
pub fn stalled() {
    counter!(STALLS).increment(1);
}

/// Records that a request missed its deadline at a stage: `admission`, `queue` or `answer`.
pub fn expired(stage: &'static str) {
    counter!(EXPIRED, "stage" => stage).increment(1);
}

/// The time that a worker's instance has run batches.
#[derive(Debug)]
pub struct Busy(Arc<BusyTime>);

#[derive(Debug)]
struct BusyTime {
    number: usize,
    nanos: AtomicU64,
}

/// Instances of this process, and when their gauges were last set.
static INSTANCES: Mutex<Vec<Arc<BusyTime>>> = Mutex::new(Vec::new());
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

impl Busy {
    /// Registers an instance by its number, until this is dropped.
    #[must_use]
    pub fn new(number: usize) -> Self {
        let nanos = AtomicU64::new(0);
        let instance = Arc::new(BusyTime { number, nanos });
        let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
        instances.push(Arc::clone(&instance));
        Self(instance)
    }

    /// Adds the time of a batch.
    pub fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
        instances.retain(|instance| !Arc::ptr_eq(instance, &self.0));
    }
}

/// Sets each instance's gauge to the part of the time since the last call in which it ran batches.
pub fn busy_since_last() {
    let now = Instant::now();
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let span = last.replace(now).map(|last| now - last);
    let Some(span) = span.filter(|span| !span.is_zero()) else {
        return;
    };
    for instance in &*INSTANCES.lock().unwrap_or_else(PoisonError::into_inner) {
        let busy = Duration::from_nanos(instance.nanos.swap(0, Ordering::Relaxed));
        let ratio = (busy.as_secs_f64() / span.as_secs_f64()).min(1.0);
        gauge!(DEVICE_BUSY, "instance" => instance.number.to_string()).set(ratio);
    }
}
