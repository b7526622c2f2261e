//! One bundle, ready to classify: the way of a recording from bytes to predictions.
//!
//! bytes → lanes of samples (`audio`) → segments (`frontend`) and turns (`speech`) → features
//! (`scheduler`, encoder) → step evidence (`scheduler`, sequence) → predictions (`decision`). Decoding and
//! segmenting need a processor and run on a bounded number of blocking threads. The rest waits for
//! batches. Read [`Engine::classify`] first. The engine does not depend on gRPC, the command line or the
//! configuration.

mod audio_file;
mod class_rule;
mod classification;
mod decoders;
mod error;
mod file_segmentation;
mod idle_memory;
mod intake;
mod lane;
mod options;
mod piece;
mod refusals;
mod request;
mod sample_time;
mod scheduler_sink;
mod segmentation;
mod submission;
mod tenant_name;
mod threads;
mod turn_detection;
mod warm_up;
mod work_estimate;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::watch;

use crate::audio;
use crate::bundle::{Bundle, Manifest};
use crate::decision::{Abstention, Evidence, PredictionRule, SpanClassifier};
use crate::frontend::SAMPLE_RATE;
use crate::runtime::{Library, RuntimeError, Sizes};
use crate::scheduler::{Clock, Scheduler, Terms, Ticket, TimeSpent};
use crate::telemetry::requests;
use class_rule::ClassRule;
use idle_memory::IdleTrimmer;
use intake::Intake;
use lane::LaneInfo;
use refusals::count_refusal;
use sample_time::sample_time;
use scheduler_sink::SchedulerSink;
use submission::LaneOutput;
use turn_detection::TurnDetection;
use warm_up::Layout;
use work_estimate::WorkEstimator;

pub use crate::runtime::Provider;
pub use crate::scheduler::core::{Class, Refusal, TenantId};
pub use audio_file::{AudioFile, DecodeProgress};
pub use classification::{Classification, Lane, Timing};
pub use error::{BusyReason, EngineError, InternalError, OpenError};
pub use idle_memory::limit_retained_memory;
pub use options::{EngineOptions, Schedule};
pub use request::{Audio, Caller, Request};
pub use tenant_name::{TENANT_NAME, is_tenant_name};
pub use threads::use_batch_scheduling_policy;

/// One bundle, loaded and ready to classify. Several tasks may share it.
#[derive(Debug)]
pub struct Engine {
    manifest: Manifest,
    card: String,
    runtime: String,
    provider: Provider,
    estimator: WorkEstimator,
    intake: Intake,
    scheduler: Scheduler,
    trimmer: IdleTrimmer,
    weights: BTreeMap<String, u32>,
    class_rule: ClassRule,
    /// Whether no new request is admitted.
    draining: watch::Sender<bool>,
}

impl Engine {
    /// Opens a bundle. Checks on every set of sessions that it computes the golden vectors, and measures
    /// the cost of each batch shape. Takes about a second and blocks the calling thread.
    ///
    /// # Errors
    /// The first check that fails, in one sentence.
    pub fn open(options: &EngineOptions) -> Result<Self, OpenError> {
        Self::open_unless(options, &|| false)
    }

    /// Opens a bundle as [`Engine::open`], but stops soon after `should_stop` returns `true`. It is called
    /// before each set of sessions is opened and before each batch shape is measured.
    ///
    /// # Errors
    /// As [`Engine::open`], and [`RuntimeError::Stopped`].
    pub fn open_unless(
        options: &EngineOptions,
        should_stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, OpenError> {
        let bundle = match &options.bundle {
            Some(folder) => Bundle::open(folder)?,
            None => Bundle::embedded()?,
        };
        let library = Library::load(options.onnxruntime.as_deref())
            .map_err(RuntimeError::from)?
            .on(options.provider);
        for file in &library.skipped {
            tracing::warn!(
                reason = file,
                "skipped a copy of ONNX Runtime that does not load"
            );
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let layouts = Layout::candidates(options.provider, cores, options.workers, options.threads);
        let warm_up = warm_up::measure(&library, &bundle, &layouts, should_stop)?;
        warm_up::report(&warm_up);
        let sizes = Sizes::of(&bundle.manifest);
        let policy = options.policy(warm_up.instances.len());
        let scheduler = Scheduler::start(
            warm_up.instances,
            sizes,
            policy,
            warm_up.costs,
            Clock::system(),
        )?;
        let spec = Arc::new(bundle.manifest.frontend.clone());
        Ok(Self {
            estimator: WorkEstimator::new(Arc::clone(&spec), sizes, scheduler.most_steps()),
            scheduler,
            intake: Intake::start(
                spec,
                TurnDetection::of(&bundle.manifest),
                options.limits,
                cores,
                options.requests,
            )?,
            trimmer: IdleTrimmer::start()?,
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

    /// Returns the manifest of the bundle.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the model card in Markdown.
    #[must_use]
    pub fn card(&self) -> &str {
        &self.card
    }

    /// Returns ONNX Runtime's file, and the build that it reports.
    #[must_use]
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Returns where batches run: on the processor or a GPU.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Returns the bounds of one recording.
    #[must_use]
    pub fn limits(&self) -> &audio::Limits {
        self.intake.limits()
    }

    /// Stops the admission of requests. Admitted requests still end.
    pub fn drain(&self) {
        self.scheduler.drain();
        self.draining.send_replace(true);
    }

    /// Returns whether [`Engine::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until [`Engine::drain`] is called. Dropping the future has no effect.
    pub async fn draining(&self) {
        let mut draining = self.draining.subscribe();
        // Waiting fails only if the sender is dropped, and the engine owns it.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// Classifies one recording. Dropping the future cancels the work that has not run yet.
    ///
    /// # Errors
    /// [`EngineError`]. The engine serves later requests whatever the error.
    pub async fn classify(&self, mut request: Request) -> Result<Classification, EngineError> {
        let _call = self.trimmer.call();
        let estimate = match &request.audio {
            Audio::Memory(bytes) => audio::estimate(bytes, request.encoding),
            Audio::File(file) => file.estimate(),
        };
        let caller = request.caller.clone();
        let length = Duration::try_from_secs_f64(estimate.seconds).unwrap_or(Duration::MAX);
        request.caller.class = self.class_rule.class(&caller, length);
        let mut ticket = self.admit(&request, &estimate)?;
        let ended = ticket.ended();
        tokio::select! {
            biased;
            classification = self.classify_admitted(request, caller, Arc::new(ticket)) => classification,
            end = ended => Err(end.into()),
        }
    }

    /// Gets a ticket from the scheduler, for the estimated work of a recording that is not decoded yet.
    fn admit(&self, request: &Request, estimate: &audio::Estimate) -> Result<Ticket, EngineError> {
        let Caller {
            tenant,
            class,
            deadline,
        } = request.caller.clone();
        let limits = self.limits();
        let samples = estimate.seconds.min(limits.seconds) * f64::from(SAMPLE_RATE);
        let lanes = usize::from(request.lanes.count(estimate.channels.min(limits.channels)));
        let mut segments = self.estimator.segments(samples as usize) * lanes;
        let weight = self.weights.get(&*tenant.0).copied().unwrap_or(1);
        loop {
            let terms = Terms {
                tenant: tenant.clone(),
                weight,
                class,
                deadline,
                work: self.estimator.work(segments),
                bytes: self.estimator.bytes(segments, lanes),
            };
            match self.scheduler.admit(terms) {
                // A guess alone must not refuse a recording that may be small enough. The guess is halved
                // until it fits. `SchedulerSink::announce` refuses the recording after decoding, if necessary.
                Err(
                    Refusal::TooMuch { .. } | Refusal::TooManyBytes { .. } | Refusal::Late { .. },
                ) if !estimate.exact && segments > 1 => segments /= 2,
                joined => {
                    return Ok(joined.inspect_err(|refusal| count_refusal(refusal, class))?);
                }
            }
        }
    }

    /// Decodes, segments, runs and predicts a recording that has a ticket. `caller` has the class that was
    /// requested. `request` has the class that the rule chose.
    async fn classify_admitted(
        &self,
        request: Request,
        caller: Caller,
        ticket: Arc<Ticket>,
    ) -> Result<Classification, EngineError> {
        let window = request.window;
        let (submitter, results) = submission::channel(&ticket, request.caller.class);
        let sink = SchedulerSink {
            submitter,
            estimator: self.estimator.clone(),
            class_rule: self.class_rule,
            caller: caller.clone(),
        };
        let segmented = self.intake.segment(request, sink);
        let ((info, segmented), (outputs, mut spent)) =
            tokio::try_join!(segmented, results.collect())?;
        debug_assert_eq!(
            outputs.len(),
            segmented.lanes.len(),
            "a lane has at least one segment"
        );
        let duration = sample_time(info.samples);
        let class = self.class_rule.class(&caller, duration);
        let ticket = &ticket;
        let lanes = outputs.into_iter().zip(&segmented.lanes).enumerate();
        let lanes = lanes.map(async |(number, (output, lane))| {
            let (output, later) = match output {
                LaneOutput::Evidence(output) => (output, TimeSpent::default()),
                LaneOutput::Features(features) => {
                    let starts = lane.starts.clone();
                    let output = ticket.sequence(number, features, starts)?.await?;
                    let spent = output.spent;
                    (output, spent)
                }
            };
            let mut evidence = Evidence::new(self.manifest.labels.len());
            evidence.extend(&output.logits, &output.scores);
            Ok::<_, EngineError>((self.predict(lane, &evidence, window, class)?, later))
        });
        let mut predicted = Vec::new();
        for (lane, later) in try_join_all(lanes).await? {
            spent += later;
            predicted.push(lane);
        }
        Ok(Classification {
            duration,
            lanes: predicted,
            truncated: info.truncated,
            channels_changed: info.channels_changed,
            narrow_band: info.band.is_narrow(),
            timing: Timing {
                decode: info.time + segmented.time,
                spent,
            },
        })
    }

    /// Predicts the total, the turns and the windows of a lane from its step evidence.
    fn predict(
        &self,
        lane: &LaneInfo,
        evidence: &Evidence,
        window: Option<Duration>,
        class: Class,
    ) -> Result<Lane, EngineError> {
        let classifier = SpanClassifier {
            evidence,
            times: &lane.times,
            temperature: self.manifest.decision.temperature,
            rule: PredictionRule {
                abstain_below: self.manifest.decision.abstain_below,
            },
            reason: lane.short.then_some(Abstention::TooShort),
        };
        let total = classifier
            .total(&lane.turns)
            .ok_or(InternalError::NotFinite)?;
        let turns = lane.turns.iter().map(|turn| classifier.turn(turn));
        let turns = turns
            .collect::<Option<_>>()
            .ok_or(InternalError::NotFinite)?;
        requests::predicted(
            lane.times.end,
            class.name(),
            &self.manifest.labels[total.label],
            total.abstention.map(Abstention::name),
        );
        Ok(Lane {
            index: lane.index,
            total,
            turns,
            timeline: window.map_or_else(Vec::new, |window| classifier.timeline(window)),
        })
    }
}
