//! Measures, before anybody is served, what a bundle costs on this machine: how many sets of
//! sessions with how many threads do most, and the time of each batch shape.

use std::sync::Barrier;
use std::time::Duration;

use crate::bundle::Bundle;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{
    Device as _, Instance, Library, Provider, RuntimeError, SequenceBatch, Sizes, Stopwatch, golden,
};
use crate::scheduler::core::{CostTable, Graph, Shape, Shapes};
use crate::telemetry::batches;

/// Runs of each shape, of which the median counts; the first, which may allocate, does not.
const RUNS: usize = 5;
/// Segments and chunks of a GPU's batches.
const CUDA_ROWS: [usize; 2] = [128, 32];
/// Runs by which layouts are compared.
const TRIALS: usize = 15;

/// Whether nobody waits for the measurement any more.
pub(super) type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

/// How a machine's cores are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Sets of sessions that run side by side.
    pub(super) workers: usize,
    /// Threads inside each session.
    pub(super) threads: usize,
}

impl Layout {
    /// Those worth comparing: what was asked for; or on so many cores one session a core, a single
    /// session with all cores, and what lies halfway; or on a GPU up to four streams, of which one
    /// moves tensors while another computes.
    pub(super) fn candidates(
        provider: Provider,
        cores: usize,
        (workers, threads): (Option<usize>, Option<usize>),
    ) -> Vec<Self> {
        if provider == Provider::Cuda {
            let threads = threads.unwrap_or(1);
            let workers = workers.map_or(vec![1, 2, 4], |workers| vec![workers]);
            let streams = workers.into_iter();
            return streams.map(|workers| Self { workers, threads }).collect();
        }
        if workers.is_some() || threads.is_some() {
            let threads = threads.unwrap_or(1);
            let workers = workers.unwrap_or((cores / threads).max(1));
            return vec![Self { workers, threads }];
        }
        let mut threads = vec![1, cores.isqrt(), cores];
        threads.dedup();
        threads
            .into_iter()
            .map(|threads| Self {
                workers: (cores / threads).max(1),
                threads,
            })
            .collect()
    }
}

/// What the measurement chose.
#[derive(Debug)]
pub(super) struct Warm {
    pub(super) layout: Layout,
    pub(super) instances: Vec<Instance>,
    pub(super) costs: CostTable,
}

/// Opens the sessions of each layout, proves that they compute the golden vectors, and keeps the
/// layout that runs a recording's batches fastest, with its cost table.
pub(super) fn measure(
    library: &Library,
    bundle: &Bundle,
    layouts: &[Layout],
    stopped: Stopped<'_>,
) -> Result<Warm, RuntimeError> {
    let sizes = Sizes::of(&bundle.manifest);
    let mut best: Option<(Duration, Layout, Vec<Instance>)> = None;
    for layout in layouts {
        let mut instances = open(library, bundle, *layout, stopped)?;
        let time = match layouts {
            [_] => Duration::ZERO,
            _ => trial(
                &mut instances,
                sizes,
                trial_shapes(library.provider()),
                stopped,
            )?,
        };
        tracing::debug!(?layout, ?time, "measured");
        if best.as_ref().is_none_or(|(least, ..)| time < *least) {
            best = Some((time, *layout, instances));
        }
    }
    let (layout, mut instances) = match best {
        Some((_, layout, instances)) => (layout, instances),
        None => {
            let layout = Layout {
                workers: 1,
                threads: 1,
            };
            (layout, open(library, bundle, layout, stopped)?)
        }
    };
    let costs = table(&mut instances, sizes, shapes(library.provider()), stopped)?;
    Ok(Warm {
        layout,
        instances,
        costs,
    })
}

/// Logs and exports what was measured.
pub(super) fn report(warm: &Warm) {
    for graph in Graph::ALL {
        for shape in warm.costs.shapes().all(graph) {
            let time = warm.costs.of(graph, shape);
            let items = shape.rows * shape.steps;
            batches::cost(graph.name(), shape.rows, shape.steps, time);
            tracing::debug!(
                graph = graph.name(),
                rows = shape.rows,
                steps = shape.steps,
                micros = time.as_micros(),
                micros_an_item = time.as_secs_f64() * 1e6 / items as f64,
                "cost of a batch"
            );
        }
    }
    let least_and_most = |graph| {
        let shapes = warm.costs.shapes();
        let steps = match graph {
            Graph::Encoder => 1,
            Graph::Sequence => shapes.most_steps(),
        };
        let rows = shapes.rows(graph);
        let micros = |rows: Option<&usize>| {
            let rows = rows.copied().unwrap_or(1);
            warm.costs.of(graph, Shape { rows, steps }).as_micros()
        };
        [micros(rows.first()), micros(rows.last())]
    };
    let [segments, chunks] = Graph::ALL.map(least_and_most);
    tracing::info!(
        workers = warm.layout.workers,
        threads = warm.layout.threads,
        fewest_segments_micros = segments[0],
        most_segments_micros = segments[1],
        fewest_chunks_micros = chunks[0],
        most_chunks_micros = chunks[1],
        "measured what batches cost"
    );
}

fn open(
    library: &Library,
    bundle: &Bundle,
    layout: Layout,
    stopped: Stopped<'_>,
) -> Result<Vec<Instance>, RuntimeError> {
    (0..layout.workers)
        .map(|_| {
            go_on_unless(stopped)?;
            let mut instance = Instance::with_threads(library, bundle, layout.threads)?;
            golden::verify(&mut instance, bundle, golden::TOLERANCE)?;
            Ok(instance)
        })
        .collect()
}

/// The closed set of shapes. On a GPU large batches take hardly longer than small ones, but a session
/// that is given another shape than before plans its convolutions anew, for many times that.
fn shapes(provider: Provider) -> Shapes {
    match provider {
        Provider::Cpu => Shapes::default(),
        Provider::Cuda => Shapes::one(CUDA_ROWS[0], CUDA_ROWS[1]),
    }
}

/// By which layouts are compared: a batch of segments and one of chunks as they are under load.
fn trial_shapes(provider: Provider) -> [Shape; 2] {
    let rows = match provider {
        Provider::Cpu => [8, 2],
        Provider::Cuda => CUDA_ROWS,
    };
    [(rows[0], 1), (rows[1], 32)].map(|(rows, steps)| Shape { rows, steps })
}

/// Time that all instances side by side take for one batch of each kind apiece, over their number.
fn trial(
    instances: &mut [Instance],
    sizes: Sizes,
    [segments, chunks]: [Shape; 2],
    stopped: Stopped<'_>,
) -> Result<Duration, RuntimeError> {
    let workers = u32::try_from(instances.len()).unwrap_or(u32::MAX);
    let times = side_by_side(instances, |instance| {
        // By the clock: where there are fewer processors than threads, these wait for each other.
        let time = |instance: &mut Instance, graph, shape| {
            go_on_unless(stopped)?;
            median(TRIALS, Stopwatch::elapsed, instance, (graph, shape), sizes)
        };
        let segments = time(instance, Graph::Encoder, segments)?;
        let chunks = time(instance, Graph::Sequence, chunks)?;
        Ok(segments + chunks)
    })?;
    let slowest = times.into_iter().max().unwrap_or_default();
    Ok(slowest / workers)
}

/// The median over instances that run side by side, as they will.
fn table(
    instances: &mut [Instance],
    sizes: Sizes,
    shapes: Shapes,
    stopped: Stopped<'_>,
) -> Result<CostTable, RuntimeError> {
    let all: Vec<(Graph, Shape)> = Graph::ALL
        .into_iter()
        .flat_map(|graph| {
            shapes
                .all(graph)
                .into_iter()
                .map(move |shape| (graph, shape))
        })
        .collect();
    let measured = side_by_side(instances, |instance| {
        all.iter()
            .map(|batch| {
                go_on_unless(stopped)?;
                median(RUNS, Stopwatch::cost, instance, *batch, sizes)
            })
            .collect::<Result<Vec<Duration>, _>>()
    })?;
    let of = |place: usize| {
        let mut times: Vec<Duration> = measured.iter().map(|times| times[place]).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    Ok(CostTable::new(shapes, |graph, shape| {
        let place = all.iter().position(|one| *one == (graph, shape));
        place.map_or(Duration::ZERO, of)
    }))
}

fn go_on_unless(stopped: Stopped<'_>) -> Result<(), RuntimeError> {
    if stopped() {
        return Err(RuntimeError::Stopped);
    }
    Ok(())
}

fn side_by_side<T: Send>(
    instances: &mut [Instance],
    measure: impl Fn(&mut Instance) -> Result<T, RuntimeError> + Sync,
) -> Result<Vec<T>, RuntimeError> {
    let together = Barrier::new(instances.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = instances
            .iter_mut()
            .map(|instance| {
                scope.spawn(|| {
                    together.wait();
                    measure(instance)
                })
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|measured| measured.unwrap_or(Err(RuntimeError::Panicked)))
            .collect()
    })
}

/// The median over runs of what a stopwatch says.
fn median(
    runs: usize,
    reading: impl Fn(&Stopwatch) -> Duration,
    instance: &mut Instance,
    (graph, Shape { rows, steps }): (Graph, Shape),
    sizes: Sizes,
) -> Result<Duration, RuntimeError> {
    // Outside of what is timed: under load such buffers lie ready.
    let inputs = match graph {
        Graph::Encoder => vec![0.1; rows * SEGMENT_VALUES],
        Graph::Sequence => vec![0.1; rows * steps * sizes.features],
    };
    let history = vec![0.1; rows * sizes.history_values()];
    let (real, valid) = (vec![steps; rows], vec![0; rows]);
    let run = |instance: &mut Instance| match graph {
        Graph::Encoder => instance.encode(&inputs).map(drop),
        Graph::Sequence => {
            let batch = SequenceBatch {
                steps,
                real: &real,
                features: &inputs,
                history: &history,
                valid: &valid,
            };
            instance.sequence(batch).map(drop)
        }
    };
    run(instance)?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let stopwatch = instance.stopwatch();
        run(instance)?;
        times.push(reading(&stopwatch));
    }
    times.sort_unstable();
    Ok(times.get(runs / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_use_all_cores_unless_they_are_told() {
        let layout = |workers, threads| Layout { workers, threads };
        let candidates =
            |cores, workers, threads| Layout::candidates(Provider::Cpu, cores, (workers, threads));
        assert_eq!(candidates(1, None, None), [layout(1, 1)]);
        assert_eq!(candidates(2, None, None), [layout(2, 1), layout(1, 2)]);
        assert_eq!(
            candidates(16, None, None),
            [layout(16, 1), layout(4, 4), layout(1, 16)]
        );
        assert_eq!(candidates(4, Some(3), None), [layout(3, 1)]);
        assert_eq!(candidates(4, None, Some(2)), [layout(2, 2)]);
    }

    #[test]
    fn a_gpu_has_streams_whatever_the_cores() {
        let layout = |workers| Layout {
            workers,
            threads: 1,
        };
        let candidates = |workers| Layout::candidates(Provider::Cuda, 16, (workers, None));
        assert_eq!(candidates(None), [1, 2, 4].map(layout));
        assert_eq!(candidates(Some(3)), [layout(3)]);
    }
}
