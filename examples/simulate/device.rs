//! Devices: how long a batch of each closed shape takes.
//!
//! The CPU's figures are measured. The GPU's are typical of graphs that spend their time on kernel launches.

use std::time::Duration;

use undertone::scheduler::core::{CostTable, Graph, Shape, Shapes};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DeviceKind {
    /// Two instances, one thread each.
    Cpu,
    /// One instance, large batches.
    Gpu,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) instances: usize,
    pub(crate) costs: CostTable,
    pub(crate) max_batch_time: Duration,
    /// How long the server's scheduler may wait for further members of a batch.
    pub(crate) max_queue_delay: Duration,
}

impl Device {
    pub(crate) fn of(kind: DeviceKind) -> Self {
        let (instances, shapes) = match kind {
            DeviceKind::Cpu => (2, Shapes::up_to(32, 16)),
            DeviceKind::Gpu => (1, Shapes::up_to(256, 64)),
        };
        let costs = CostTable::new(shapes, |graph, shape| {
            let micros = match kind {
                DeviceKind::Cpu => cpu(graph, shape),
                DeviceKind::Gpu => gpu(graph, shape),
            };
            Duration::from_secs_f64(micros / 1e6)
        });
        Self {
            instances,
            costs,
            max_batch_time: Duration::from_millis(10),
            max_queue_delay: Duration::ZERO,
        }
    }
}

/// Returns microseconds. Batches save the encoder only the cost of a call; they save the sequence much more.
fn cpu(graph: Graph, shape: Shape) -> f64 {
    let rows = shape.rows as f64;
    match graph {
        Graph::Encoder => 15.0 + 10.0 * rows,
        Graph::Sequence => 700.0 * rows.powf(0.46) * for_steps(shape.steps),
    }
}

/// Returns microseconds. The time is flat until the device is full.
fn gpu(graph: Graph, shape: Shape) -> f64 {
    let rows = shape.rows as f64;
    match graph {
        Graph::Encoder => 150.0 * (rows / 32.0).max(1.0).powf(0.4),
        Graph::Sequence => 1_200.0 * for_steps(shape.steps),
    }
}

/// Returns the part of the cost of 32 steps that a chunk has.
fn for_steps(steps: usize) -> f64 {
    0.25 + 0.75 * steps as f64 / 32.0
}
