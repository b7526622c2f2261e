//! Why a recording has no classification, and why an engine does not open.

use std::time::Duration;

use crate::audio::AudioError;
use crate::bundle::BundleError;
use crate::frontend::FrontendError;
use crate::runtime::RuntimeError;
use crate::scheduler::Failure;
use crate::scheduler::core::{End, Refusal};

/// Why a recording has no classification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The audio cannot be decoded.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// A lane cannot be cut into segments.
    #[error("lane {lane}: {source}")]
    Frontend {
        /// The lane, counted from 0.
        lane: usize,
        /// Why it cannot be cut.
        source: FrontendError,
    },
    /// A bound on the work under way is reached.
    #[error("busy: {reason}; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// The bound.
        #[source]
        reason: BusyReason,
        /// When to try again.
        retry_after: Duration,
    },
    /// The result cannot be ready by the caller's deadline.
    #[error("the result cannot be ready by the deadline{}; allow more time", match alone {
        Some(alone) => format!(": its own work is predicted to take {:.1} ms", alone.as_secs_f64() * 1e3),
        None => String::new(),
    })]
    Late {
        /// Predicted time of the recording's own work, if that alone exceeds the deadline.
        alone: Option<Duration>,
    },
    /// The recording exceeds what one request of its class may use.
    #[error(transparent)]
    TooMuch(Refusal),
    /// The engine admits no new request, because it is draining.
    #[error("shutting down: no new request is admitted; try again elsewhere")]
    Draining,
    /// Nobody waits for the result any more.
    #[error("the request was cancelled")]
    Cancelled,
    /// A fault of the engine's own.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

/// The bound that keeps a request out of the scheduler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusyReason {
    /// The scheduler refused to admit the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The scheduler evicted the request for a more urgent one.
    #[error(transparent)]
    Evicted(Failure),
}

/// A fault of the engine's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InternalError {
    /// Decoding or segmenting panicked.
    #[error("decoding or segmenting panicked; the log has the place")]
    DecoderPanicked,
    /// More bulk recordings wait for a decoder than the engine admits requests.
    #[error("the decoders' queue is full")]
    DecoderQueueFull,
    /// A task of the request panicked.
    #[error("a request's work panicked: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A submission did not fit the request's terms.
    #[error(transparent)]
    Refused(Refusal),
    /// A batch failed.
    #[error(transparent)]
    Failed(Failure),
    /// The scheduler ended the request without a reason.
    #[error("the scheduler ended the request without a reason")]
    Ended,
    /// The model's output is NaN or infinite.
    #[error("the model's output is not finite")]
    NotFinite,
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        if let Some(retry_after) = refusal.drain() {
            return Self::Busy {
                reason: refusal.into(),
                retry_after,
            };
        }
        match refusal {
            Refusal::Draining => Self::Draining,
            Refusal::Late { alone } => Self::Late { alone: Some(alone) },
            Refusal::Ended(Some(end)) => end.into(),
            Refusal::TooMuch { .. } | Refusal::TooManyBytes { .. } => Self::TooMuch(refusal),
            refusal => InternalError::Refused(refusal).into(),
        }
    }
}

impl From<End> for EngineError {
    fn from(end: End) -> Self {
        match end {
            End::Expired => Self::Late { alone: None },
            End::Evicted { retry } => Self::Busy {
                reason: BusyReason::Evicted(Failure::Evicted { retry }),
                retry_after: retry,
            },
            End::Answered | End::Failed => InternalError::Ended.into(),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Expired => End::Expired.into(),
            Failure::Evicted { retry } => End::Evicted { retry }.into(),
            failure => InternalError::Failed(failure).into(),
        }
    }
}

/// Why an engine does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle cannot be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The system refuses to start a thread.
    #[error("a worker thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}
