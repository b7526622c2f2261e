//! What the scheduler's shell records.

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

/// A batch that was run.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord {
    /// The graph, by its place in [`Instruments::new`].
    pub graph: usize,
    /// N of the padded shape.
    pub rows: usize,
    /// T of the padded shape; 1 for the encoder.
    pub steps: usize,
    /// Rows without padding.
    pub size: usize,
    /// Items (segments or steps) without padding.
    pub items: usize,
    /// Callers whose items are in it.
    pub callers: usize,
    /// What it was predicted to cost, in time of the device.
    pub predicted: Duration,
    /// What it did cost.
    pub cost: Duration,
    /// Time on the device, by the clock.
    pub duration: Duration,
    /// Whether it gave a result.
    pub succeeded: bool,
}

/// What an instance records of its batches, looked up once: a look-up costs as much as planning a
/// batch.
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
    /// By rows and steps; as many as there are shapes.
    durations: HashMap<(usize, usize), Histogram>,
}

impl Instruments {
    /// Instruments for these graphs and classes; what is recorded later names them by their place.
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

    /// An entry of a class had waited so long when its batch was formed.
    pub fn waited(&self, graph: usize, class: usize, time: Duration) {
        self.0[graph].waited[class].record(time.as_secs_f64());
    }
}

fn shape_name(rows: usize, steps: usize) -> String {
    format!("{rows}x{steps}")
}

/// A batch of this shape took so long at warm-up.
pub fn cost(graph: &'static str, rows: usize, steps: usize, time: Duration) {
    gauge!(COST, "graph" => graph, "shape" => shape_name(rows, steps)).set(time.as_secs_f64());
}

/// The gauges of what the scheduler holds, looked up once: they are set at every event.
#[derive(Debug)]
pub struct Gauges {
    /// By graph, then class.
    waiting: [[Gauge; 2]; 2],
    backlog: [Gauge; 2],
    bytes: Gauge,
}

impl Gauges {
    /// Gauges for these graphs and classes; what is set later names them by their place.
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

    /// Says how many entries of a class wait for a graph.
    pub fn waiting(&self, graph: usize, class: usize, entries: usize) {
        self.waiting[graph][class].set(entries as f64);
    }

    /// Says how much device time a class has still to get, as predicted.
    pub fn backlog(&self, class: usize, time: Duration) {
        self.backlog[class].set(time.as_secs_f64());
    }

    /// Says how many bytes of tensors are held.
    pub fn held(&self, bytes: usize) {
        self.bytes.set(bytes as f64);
    }
}

/// Somebody went whose work was not done: so many entries waited, so many were begun.
pub fn cancelled(waiting: usize, begun: usize) {
    for (stage, entries) in [("queue", waiting), ("device", begun)] {
        if entries > 0 {
            counter!(CANCELLED, "stage" => stage).increment(entries as u64);
        }
    }
}

/// The scheduler ended a request: evicted, or expired in the queue.
pub fn ended(evicted: bool) {
    match evicted {
        true => counter!(EVICTED).increment(1),
        false => expired("queue"),
    }
}

/// The whole process stood still while it had requests in hand.
pub fn stalled() {
    counter!(STALLS).increment(1);
}

/// A request missed its deadline at a stage: `admission`, `queue` or `answer`.
pub fn expired(stage: &'static str) {
    counter!(EXPIRED, "stage" => stage).increment(1);
}

/// Time that an instance has spent on runs.
#[derive(Debug)]
pub struct Busy(Arc<InstanceTime>);

#[derive(Debug)]
struct InstanceTime {
    number: usize,
    nanos: AtomicU64,
}

/// Instances of this process, and when their gauges were last set.
static INSTANCES: Mutex<Vec<Arc<InstanceTime>>> = Mutex::new(Vec::new());
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

impl Busy {
    /// An instance by its number; it is watched until this is dropped.
    #[must_use]
    pub fn new(number: usize) -> Self {
        let nanos = AtomicU64::new(0);
        let instance = Arc::new(InstanceTime { number, nanos });
        let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
        instances.push(Arc::clone(&instance));
        Self(instance)
    }

    /// A run took this long.
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

/// Sets each instance's busy share since this was last called.
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
