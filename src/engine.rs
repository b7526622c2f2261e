//! One bundle served: the way of a recording from bytes to answer, in one place.
//!
//! bytes → lanes of samples (`audio`) → segments (`frontend`) → features (`scheduler`, encoder) →
//! step evidence (`scheduler`, sequence) → predictions (`decision`). The first two are work for a
//! processor and run on a bounded number of blocking threads; the rest is waiting.

mod audio_file;
mod class_rule;
mod decoders;
mod hearing;
mod intake;
mod lane;
mod memory;
mod needs;
mod open;
mod streamed;
mod submission;
mod tenant_name;
mod threads;
mod warm_up;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::watch;

use crate::audio::{self, AudioError, Encoding, LaneChoice};
use crate::bundle::Manifest;
use crate::decision::{Abstention, Evidence, Prediction, PredictionRule, Span, SpanClassifier};
use crate::frontend::{FrontendError, SAMPLE_RATE};
pub use crate::runtime::Provider;
pub use crate::scheduler::core::{Class, TenantId};
use crate::scheduler::core::{End, Refusal, Work};
use crate::scheduler::{Failure, Scheduler, Spent, Terms, Ticket};
use crate::telemetry::{batches, requests};
pub use audio_file::{AudioFile, Decoded};
use class_rule::ClassRule;
use decoders::NoResult;
use intake::{Intake, Need};
use memory::Memory;
pub use memory::limit_retained_memory;
use needs::Needs;
pub use open::{EngineOptions, OpenError, Schedule};
use submission::Known;
pub use tenant_name::{TENANT_NAME, is_tenant_name};
pub use threads::use_batch_scheduling_policy;

/// Pieces of one recording that wait for batches or run.
const PIECES_UNDER_WAY: usize = 3;

/// One recording to classifier.
#[derive(Clone, Debug)]
pub struct Request {
    /// The recording.
    pub audio: Audio,
    /// How they encode sound.
    pub encoding: Encoding,
    /// Which channels to hear.
    pub lanes: LaneChoice,
    /// Window of the timeline, if one is wanted.
    pub window: Option<Duration>,
    /// Who asks.
    pub caller: Caller,
}

/// Where a recording is.
#[derive(Clone, Debug)]
pub enum Audio {
    /// All of its bytes.
    Memory(Bytes),
    /// A file, which is read while it is decoded.
    File(Arc<AudioFile>),
}

impl<T: Into<Bytes>> From<T> for Audio {
    fn from(bytes: T) -> Self {
        Self::Memory(bytes.into())
    }
}

/// Who asks for a recording to be judged, and how urgently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose share of the device the work is charged to.
    pub tenant: TenantId,
    /// Whether somebody waits for the answer.
    pub class: Class,
    /// When it must be there, if ever.
    pub deadline: Option<Instant>,
}

/// The prediction of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// Length of the audio.
    pub duration: Duration,
    /// One for each lane, in the order of the channels.
    pub lanes: Vec<Lane>,
    /// Part of the audio is missing or damaged; see [`Recording::truncated`](audio::Recording::truncated).
    pub truncated: bool,
    /// The audio changes its number of channels midway; see [`Recording::remixed`](audio::Recording::remixed).
    pub remixed: bool,
    /// The source cannot hold all that the model hears: it was sampled at 8 kHz or less.
    pub narrow_band: bool,
    /// Where the time went.
    pub timing: Timing,
}

/// The prediction of one lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The channel, counted from 0; 0 for a mix.
    pub index: usize,
    /// Of all that is said in its turns; of a lane without one, an abstention.
    pub total: Prediction,
    /// In order; none if nobody speaks.
    pub turns: Vec<Span>,
    /// One span a window; empty unless a window was asked for.
    pub timeline: Vec<Span>,
}

/// Where the time of a request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Decoding and cutting into segments.
    pub decode: Duration,
    /// Waiting for batches and running in them, summed over the request's entries.
    pub spent: Spent,
}

/// Why a recording has no prediction.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The audio cannot be read.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The audio cannot be cut into segments.
    #[error("lane {lane}: {source}")]
    Frontend {
        /// The lane, counted from 0.
        lane: usize,
        /// What is wrong with it.
        source: FrontendError,
    },
    /// As much is being done as may be.
    #[error("busy: {reason}; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// The bound that is reached.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The answer could not be there by the caller's deadline.
    #[error("the answer could not be there by the deadline{}", match alone {
        Some(alone) => format!(": its own work is predicted to take {:.1} ms", alone.as_secs_f64() * 1e3),
        None => String::new(),
    })]
    Late {
        /// The predicted time of its own work, if that alone is too long.
        alone: Option<Duration>,
    },
    /// The recording is more than requests of its class may hold.
    #[error("{0}")]
    TooMuch(String),
    /// The server is shutting down.
    #[error("the server is shutting down; try again elsewhere")]
    Draining,
    /// Nobody waits for the answer any more.
    #[error("the caller has gone away")]
    Cancelled,
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<NoResult> for EngineError {
    fn from(error: NoResult) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.to_string();
        match (refusal.drain(), &refusal) {
            (Some(drain), _) => Self::Busy {
                reason,
                retry_after: drain,
            },
            (None, Refusal::Draining) => Self::Draining,
            (None, Refusal::Late { alone }) => Self::Late {
                alone: Some(*alone),
            },
            (None, Refusal::Ended(Some(end))) => Self::from(*end),
            (None, Refusal::TooMuch { .. } | Refusal::TooManyBytes { .. }) => Self::TooMuch(reason),
            (None, _) => Self::Internal(reason),
        }
    }
}

impl From<End> for EngineError {
    fn from(end: End) -> Self {
        match end {
            End::Expired => Self::Late { alone: None },
            End::Evicted { retry } => Self::Busy {
                reason: Failure::Evicted { retry }.to_string(),
                retry_after: retry,
            },
            End::Answered | End::Failed => Self::Internal("a request ended unasked".into()),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Expired => End::Expired.into(),
            Failure::Evicted { retry } => End::Evicted { retry }.into(),
            Failure::Failed(_) | Failure::NotFinite | Failure::Lost => {
                Self::Internal(failure.to_string())
            }
        }
    }
}

/// One bundle, loaded and served. Safe to share between tasks.
#[derive(Debug)]
pub struct Engine {
    manifest: Manifest,
    card: String,
    runtime: String,
    provider: Provider,
    needs: Needs,
    intake: Intake,
    scheduler: Scheduler,
    memory: Memory,
    weights: BTreeMap<String, u32>,
    class_rule: ClassRule,
    /// Whether no new request is taken.
    draining: watch::Sender<bool>,
}

impl Engine {
    /// What the served bundle says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The model card, in Markdown.
    #[must_use]
    pub fn card(&self) -> &str {
        &self.card
    }

    /// ONNX Runtime's file, and its build in its own words.
    #[must_use]
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// What batches run on.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Bounds of one recording.
    #[must_use]
    pub fn limits(&self) -> &audio::Limits {
        self.intake.limits()
    }

    /// Takes no new request; those under way still end.
    pub fn drain(&self) {
        self.scheduler.drain();
        self.draining.send_replace(true);
    }

    /// Whether no new request is taken.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until no new request is taken.
    pub async fn draining(&self) {
        let mut draining = self.draining.subscribe();
        // It can only fail without a sender, which is the engine's own.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// Judges one recording. Dropping the future cancels what waits of it.
    ///
    /// # Errors
    /// [`EngineError`]; the engine serves the next request whatever happened to this one.
    pub async fn classify(&self, mut request: Request) -> Result<Classification, EngineError> {
        let _under_way = self.memory.call();
        let estimate = match &request.audio {
            Audio::Memory(bytes) => audio::estimate(bytes, request.encoding),
            Audio::File(file) => file.estimate(),
        };
        let asked = request.caller.clone();
        let length = Duration::try_from_secs_f64(estimate.seconds).unwrap_or(Duration::MAX);
        request.caller.class = self.class_rule.class(&asked, length);
        let mut ticket = self.join(&request, &estimate)?;
        let ended = ticket.ended();
        tokio::select! {
            biased;
            answer = self.answer(request, asked, Arc::new(ticket)) => answer,
            end = ended => Err(end.into()),
        }
    }

    /// The way of a recording that was let in.
    async fn answer(
        &self,
        request: Request,
        asked: Caller,
        ticket: Arc<Ticket>,
    ) -> Result<Classification, EngineError> {
        let window = request.window;
        let (submitter, results) = submission::of(&ticket, request.caller.class);
        let submitter = Arc::new(submitter);
        let needs = self.needs.clone();
        let measured = {
            let (submitter, asked) = (Arc::clone(&submitter), asked.clone());
            let rule = self.class_rule;
            move |need: Need| {
                let class = rule.class(&asked, lane::position(need.samples));
                let work = Work {
                    segments: need.segments,
                    steps: need.steps,
                };
                submitter.measured(class, work, needs.bytes(need.steps, need.lanes))
            }
        };
        let hear = self
            .intake
            .hear(request, measured, move |piece| submitter.submit(piece));
        let ((decoded, prepared), (known, mut spent)) = tokio::try_join!(hear, results.collect())?;
        debug_assert_eq!(known.len(), prepared.lanes.len(), "a lane has a segment");
        let (ticket, labels) = (&ticket, self.manifest.labels.len());
        let lanes = known.into_iter().zip(&prepared.lanes).enumerate();
        let lanes = lanes.map(async |(lane, (known, heard))| {
            let (said, later) = match known {
                Known::Evidence(said) => (said, Spent::default()),
                Known::Features(features) => {
                    let said = ticket
                        .sequence(lane, features, heard.starts.clone())?
                        .await?;
                    let spent = said.spent;
                    (said, spent)
                }
            };
            let mut evidence = Evidence::new(labels);
            evidence.extend(&said.logits, &said.scores);
            let class = self
                .class_rule
                .class(&asked, lane::position(decoded.samples));
            Ok::<_, EngineError>((self.decide(heard, &evidence, window, class)?, later))
        });
        let mut judged = Vec::new();
        for (lane, later) in try_join_all(lanes).await? {
            spent += later;
            judged.push(lane);
        }
        Ok(Classification {
            duration: lane::position(decoded.samples),
            lanes: judged,
            truncated: decoded.truncated,
            remixed: decoded.remixed,
            narrow_band: decoded.band.is_narrow(),
            timing: Timing {
                decode: decoded.time + prepared.time,
                spent,
            },
        })
    }

    /// A place for a request, by what it seems to be before it is decoded.
    fn join(&self, request: &Request, seems: &audio::Estimate) -> Result<Ticket, EngineError> {
        let Caller {
            tenant,
            class,
            deadline,
        } = request.caller.clone();
        let limits = self.limits();
        let samples = seems.seconds.min(limits.seconds) * f64::from(SAMPLE_RATE);
        let lanes = request.lanes.count(seems.channels.min(limits.channels));
        let mut segments = self.needs.segments(samples as usize) * usize::from(lanes);
        let weight = self.weights.get(&*tenant.0).copied().unwrap_or(1);
        loop {
            let (work, bytes) = self.needs.of(segments, usize::from(lanes));
            let terms = Terms {
                tenant: tenant.clone(),
                weight,
                class,
                deadline,
                work,
                bytes,
            };
            match self.scheduler.join(terms) {
                // A guess is no reason to turn a recording away for good: it is halved until it is none,
                // and `measured` judges what decoding finds.
                Err(
                    Refusal::TooMuch { .. } | Refusal::TooManyBytes { .. } | Refusal::Late { .. },
                ) if !seems.exact && segments > 1 => segments /= 2,
                joined => return Ok(joined.inspect_err(|refusal| refused(refusal, class))?),
            }
        }
    }

    fn decide(
        &self,
        heard: &lane::Heard,
        evidence: &Evidence,
        window: Option<Duration>,
        class: Class,
    ) -> Result<Lane, EngineError> {
        let classifier = SpanClassifier {
            evidence,
            times: &heard.times,
            temperature: self.manifest.decision.temperature,
            rule: PredictionRule {
                abstain_below: self.manifest.decision.abstain_below,
            },
            reason: heard.short.then_some(Abstention::TooShort),
        };
        let not_finite = || EngineError::Internal("the model's output is not finite".into());
        let total = classifier.total(&heard.turns).ok_or_else(not_finite)?;
        let turns = heard.turns.iter().map(|turn| classifier.turn(turn));
        let turns = turns.collect::<Option<_>>().ok_or_else(not_finite)?;
        requests::predicted(
            heard.times.end,
            class.name(),
            &self.manifest.labels[total.label],
            total.abstention.map(Abstention::name),
        );
        Ok(Lane {
            index: heard.index,
            total,
            turns,
            timeline: window.map_or_else(Vec::new, |window| classifier.timeline(window)),
        })
    }
}

fn refused(refusal: &Refusal, class: Class) {
    requests::refused(refusal.name(), class.name());
    if matches!(refusal, Refusal::Deadline { .. } | Refusal::Late { .. }) {
        batches::expired("admission");
    }
}
