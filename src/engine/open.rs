//! Opening an engine: library, bundle, sessions, golden check, workers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Engine;
use super::class_rule::ClassRule;
use super::hearing::Hearing;
use super::intake::Intake;
use super::memory::Memory;
use super::needs::Needs;
use super::warm_up::{self, Layout};
use crate::audio::Limits;
use crate::bundle::{Bundle, BundleError, embedded};
use crate::runtime::{Library, Provider, RuntimeError, Sizes};
use crate::scheduler::core::{Bounds, Policy};
use crate::scheduler::{Clock, Scheduler};

/// Channels of one's own files: a block of more would take a gigabyte.
const MOST_CHANNELS: u16 = 256;

/// What an engine is opened with.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Folder of the bundle; the embedded one if there is none.
    pub bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library; searched for if there is none.
    pub onnxruntime: Option<PathBuf>,
    /// What the sessions run on.
    pub provider: Provider,
    /// Sets of sessions, each on its own thread; measured at warm-up if there is none.
    pub workers: Option<usize>,
    /// Threads inside each session; measured at warm-up if there is none.
    pub threads: Option<usize>,
    /// Requests answered at a time.
    pub requests: usize,
    /// What the scheduler keeps to, beside that.
    pub schedule: Schedule,
    /// Bounds of one recording.
    pub limits: Limits,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            bundle: None,
            onnxruntime: None,
            provider: Provider::default(),
            workers: None,
            threads: None,
            requests: 256,
            schedule: Schedule::default(),
            limits: Limits::default(),
        }
    }
}

impl EngineOptions {
    /// For the files of whoever runs the process: none is too long or too large.
    #[must_use]
    pub fn for_own_files() -> Self {
        // A century, which no sum of times overflows.
        let ever = Duration::from_secs(100 * 366 * 86_400);
        Self {
            schedule: Schedule {
                interactive_backlog: ever,
                bulk_backlog: ever,
                interactive_audio: ever,
                ..Schedule::default()
            },
            limits: Limits {
                bytes: usize::MAX,
                seconds: f64::INFINITY,
                channels: MOST_CHANNELS,
                seconds_per_megabyte: f64::MAX,
                decoded_bytes: usize::MAX,
                held_bytes: usize::MAX,
                time: Duration::MAX,
            },
            ..Self::default()
        }
    }
}

/// What the scheduler keeps to.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Bytes of tensors held for requests.
    pub bytes: usize,
    /// Device time of interactive requests that may be held, all devices together.
    pub interactive_backlog: Duration,
    /// The same of bulk requests.
    pub bulk_backlog: Duration,
    /// Time that no batch exceeds.
    pub max_batch_time: Duration,
    /// How long work may wait for companions on a free device, where the table says that they pay.
    pub max_queue_delay: Duration,
    /// As [`Policy::bulk_share`].
    pub bulk_share: f64,
    /// Length of the longest recording that is interactive without a deadline; longer ones are bulk.
    pub interactive_audio: Duration,
    /// Weights of tenants by name; 1 for all others.
    pub weights: BTreeMap<String, u32>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            bytes: 512 << 20,
            interactive_backlog: Duration::from_secs(10),
            bulk_backlog: Duration::from_secs(120),
            max_batch_time: Duration::from_millis(10),
            max_queue_delay: Duration::ZERO,
            bulk_share: 0.1,
            interactive_audio: Duration::from_secs(30),
            weights: BTreeMap::new(),
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
    /// Opens a bundle, proves on every set of sessions that it computes the golden vectors, and
    /// measures what each batch shape costs. Takes about a second; call it from a thread that may
    /// block.
    ///
    /// # Errors
    /// The first check that fails, in one sentence.
    pub fn open(options: &EngineOptions) -> Result<Self, OpenError> {
        Self::open_unless(options, &|| false)
    }

    /// As [`Engine::open`], but given up soon after `stopped` says so: it is asked before each set of
    /// sessions is made and before each batch shape is measured.
    ///
    /// # Errors
    /// As [`Engine::open`], and [`RuntimeError::Stopped`].
    pub fn open_unless(
        options: &EngineOptions,
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, OpenError> {
        let library = Library::load(options.onnxruntime.as_deref())
            .map_err(RuntimeError::from)?
            .on(options.provider);
        for file in &library.passed_over {
            tracing::warn!(reason = file, "a copy of ONNX Runtime was passed over");
        }
        let bundle = match &options.bundle {
            Some(folder) => Bundle::open(folder)?,
            None => Bundle::from_files(embedded::files())?,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sizes = Sizes::of(&bundle.manifest);
        let wanted =
            Layout::candidates(options.provider, cores, (options.workers, options.threads));
        let warm = warm_up::measure(&library, &bundle, &wanted, stopped)?;
        let policy = policy(options, warm.instances.len());
        let spec = Arc::new(bundle.manifest.frontend.clone());
        let hearing = Hearing::of(&bundle.manifest);
        warm_up::report(&warm);
        let scheduler =
            Scheduler::start(warm.instances, sizes, policy, warm.costs, Clock::system())?;
        Ok(Self {
            needs: Needs::new(Arc::clone(&spec), sizes, scheduler.most_steps()),
            scheduler,
            intake: Intake::start((spec, hearing), options.limits, cores, options.requests)?,
            memory: Memory::start()?,
            card: bundle.card(),
            provider: options.provider,
            runtime: format!("{} ({})", library.path.display(), library.info()),
            manifest: bundle.manifest,
            weights: options.schedule.weights.clone(),
            class_rule: ClassRule {
                interactive_audio: options.schedule.interactive_audio,
            },
            draining: watch::Sender::new(false),
        })
    }
}

fn policy(options: &EngineOptions, instances: usize) -> Policy {
    let schedule = &options.schedule;
    Policy {
        instances,
        bounds: Bounds {
            jobs: options.requests,
            bytes: schedule.bytes,
            backlog: [schedule.interactive_backlog, schedule.bulk_backlog],
        },
        max_batch_time: schedule.max_batch_time,
        max_queue_delay: schedule.max_queue_delay,
        bulk_share: schedule.bulk_share,
    }
}
