//! Measures the cost of a bundle on this machine before the first request: which number of sessions and
//! threads has the highest throughput, and the time of each batch shape.

use std::sync::Barrier;
use std::time::Duration;

use ndarray::{Array2, ArrayView1, ArrayView3};

use crate::bundle::Bundle;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{
    Device as _, Instance, Library, Provider, RuntimeError, SequenceBatch, Sizes, Stopwatch,
    golden, segments_view,
};
use crate::scheduler::core::{CostTable, Graph, Shape, Shapes};
use crate::telemetry::batches;

/// Measured runs of each shape. Their median counts. One more run before them may allocate memory.
const RUNS: usize = 5;
/// Rows of a GPU's batches: segments, chunks.
const CUDA_ROWS: [usize; 2] = [128, 32];
/// Measured runs of each shape when layouts are compared.
const TRIALS: usize = 15;

/// Returns whether the measurement should stop.
pub(super) type StopCheck<'a> = &'a (dyn Fn() -> bool + Sync);

/// How the cores of a machine are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Sets of sessions that run at the same time.
    pub(super) workers: usize,
    /// Threads inside each session.
    pub(super) threads: usize,
}

impl Layout {
    /// Returns the layouts to compare. A requested number of workers or threads is kept. Otherwise, on a
    /// CPU: one session per core, a single session with all cores, and √cores threads in each session. On a
    /// GPU: one, two and four streams, because one can move tensors while another computes.
    pub(super) fn candidates(
        provider: Provider,
        cores: usize,
        workers: Option<usize>,
        threads: Option<usize>,
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

/// The chosen layout with its sessions and costs.
#[derive(Debug)]
pub(super) struct WarmUp {
    pub(super) layout: Layout,
    pub(super) instances: Vec<Instance>,
    pub(super) costs: CostTable,
}

/// Opens the sessions of each layout and checks that they compute the golden vectors. Returns the layout that
/// runs the batches of a recording fastest, with its cost table.
pub(super) fn measure(
    library: &Library,
    bundle: &Bundle,
    layouts: &[Layout],
    should_stop: StopCheck<'_>,
) -> Result<WarmUp, RuntimeError> {
    let sizes = Sizes::of(&bundle.manifest);
    let mut best: Option<(Duration, Layout, Vec<Instance>)> = None;
    for layout in layouts {
        let mut instances = open(library, bundle, *layout, should_stop)?;
        let time = match layouts {
            [_] => Duration::ZERO,
            _ => trial(
                &mut instances,
                sizes,
                trial_shapes(library.provider()),
                should_stop,
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
            (layout, open(library, bundle, layout, should_stop)?)
        }
    };
    let costs = table(
        &mut instances,
        sizes,
        shapes(library.provider()),
        should_stop,
    )?;
    Ok(WarmUp {
        layout,
        instances,
        costs,
    })
}

/// Logs and exports the measured costs.
pub(super) fn report(warm_up: &WarmUp) {
    for graph in Graph::ALL {
        for shape in warm_up.costs.shapes().all(graph) {
            let time = warm_up.costs.of(graph, shape);
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
        let shapes = warm_up.costs.shapes();
        let steps = match graph {
            Graph::Encoder => 1,
            Graph::Sequence => shapes.most_steps(),
        };
        let rows = shapes.rows(graph);
        let micros = |rows: Option<&usize>| {
            let rows = rows.copied().unwrap_or(1);
            warm_up.costs.of(graph, Shape { rows, steps }).as_micros()
        };
        [micros(rows.first()), micros(rows.last())]
    };
    let [segments, chunks] = Graph::ALL.map(least_and_most);
    tracing::info!(
        workers = warm_up.layout.workers,
        threads = warm_up.layout.threads,
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
    should_stop: StopCheck<'_>,
) -> Result<Vec<Instance>, RuntimeError> {
    (0..layout.workers)
        .map(|_| {
            check_not_stopped(should_stop)?;
            let mut instance = Instance::with_threads(library, bundle, layout.threads)?;
            golden::verify(&mut instance, bundle, golden::TOLERANCE)?;
            Ok(instance)
        })
        .collect()
}

/// Returns the closed set of shapes. On a GPU there is one for each graph, because a large batch takes hardly
/// longer than a small one. A session that gets another shape than before plans its convolutions again, which
/// takes many times longer than a batch.
fn shapes(provider: Provider) -> Shapes {
    match provider {
        Provider::Cpu => Shapes::default(),
        Provider::Cuda => Shapes::one(CUDA_ROWS[0], CUDA_ROWS[1]),
    }
}

/// Returns the shapes with which layouts are compared: the usual batches under load, one of segments and one
/// of chunks.
fn trial_shapes(provider: Provider) -> [Shape; 2] {
    let rows = match provider {
        Provider::Cpu => [8, 2],
        Provider::Cuda => CUDA_ROWS,
    };
    [(rows[0], 1), (rows[1], 32)].map(|(rows, steps)| Shape { rows, steps })
}

/// Measures one shape of each graph on all instances at the same time, as the median of [`TRIALS`] runs. Returns the time of the slowest instance
/// divided by their number.
fn trial(
    instances: &mut [Instance],
    sizes: Sizes,
    [segments, chunks]: [Shape; 2],
    should_stop: StopCheck<'_>,
) -> Result<Duration, RuntimeError> {
    let workers = u32::try_from(instances.len()).unwrap_or(u32::MAX);
    let times = at_the_same_time(instances, |instance| {
        // Time by the clock, because threads wait for each other if there are fewer processors.
        let time = |instance: &mut Instance, graph, shape| {
            check_not_stopped(should_stop)?;
            median(TRIALS, Stopwatch::elapsed, instance, (graph, shape), sizes)
        };
        let segments = time(instance, Graph::Encoder, segments)?;
        let chunks = time(instance, Graph::Sequence, chunks)?;
        Ok(segments + chunks)
    })?;
    let slowest = times.into_iter().max().unwrap_or_default();
    Ok(slowest / workers)
}

/// Measures the cost table on all instances at the same time, as they will run. Each cost is the median over
/// the instances.
fn table(
    instances: &mut [Instance],
    sizes: Sizes,
    shapes: Shapes,
    should_stop: StopCheck<'_>,
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
    let measured = at_the_same_time(instances, |instance| {
        all.iter()
            .map(|batch| {
                check_not_stopped(should_stop)?;
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

fn check_not_stopped(should_stop: StopCheck<'_>) -> Result<(), RuntimeError> {
    if should_stop() {
        return Err(RuntimeError::Stopped);
    }
    Ok(())
}

fn at_the_same_time<T: Send>(
    instances: &mut [Instance],
    measure: impl Fn(&mut Instance) -> Result<T, RuntimeError> + Sync,
) -> Result<Vec<T>, RuntimeError> {
    let start = Barrier::new(instances.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = instances
            .iter_mut()
            .map(|instance| {
                scope.spawn(|| {
                    start.wait();
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

/// Returns the median over `runs` runs of a batch of what `reading` reads from the stopwatch.
fn median(
    runs: usize,
    reading: impl Fn(&Stopwatch) -> Duration,
    instance: &mut Instance,
    batch: (Graph, Shape),
    sizes: Sizes,
) -> Result<Duration, RuntimeError> {
    let (graph, Shape { rows, steps }) = batch;
    // Not timed, because under load these buffers are ready.
    let inputs = match graph {
        Graph::Encoder => vec![0.1; rows * SEGMENT_VALUES],
        Graph::Sequence => vec![0.1; rows * steps * sizes.features],
    };
    let history = Array2::from_elem((rows, sizes.history_values()), 0.1);
    let (real, valid) = (vec![steps; rows], vec![0; rows]);
    let run = |instance: &mut Instance| match graph {
        Graph::Encoder => instance.encode(segments_view(&inputs)?).map(drop),
        Graph::Sequence => {
            let batch = SequenceBatch {
                real: &real,
                features: ArrayView3::from_shape((rows, steps, sizes.features), &inputs)?,
                history: history.view(),
                valid: ArrayView1::from(&valid),
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
    fn layouts_use_all_cores_unless_a_number_is_requested() {
        let layout = |workers, threads| Layout { workers, threads };
        let candidates =
            |cores, workers, threads| Layout::candidates(Provider::Cpu, cores, workers, threads);
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
    fn a_gpu_has_streams_independent_of_the_cores() {
        let layout = |workers| Layout {
            workers,
            threads: 1,
        };
        let candidates = |workers| Layout::candidates(Provider::Cuda, 16, workers, None);
        assert_eq!(candidates(None), [1, 2, 4].map(layout));
        assert_eq!(candidates(Some(3)), [layout(3)]);
    }
}
