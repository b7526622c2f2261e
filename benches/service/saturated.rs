//! The scheduler with more work than it can do, compared with a plain loop. The loop replays the batches that the
//! scheduler ran, shape for shape, through ONNX Runtime on sessions of the same kind.

use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use ndarray::{ArrayView4, Axis};
use ort::value::TensorRef;
use undertone::bundle::{Bundle, embedded, names};
use undertone::engine::use_batch_scheduling_policy;
use undertone::frontend::{BINS, SEGMENT_FRAMES, SEGMENT_VALUES, Segmenter, Segments};
use undertone::runtime::{
    Device, Encoded, Instance, Library, RuntimeError, SequenceBatch, Sizes, StepEvidence,
    StopHandle, Stopwatch,
};
use undertone::scheduler::core::{
    Bounds, Class, CostTable, Graph, PerClass, Policy, Shape, Shapes, Work,
};
use undertone::scheduler::{Clock, Scheduler, Terms};

use crate::{Figures, quantile, speech};

/// Rounds of service and replay, in turn. The median of their ratios counts.
pub(crate) const ROUNDS: usize = 29;
const ROUND: Duration = Duration::from_millis(500);
const CALLERS: usize = 48;
/// Lengths of the callers' recordings, in seconds of audio.
const LENGTHS: [f64; 4] = [1.5, 3.0, 4.5, 8.0];

/// A batch that was run.
#[derive(Clone, Copy)]
struct LoggedBatch {
    begun: Instant,
    graph: Graph,
    shape: Shape,
}

/// The batches of one worker.
type Log = Arc<Mutex<Vec<LoggedBatch>>>;

/// A device that logs the batches that it runs.
struct LoggingDevice {
    instance: Instance,
    log: Log,
}

impl LoggingDevice {
    fn log(&self, graph: Graph, rows: usize, steps: usize) {
        self.log.lock().unwrap().push(LoggedBatch {
            begun: Instant::now(),
            graph,
            shape: Shape { rows, steps },
        });
    }
}

impl Device for LoggingDevice {
    fn stop_handle(&self) -> Arc<dyn StopHandle> {
        self.instance.stop_handle()
    }

    fn stopwatch(&self) -> Stopwatch {
        self.instance.stopwatch()
    }

    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
        self.log(Graph::Encoder, segments.len_of(Axis(0)), 1);
        self.instance.encode(segments)
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        self.log(
            Graph::Sequence,
            batch.real.len(),
            batch.features.len_of(Axis(1)),
        );
        self.instance.sequence(batch)
    }
}

/// Returns the scheduler's throughput divided by the replay's.
pub(crate) fn measure(rounds: usize) -> Figures {
    // All threads of this part have the server's scheduling policy. A thread of its own keeps that from other parts.
    let measured = std::thread::spawn(move || {
        use_batch_scheduling_policy();
        measure_here(rounds)
    });
    measured.join().unwrap()
}

fn measure_here(rounds: usize) -> Figures {
    let library = Library::load(None).unwrap();
    let bundle = Bundle::from_files(embedded::files()).unwrap();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut loops: Vec<Plain> = (0..workers)
        .map(|_| Plain::open(&library, &bundle))
        .collect();
    let costs = costs(&mut loops[0]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let service = Service::start(&library, &bundle, workers, costs);
    // The first round does not count: memory is allocated, and predictions settle.
    runtime.block_on(service.serve());
    let mut ratios = Vec::new();
    let mut rows = Vec::new();
    for _ in 0..rounds {
        let ran = runtime.block_on(service.serve());
        let replayed = replay(&mut loops, &ran);
        rows.extend(ran.iter().flatten().map(|batch| batch.shape.rows as f64));
        ratios.push(replayed.as_secs_f64() / ROUND.as_secs_f64());
    }
    println!(
        "saturated: {} batches of {:.1} rows on {workers} workers; ratios {:.3} to {:.3}",
        rows.len(),
        rows.iter().sum::<f64>() / rows.len() as f64,
        quantile(&mut ratios, 0.0),
        quantile(&mut ratios, 1.0),
    );
    vec![(
        "saturated_ratio_to_raw_ort",
        format!("{:.3}", quantile(&mut ratios, 0.5)),
    )]
}

/// The scheduler, and the batches that its devices ran.
struct Service {
    scheduler: Scheduler,
    logs: Vec<Log>,
    recordings: Vec<Arc<Vec<f32>>>,
}

impl Service {
    fn start(library: &Library, bundle: &Bundle, workers: usize, costs: CostTable) -> Self {
        let sizes = Sizes::of(&bundle.manifest);
        let logs: Vec<Log> = (0..workers).map(|_| Log::default()).collect();
        let devices = logs
            .iter()
            .map(|log| LoggingDevice {
                instance: Instance::open(library, bundle).unwrap(),
                log: Arc::clone(log),
            })
            .collect();
        let policy = Policy {
            instances: workers,
            bounds: Bounds {
                jobs: 2 * CALLERS,
                bytes: 1 << 30,
                backlog: PerClass::from_fn(|_| Duration::from_secs(60)),
            },
            max_batch_time: Duration::from_millis(10),
            max_queue_delay: Duration::ZERO,
            bulk_share: 0.1,
        };
        Self {
            scheduler: Scheduler::start(devices, sizes, policy, costs, Clock::system()).unwrap(),
            logs,
            recordings: LENGTHS
                .iter()
                .map(|&length| segments(bundle, length))
                .collect(),
        }
    }

    /// Serves callers for a round, each of which calls again at once. Returns each worker's batches. Batches that begin
    /// after the round do not count, because fewer and fewer callers are left then.
    async fn serve(&self) -> Vec<Vec<LoggedBatch>> {
        let begun = Instant::now();
        let callers = (0..CALLERS).map(async |caller| {
            let segments = &self.recordings[caller % self.recordings.len()];
            while begun.elapsed() < ROUND {
                recording(&self.scheduler, caller, segments).await;
            }
        });
        futures_util::future::join_all(callers).await;
        let mut all: Vec<_> = self
            .logs
            .iter()
            .map(|log| std::mem::take(&mut *log.lock().unwrap()))
            .collect();
        for batches in &mut all {
            batches.retain(|batch| batch.begun < begun + ROUND);
        }
        all
    }
}

async fn recording(scheduler: &Scheduler, caller: usize, segments: &Arc<Vec<f32>>) {
    let count = segments.len() / SEGMENT_VALUES;
    let class = Class::ALL[caller % 2];
    let ticket = scheduler
        .admit(Terms {
            tenant: ["red", "green", "blue"][caller % 3].into(),
            weight: 1,
            class,
            deadline: None,
            work: Work {
                segments: count,
                steps: count,
            },
            bytes: 4 * segments.len() + (1 << 20),
        })
        .unwrap();
    let segments = Arc::clone(segments);
    ticket.lane(0, segments, vec![0]).unwrap().await.unwrap();
}

fn segments(bundle: &Bundle, seconds: f64) -> Arc<Vec<f32>> {
    let mut segmenter = Segmenter::new(Arc::new(bundle.manifest.frontend.clone()));
    let mut segments = Segments::default();
    segmenter
        .push(&speech::samples(seconds), &mut segments)
        .unwrap();
    segmenter.finish(&mut segments).unwrap();
    segments.into_values().into()
}

/// Returns the time that the workers' batches take in plain loops, side by side.
fn replay(loops: &mut [Plain], ran: &[Vec<LoggedBatch>]) -> Duration {
    let together = Barrier::new(loops.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = loops
            .iter_mut()
            .zip(ran)
            .map(|(plain, batches)| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    let begun = Instant::now();
                    for batch in batches {
                        plain.run(batch.graph, batch.shape);
                    }
                    begun.elapsed()
                })
            })
            .collect();
        let times = threads.into_iter().map(|thread| thread.join().unwrap());
        times.max().unwrap()
    })
}

/// ONNX Runtime and nothing else: inputs are ready in memory, outputs are dropped.
struct Plain {
    encoder: ort::session::Session,
    sequence: ort::session::Session,
    segments: Vec<f32>,
    features: Vec<f32>,
    history: Vec<f32>,
    valid: Vec<i64>,
    sizes: Sizes,
}

impl Plain {
    fn open(library: &Library, bundle: &Bundle) -> Self {
        let session = |file| library.session(bundle.file(file).unwrap(), 1).unwrap();
        let sizes = Sizes::of(&bundle.manifest);
        let rows = Shapes::default().most_rows(Graph::Encoder);
        let one = segments(bundle, 8.0);
        Self {
            encoder: session(names::ENCODER),
            sequence: session(names::SEQUENCE),
            segments: one
                .iter()
                .copied()
                .cycle()
                .take(rows * SEGMENT_VALUES)
                .collect(),
            features: vec![0.1; rows * 32 * sizes.features],
            history: vec![0.1; rows * sizes.history_values()],
            valid: vec![32; rows],
            sizes,
        }
    }

    fn run(&mut self, graph: Graph, Shape { rows, steps }: Shape) {
        let c = self.sizes.features;
        let h = self.sizes.history_values() / c;
        let outputs = match graph {
            Graph::Encoder => {
                let shape = [rows, 1, SEGMENT_FRAMES, BINS];
                let segments = &self.segments[..rows * SEGMENT_VALUES];
                let inputs = ort::inputs![
                    "segments" => TensorRef::from_array_view((shape, segments)).unwrap(),
                ];
                self.encoder.run(inputs)
            }
            Graph::Sequence => {
                let features = &self.features[..rows * steps * c];
                let history = &self.history[..rows * h * c];
                let inputs = ort::inputs![
                    "features" => TensorRef::from_array_view(([rows, steps, c], features)).unwrap(),
                    "history" => TensorRef::from_array_view(([rows, h, c], history)).unwrap(),
                    "valid" => TensorRef::from_array_view(([rows], &self.valid[..rows])).unwrap(),
                ];
                self.sequence.run(inputs)
            }
        };
        std::hint::black_box(outputs.unwrap());
    }
}

fn costs(plain: &mut Plain) -> CostTable {
    CostTable::new(Shapes::default(), |graph, shape| {
        let mut times: Vec<f64> = (0..9)
            .map(|_| {
                let begun = Instant::now();
                plain.run(graph, shape);
                begun.elapsed().as_secs_f64()
            })
            .collect();
        let time = Duration::from_secs_f64(quantile(&mut times, 0.5));
        println!(
            "cost {} {}x{} {} us",
            graph.name(),
            shape.rows,
            shape.steps,
            time.as_micros()
        );
        time
    })
}
