//! Opening an engine: library, bundle, sessions, golden check, workers.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::lane::PIECE_SAMPLES;
use super::{Engine, HELD_UNITS, PIECES_UNDER_WAY};
use crate::audio::Limits;
use crate::bundle::{Bundle, BundleError, embedded};
use crate::frontend::{FRAME_HOP, SEGMENT_VALUES, Spec};
use crate::runtime::{Device as _, Instance, Library, RuntimeError, SequenceBatch, Sizes, golden};
use crate::scheduler::Scheduler;
use crate::scheduler::core::{Bounds, Graph, Shapes};

/// What an engine is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the bundle; the embedded one if there is none.
    pub bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library; searched for if there is none.
    pub onnxruntime: Option<PathBuf>,
    /// Single-threaded sets of sessions; one a core if there is none. More threads inside a
    /// session make small graphs slower (docs/design.md).
    pub workers: Option<usize>,
    /// Requests answered at a time.
    pub requests: usize,
    /// Bounds of one recording.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bundle: None,
            onnxruntime: None,
            workers: None,
            requests: 256,
            limits: Limits::default(),
        }
    }
}

/// Why an engine does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle cannot be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The system gives no thread.
    #[error("a worker thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// Opens a bundle, proves on every set of sessions that it computes the golden vectors, and runs
    /// every batch shape once. Takes a tenth of a second a worker; call it from a thread that may
    /// block.
    ///
    /// # Errors
    /// The first check that fails, in one sentence.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let library = Library::load(options.onnxruntime.as_deref()).map_err(RuntimeError::from)?;
        let bundle = match &options.bundle {
            Some(folder) => Bundle::open(folder)?,
            None => Bundle::from_files(embedded::files())?,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (sizes, shapes) = (Sizes::of(&bundle.manifest), Shapes::default());
        let mut instances = Vec::new();
        for _ in 0..options.workers.unwrap_or(cores).max(1) {
            let mut instance = Instance::open(&library, &bundle)?;
            golden::verify(&mut instance, &bundle, golden::TOLERANCE)?;
            warm_up(&mut instance, sizes, &shapes)?;
            instances.push(instance);
        }
        let bounds = bounds(options, sizes, &bundle.manifest.frontend);
        Ok(Self {
            scheduler: Scheduler::start(instances, sizes, bounds, shapes)?,
            spec: Arc::new(bundle.manifest.frontend.clone()),
            card: bundle.card(),
            runtime: format!("{} ({})", library.path.display(), library.info()),
            manifest: bundle.manifest,
            limits: options.limits,
            decoders: Arc::new(Semaphore::new(cores)),
            held: Arc::new(Semaphore::new(HELD_UNITS)),
            requests: Semaphore::new(options.requests),
            most_requests: options.requests,
        })
    }
}

/// What the requests that have a place can hold at most: pieces under way, or a chunk a lane. So
/// nobody who has a place is refused halfway.
fn bounds(options: &Options, sizes: Sizes, spec: &Spec) -> Bounds {
    // The first piece of a lane may end one hop later than the others.
    let segments = PIECE_SAMPLES / (spec.segment_hop * FRAME_HOP) + 1;
    let piece = segments * SEGMENT_VALUES * size_of::<f32>();
    let lanes = usize::from(options.limits.channels);
    let steps = Shapes::default().most_steps();
    let chunk = (sizes.history_values() + steps * sizes.features) * size_of::<f32>();
    let entries = PIECES_UNDER_WAY.max(lanes);
    let bytes = (PIECES_UNDER_WAY * piece).max(lanes * chunk);
    Bounds {
        entries: options.requests.saturating_mul(entries),
        bytes: options.requests.saturating_mul(bytes),
    }
}

/// Runs every shape once, so that no caller pays for a first time.
fn warm_up(instance: &mut Instance, sizes: Sizes, shapes: &Shapes) -> Result<(), RuntimeError> {
    for shape in shapes.all(Graph::Encoder) {
        instance.encode(&vec![0.0; shape.rows * SEGMENT_VALUES])?;
    }
    for shape in shapes.all(Graph::Sequence) {
        instance.sequence(SequenceBatch {
            steps: shape.steps,
            real: &vec![shape.steps; shape.rows],
            features: &vec![0.0; shape.rows * shape.steps * sizes.features],
            history: &vec![0.0; shape.rows * sizes.history_values()],
            valid: &vec![0; shape.rows],
        })?;
    }
    Ok(())
}
