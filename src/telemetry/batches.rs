//! What the scheduler's shell records.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::metrics::{
    BATCH_CALLERS, BATCH_DURATION, BATCH_PADDING, BATCH_SIZE, BATCHES, QUEUE_BYTES, QUEUE_DURATION,
    QUEUE_ENTRIES,
};

/// A batch that was run.
#[derive(Clone, Copy, Debug)]
pub struct Ran<'a> {
    /// The graph's name.
    pub graph: &'static str,
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
    /// How long each entry had waited.
    pub waited: &'a [Duration],
    /// Time on the device.
    pub duration: Duration,
    /// Whether it gave a result.
    pub succeeded: bool,
}

/// Records a batch.
pub fn ran(batch: &Ran<'_>) {
    let graph = batch.graph;
    let outcome = if batch.succeeded { "ok" } else { "failed" };
    counter!(BATCHES, "graph" => graph, "outcome" => outcome).increment(1);
    histogram!(BATCH_SIZE, "graph" => graph).record(batch.size as f64);
    histogram!(BATCH_CALLERS, "graph" => graph).record(batch.callers as f64);
    let padded = (batch.rows * batch.steps) as f64;
    histogram!(BATCH_PADDING, "graph" => graph).record(1.0 - batch.items as f64 / padded);
    let shape = format!("{}x{}", batch.rows, batch.steps);
    histogram!(BATCH_DURATION, "graph" => graph, "shape" => shape)
        .record(batch.duration.as_secs_f64());
    for waited in batch.waited {
        histogram!(QUEUE_DURATION, "graph" => graph).record(waited.as_secs_f64());
    }
}

/// Says how many entries wait for a graph.
pub fn waiting(graph: &'static str, entries: usize) {
    gauge!(QUEUE_ENTRIES, "graph" => graph).set(entries as f64);
}

/// Says how many bytes of tensors are held.
pub fn held(bytes: usize) {
    gauge!(QUEUE_BYTES).set(bytes as f64);
}
