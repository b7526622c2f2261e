//! One bundle served: the way of a recording from bytes to answer, in one place.
//!
//! bytes → lanes of samples (`audio`) → segments (`frontend`) → features (`scheduler`, encoder) →
//! step evidence (`scheduler`, sequence) → judgements (`decision`). The first two are work for a
//! processor and run on a bounded number of blocking threads; the rest is waiting.

mod lane;
mod open;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};
use tokio::task::JoinHandle;

use crate::audio::{self, AudioError, Encoding, LaneChoice};
use crate::bundle::Manifest;
use crate::decision::{self, Abstention, Evidence, Rule, Span, StepTimes};
use crate::frontend::{FrontendError, Spec};
use crate::runtime::{History, Sizes};
use crate::scheduler::core::{CallerId, Refusal};
use crate::scheduler::{self, Chunk, Failure, Scheduler, Spent, Waiter};
use crate::telemetry::requests;
pub use open::{OpenError, Options};

/// Pieces that segmenting may be ahead of the encoder.
const PIECES_AHEAD: usize = 1;
/// Pieces of one recording that wait for batches or run; the next piece is ready when one ends.
const PIECES_UNDER_WAY: usize = 2;
/// What may be held decoded, in units of 64 KiB: 1 GiB, some four hours of one lane.
const HELD_UNIT: usize = 64 << 10;
const HELD_UNITS: usize = 16 << 10;
/// What a refused caller is told to wait: a few of the longest batches.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// One recording to judge.
#[derive(Clone, Debug)]
pub struct Request {
    /// The recording's bytes.
    pub audio: Bytes,
    /// How they encode sound.
    pub encoding: Encoding,
    /// Which channels to hear.
    pub lanes: LaneChoice,
    /// Window of the timeline, if one is wanted.
    pub window: Option<Duration>,
}

/// The judgement of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Length of the audio.
    pub duration: Duration,
    /// One for each lane, in the order of the channels.
    pub lanes: Vec<Lane>,
    /// The audio ended earlier than its header says.
    pub truncated: bool,
    /// Where the time went.
    pub timing: Timing,
}

/// The judgement of one lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The channel, counted from 0; 0 for a mix.
    pub index: usize,
    /// Everything the lane says; today a lane is one turn.
    pub turn: Span,
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

/// Why a recording has no judgement.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The audio cannot be read.
    #[error(transparent)]
    Audio(#[from] AudioError),
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

fn panicked(error: &tokio::task::JoinError) -> EngineError {
    EngineError::Internal(format!("a request's work panicked: {error}"))
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Draining => Self::Draining,
            Refusal::Entries(_) | Refusal::Bytes(_) => Self::Busy {
                reason: refusal.to_string(),
                retry_after: RETRY_AFTER,
            },
            Refusal::Empty | Refusal::TooLong { .. } => Self::Internal(refusal.to_string()),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        Self::Internal(failure.to_string())
    }
}

/// A decoded recording.
struct Decoded {
    /// Lanes at 16 kHz, and the room that they take.
    lanes: (Vec<Vec<f32>>, OwnedSemaphorePermit),
    duration: Duration,
    truncated: bool,
    /// Time that decoding took.
    time: Duration,
}

/// One bundle, loaded and served. Safe to share between tasks.
#[derive(Debug)]
pub struct Engine {
    manifest: Manifest,
    card: String,
    runtime: String,
    spec: Arc<Spec>,
    limits: audio::Limits,
    scheduler: Scheduler,
    /// Recordings decoded at a time.
    decoders: Arc<Semaphore>,
    /// Room for decoded samples, in units of [`HELD_UNIT`].
    held: Arc<Semaphore>,
    /// Requests answered at a time. Whoever has a place is served to the end: what the scheduler
    /// may hold is bounded by this, not by refusing half-done work.
    requests: Semaphore,
    most_requests: usize,
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

    /// Bounds of one recording.
    #[must_use]
    pub fn limits(&self) -> &audio::Limits {
        &self.limits
    }

    /// Takes no new request; those under way still end.
    pub fn drain(&self) {
        self.requests.close();
    }

    /// Judges one recording. Dropping the future cancels what waits of it.
    ///
    /// # Errors
    /// [`EngineError`]; the engine serves the next request whatever happened to this one.
    pub async fn classify(&self, request: Request) -> Result<Answer, EngineError> {
        let _place = self
            .requests
            .try_acquire()
            .map_err(|error| self.refused(&error))?;
        let caller = self.scheduler.caller();
        let (choice, window) = (request.lanes, request.window);
        let decoded = self.decode(request).await?;
        let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
        let preparing = self.prepare(decoded.lanes, choice, pieces);
        let (features, mut spent) = self.encode(caller, arriving).await?;
        let prepared = preparing.await.map_err(|error| panicked(&error))??;
        let lanes = prepared
            .lanes
            .iter()
            .enumerate()
            .map(async |(lane, heard)| {
                // A lane without a piece had nothing to say; that cannot be, for a lane has a segment.
                let features = features.get(lane).map_or(&[][..], Vec::as_slice);
                let (evidence, spent) = self.sequence(caller, features).await?;
                Ok::<_, EngineError>((self.decide(heard, &evidence, window)?, spent))
            });
        let mut judged = Vec::new();
        for (lane, lane_spent) in try_join_all(lanes).await? {
            spent += lane_spent;
            judged.push(lane);
        }
        Ok(Answer {
            duration: decoded.duration,
            lanes: judged,
            truncated: decoded.truncated,
            timing: Timing {
                decode: decoded.time + prepared.time,
                spent,
            },
        })
    }

    fn refused(&self, error: &TryAcquireError) -> EngineError {
        match error {
            TryAcquireError::Closed => {
                requests::refused("draining");
                EngineError::Draining
            }
            TryAcquireError::NoPermits => {
                requests::refused("requests");
                let most = self.most_requests;
                EngineError::Busy {
                    reason: format!("{most} requests are being answered, the bound"),
                    retry_after: RETRY_AFTER,
                }
            }
        }
    }

    /// Decodes on a blocking thread, once one of its places is free. The place is kept until the
    /// samples have their share of what may be held decoded, so that no more than that and one
    /// recording a place is ever held.
    async fn decode(&self, request: Request) -> Result<Decoded, EngineError> {
        let draining = |_| EngineError::Draining;
        let place = Arc::clone(&self.decoders)
            .acquire_owned()
            .await
            .map_err(draining)?;
        let limits = self.limits;
        let decoding = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let recording =
                audio::decode(&request.audio, request.encoding, request.lanes, &limits)?;
            let time = begun.elapsed();
            requests::decoded(&recording.source.codec, time);
            Ok::<_, EngineError>((recording, time, place))
        });
        let (recording, time, place) = decoding.await.map_err(|error| panicked(&error))??;
        let samples = recording.lanes.first().map_or(0, Vec::len);
        let bytes = samples * recording.lanes.len() * size_of::<f32>();
        let share = bytes.div_ceil(HELD_UNIT).min(HELD_UNITS);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        let held = Arc::clone(&self.held)
            .acquire_many_owned(share)
            .await
            .map_err(draining)?;
        drop(place);
        Ok(Decoded {
            lanes: (recording.lanes, held),
            duration: lane::position(samples),
            truncated: recording.truncated,
            time,
        })
    }

    /// Starts segmenting on a blocking thread. It stops when nobody takes its pieces any more.
    fn prepare(
        &self,
        (lanes, held): (Vec<Vec<f32>>, OwnedSemaphorePermit),
        choice: LaneChoice,
        pieces: mpsc::Sender<lane::Piece>,
    ) -> JoinHandle<Result<lane::Prepared, EngineError>> {
        let spec = Arc::clone(&self.spec);
        let gate = decision::Gate {
            level_dbfs: self.manifest.speech_gate.level_dbfs,
        };
        tokio::task::spawn_blocking(move || {
            let _held = held;
            lane::prepare(lanes, choice, &spec, gate, &pieces)
        })
    }

    /// Runs the pieces through the encoder as they come, in order: features `[T, C]` a lane.
    async fn encode(
        &self,
        caller: CallerId,
        mut arriving: mpsc::Receiver<lane::Piece>,
    ) -> Result<(Vec<Vec<f32>>, Spent), EngineError> {
        let mut lanes: Vec<Vec<f32>> = Vec::new();
        let mut spent = Spent::default();
        let mut under_way: VecDeque<(usize, Waiter<scheduler::Encoding>)> = VecDeque::new();
        loop {
            let piece = match under_way.len() {
                PIECES_UNDER_WAY => None,
                _ => arriving.recv().await,
            };
            if let Some(piece) = piece {
                let waiter = self.scheduler.encode(caller, piece.segments)?;
                under_way.push_back((piece.lane, waiter));
                continue;
            }
            let Some((lane, waiter)) = under_way.pop_front() else {
                break;
            };
            let encoded = waiter.await?;
            lanes.resize_with(lanes.len().max(lane + 1), Vec::new);
            lanes[lane].extend_from_slice(&encoded.features);
            spent += encoded.spent;
        }
        Ok((lanes, spent))
    }

    /// Runs a lane's features `[T, C]` through the sequence, chunk after chunk.
    async fn sequence(
        &self,
        caller: CallerId,
        features: &[f32],
    ) -> Result<(Evidence, Spent), EngineError> {
        let width = self.manifest.encoder.features;
        let mut evidence = Evidence::new(self.manifest.labels.len());
        let mut history = History::new(Sizes::of(&self.manifest));
        let mut spent = Spent::default();
        // The longest chunk there is: one row of a batch, without much padding.
        for features in features.chunks(self.scheduler.most_steps() * width) {
            let chunk = Chunk {
                features: features.to_vec(),
                history,
            };
            let said = self.scheduler.sequence(caller, chunk)?.await?;
            evidence.extend(&said.logits, &said.scores);
            history = said.history;
            spent += said.spent;
        }
        Ok((evidence, spent))
    }

    fn decide(
        &self,
        heard: &lane::Heard,
        evidence: &Evidence,
        window: Option<Duration>,
    ) -> Result<Lane, EngineError> {
        let temperature = self.manifest.decision.temperature;
        let rule = Rule {
            abstain_below: self.manifest.decision.abstain_below,
        };
        let times: &StepTimes = &heard.times;
        let reason = heard.short.then_some(Abstention::TooShort);
        let turn = decision::turn(evidence, times, temperature, rule, reason)
            .ok_or_else(|| EngineError::Internal("the model's output is not finite".into()))?;
        let timeline = window
            .map(|window| decision::timeline(evidence, times, window, temperature, rule, reason))
            .unwrap_or_default();
        let label = &self.manifest.labels[turn.judgement.label];
        requests::judged(
            times.end,
            label,
            turn.judgement.abstention.map(Abstention::name),
        );
        Ok(Lane {
            index: heard.index,
            turn,
            timeline,
        })
    }
}
