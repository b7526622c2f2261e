//! Opening an engine: library, bundle, sessions, golden check, workers.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Engine;
use crate::audio::Limits;
use crate::bundle::{Bundle, BundleError, embedded};
use crate::runtime::{Instance, Library, RuntimeError, golden};
use crate::scheduler::core::{Bounds, Shapes};
use crate::scheduler::{Scheduler, Sizes};

/// Entries that the scheduler may hold. A request has a handful at a time.
const MOST_ENTRIES: usize = 4_096;
/// Bytes of tensors that the scheduler may hold: some 30 minutes of audio waiting as segments.
const MOST_BYTES: usize = 256 << 20;

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
    /// Opens a bundle and proves on every set of sessions that it computes the golden vectors,
    /// which warms them up as well. Takes tens of milliseconds a worker; call it from a thread that
    /// may block.
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
        let mut instances = Vec::new();
        for _ in 0..options.workers.unwrap_or(cores).max(1) {
            let mut instance = Instance::open(&library, &bundle)?;
            golden::verify(&mut instance, &bundle)?;
            instances.push(instance);
        }
        let bounds = Bounds {
            entries: MOST_ENTRIES,
            bytes: MOST_BYTES,
        };
        let sizes = Sizes::of(&bundle.manifest);
        Ok(Self {
            scheduler: Scheduler::start(instances, sizes, bounds, Shapes::default())?,
            spec: Arc::new(bundle.manifest.frontend.clone()),
            card: bundle.card(),
            runtime: library.info().to_owned(),
            manifest: bundle.manifest,
            limits: options.limits,
            decoders: Arc::new(Semaphore::new(cores)),
            requests: Semaphore::new(options.requests),
            most_requests: options.requests,
        })
    }
}
