//! Metrics that the scheduler records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::metrics::{
    BATCH_CALLERS, BATCH_COST_ERROR, BATCH_DURATION, BATCH_PADDING, BATCH_SIZE, BATCHES, CANCELLED,
    COST, DEVICE_BUSY, EVICTED, EXPIRED, QUEUE_BYTES, QUEUE_DEVICE, QUEUE_DURATION, QUEUE_ENTRIES,
    STALLS,
};

/// The facts about a batch that was run.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord {
    /// The graph, by its index in [`Instruments::new`].
    pub graph: usize,
    /// N of the padded shape.
    pub rows: usize,
    /// T of the padded shape; 1 for the encoder.
    pub steps: usize,
    /// Rows without padding.
    pub size: usize,
    /// Items (segments or steps) without padding.
    pub items: usize,
    /// Number of callers with items in the batch.
    pub callers: usize,
    /// Predicted cost, in device time.
    pub predicted: Duration,
    /// Actual cost, in device time.
    pub cost: Duration,
    /// Wall-clock time on the device.
    pub duration: Duration,
    /// Whether the batch produced results.
    pub succeeded: bool,
}

/// The metrics of one instance's batches. They are looked up once, because a look-up costs as much as planning a batch.
#[derive(Debug)]
pub struct Instruments([OfGraph; 2]);

#[derive(Debug)]
struct OfGraph {
    name: &'static str,
    succeeded: Counter,
    failed: Counter,
    size: Histogram,
    callers: Histogram,
    padding: Histogram,
    cost_error: Histogram,
    /// By class.
    waited: [Histogram; 2],
    /// By rows and steps. The number of entries is bounded by the number of shapes.
    durations: HashMap<(usize, usize), Histogram>,
}

impl Instruments {
    /// Creates the metrics for these graphs and classes. Later calls name a graph or a class by its index here.
    #[must_use]
    pub fn new(graphs: [&'static str; 2], classes: [&'static str; 2]) -> Self {
        Self(graphs.map(|graph| OfGraph {
            name: graph,
            succeeded: counter!(BATCHES, "graph" => graph, "outcome" => "ok"),
            failed: counter!(BATCHES, "graph" => graph, "outcome" => "failed"),
            size: histogram!(BATCH_SIZE, "graph" => graph),
            callers: histogram!(BATCH_CALLERS, "graph" => graph),
            padding: histogram!(BATCH_PADDING, "graph" => graph),
            cost_error: histogram!(BATCH_COST_ERROR, "graph" => graph),
            waited:
                classes.map(|class| histogram!(QUEUE_DURATION, "graph" => graph, "class" => class)),
            durations: HashMap::new(),
        }))
    }

    /// Records a batch.
    pub fn ran(&mut self, batch: &BatchRecord) {
        let of = &mut self.0[batch.graph];
        let outcome = if batch.succeeded {
            &of.succeeded
        } else {
            &of.failed
        };
        outcome.increment(1);
        of.size.record(batch.size as f64);
        of.callers.record(batch.callers as f64);
        let padded = (batch.rows * batch.steps) as f64;
        of.padding.record(1.0 - batch.items as f64 / padded);
        let graph = of.name;
        let shape = (batch.rows, batch.steps);
        let duration = of.durations.entry(shape).or_insert_with(|| {
            let shape = shape_name(batch.rows, batch.steps);
            histogram!(BATCH_DURATION, "graph" => graph, "shape" => shape)
        });
        duration.record(batch.duration.as_secs_f64());
        if batch.succeeded {
            let error = batch.cost.as_secs_f64() / batch.predicted.as_secs_f64().max(1e-9);
            of.cost_error.record(error);
        }
    }

    /// Records how long an entry of a class had waited when its batch was formed.
    pub fn waited(&self, graph: usize, class: usize, time: Duration) {
        self.0[graph].waited[class].record(time.as_secs_f64());
    }
}

fn shape_name(rows: usize, steps: usize) -> String {
    format!("{rows}x{steps}")
}

/// Sets the cost of a batch of this shape as measured at warm-up.
pub fn cost(graph: &'static str, rows: usize, steps: usize, time: Duration) {
    gauge!(COST, "graph" => graph, "shape" => shape_name(rows, steps)).set(time.as_secs_f64());
}

/// The gauges of the scheduler's queue. They are looked up once, because every event sets them.
#[derive(Debug)]
pub struct Gauges {
    /// By graph, then class.
    waiting: [[Gauge; 2]; 2],
    backlog: [Gauge; 2],
    bytes: Gauge,
}

impl Gauges {
    /// Creates the gauges for these graphs and classes. Later calls name a graph or a class by its index here.
    #[must_use]
    pub fn new(graphs: [&'static str; 2], classes: [&'static str; 2]) -> Self {
        Self {
            waiting: graphs.map(|graph| {
                classes.map(|class| gauge!(QUEUE_ENTRIES, "graph" => graph, "class" => class))
            }),
            backlog: classes.map(|class| gauge!(QUEUE_DEVICE, "class" => class)),
            bytes: gauge!(QUEUE_BYTES),
        }
    }

    /// Sets the number of entries of a class that wait for a graph.
    pub fn waiting(&self, graph: usize, class: usize, entries: usize) {
        self.waiting[graph][class].set(entries as f64);
    }

    /// Sets the predicted device time of the work that a class has left.
    pub fn backlog(&self, class: usize, time: Duration) {
        self.backlog[class].set(time.as_secs_f64());
    }

    /// Sets the bytes of tensors that requests hold.
    pub fn held(&self, bytes: usize) {
        self.bytes.set(bytes as f64);
    }
}

/// Counts the entries of a request that was cancelled before it was done, by whether they waited or were begun.
pub fn cancelled(waiting: usize, begun: usize) {
    for (stage, entries) in [("queue", waiting), ("device", begun)] {
        if entries > 0 {
            counter!(CANCELLED, "stage" => stage).increment(entries as u64);
        }
    }
}

/// Counts a request that the scheduler ended: evicted, otherwise expired in the queue.
pub fn ended(evicted: bool) {
    if evicted {
        counter!(EVICTED).increment(1);
    } else {
        expired("queue");
    }
}

/// Counts a time during which the whole process did not run while it had requests.
pub fn stalled() {
    counter!(STALLS).increment(1);
}

/// Counts a request that missed its deadline at a stage: `admission`, `queue` or `answer`.
pub fn expired(stage: &'static str) {
    counter!(EXPIRED, "stage" => stage).increment(1);
}

/// The time that an instance spends on runs. Its gauge is updated until this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<InstanceTime>);

#[derive(Debug)]
struct InstanceTime {
    number: usize,
    nanos: AtomicU64,
}

/// The instances of this process.
static INSTANCES: Mutex<Vec<Arc<InstanceTime>>> = Mutex::new(Vec::new());
/// When the instances' gauges were last set.
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

impl Busy {
    /// Creates the time of the instance with this number.
    #[must_use]
    pub fn new(number: usize) -> Self {
        let nanos = AtomicU64::new(0);
        let instance = Arc::new(InstanceTime { number, nanos });
        let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
        instances.push(Arc::clone(&instance));
        Self(instance)
    }

    /// Adds the time of a run.
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

/// Sets each instance's busy ratio over the time since the last call.
pub(super) fn busy_since_last() {
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
