//! Why a job or an entry is refused, and when a retry may help.

use std::time::Duration;

use super::batch::End;
use super::class::Class;

/// Why a job or an entry is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bound on jobs is reached.
    #[error("{most} requests are under way, which is the bound")]
    Jobs {
        /// The bound.
        most: usize,
        /// When a place may be free, from now, as predicted.
        drain: Duration,
    },
    /// The job's tensors would exceed the bound on bytes.
    #[error("the tensors of all requests would exceed {most} bytes, which is the bound")]
    Bytes {
        /// The bound.
        most: usize,
        /// When enough memory may be free, from now, as predicted.
        drain: Duration,
    },
    /// The job would exceed the bound on its class's device time.
    #[error("more than {} ms of {} work would wait for the device, which is the bound", most.as_millis(), class.name())]
    Backlog {
        /// The class.
        class: Class,
        /// The bound.
        most: Duration,
        /// When enough work may be done, from now, as predicted.
        drain: Duration,
    },
    /// The queue is nearly full and the tenant holds its share of it.
    #[error("the server is busy and this tenant holds its share of the queue")]
    TenantShare {
        /// When enough of the tenant's work may be done, from now, as predicted.
        drain: Duration,
    },
    /// The answer would arrive after the deadline.
    #[error("the answer is predicted in {} ms, after the deadline; allow more time", predicted.as_millis())]
    Deadline {
        /// When the answer would arrive, from now.
        predicted: Duration,
        /// When a job of this size would meet the same deadline, from now.
        drain: Duration,
    },
    /// The answer would arrive after the deadline even if nothing else were to be done. A retry with the same
    /// deadline does not help.
    #[error("the job's own work is predicted to take {} ms, longer than its deadline allows; allow more time", alone.as_secs_f64() * 1e3)]
    Late {
        /// The predicted time of its own work, corrected by the observed delays.
        alone: Duration,
    },
    /// The job alone needs more device time than all jobs of its class may hold.
    #[error("the recording needs {} s of the device; {} work may hold {} s{}", needs.as_secs_f64(), class.name(), most.as_secs_f64(), match class {
        Class::Interactive => "; send it as bulk, or in parts",
        Class::Bulk => "; send it in parts",
    })]
    TooMuch {
        /// The class.
        class: Class,
        /// Device time of the job.
        needs: Duration,
        /// The bound.
        most: Duration,
    },
    /// The job alone needs more memory than all jobs together may hold.
    #[error(
        "the recording needs {needs} bytes of tensors at a time; all requests together may hold {most}; send it in parts"
    )]
    TooManyBytes {
        /// Bytes of the job.
        needs: usize,
        /// The bound.
        most: usize,
    },
    /// The server is shutting down.
    #[error("the server is shutting down; send the request to another server")]
    Draining,
    /// The job has ended, or was never admitted.
    #[error("the job has ended")]
    Ended(Option<End>),
    /// An entry is not part of what its job announced: it is empty, too long, has too many bytes or too much
    /// work, or a stream's steps are out of order. This is a fault of the submitting code.
    #[error("an entry is not what its job announced: {0}")]
    Terms(&'static str),
}

impl Refusal {
    /// Returns the reason in one word, as metrics label it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Jobs { .. } => "requests",
            Self::Bytes { .. } => "bytes",
            Self::Backlog { .. } => "backlog",
            Self::TenantShare { .. } => "tenant",
            Self::Deadline { .. } => "deadline",
            Self::Late { .. } => "late",
            Self::TooMuch { .. } | Self::TooManyBytes { .. } => "too_much",
            Self::Draining => "draining",
            Self::Ended(_) => "ended",
            Self::Terms(_) => "terms",
        }
    }

    /// Returns when a retry may help, from now, as predicted. Returns none if no retry helps on this server.
    #[must_use]
    pub fn drain(&self) -> Option<Duration> {
        self.clone().drain_mut().copied()
    }

    pub(super) fn drain_mut(&mut self) -> Option<&mut Duration> {
        match self {
            Self::Jobs { drain, .. }
            | Self::Bytes { drain, .. }
            | Self::Backlog { drain, .. }
            | Self::TenantShare { drain }
            | Self::Deadline { drain, .. } => Some(drain),
            Self::Late { .. }
            | Self::TooMuch { .. }
            | Self::TooManyBytes { .. }
            | Self::Draining
            | Self::Ended(_)
            | Self::Terms(_) => None,
        }
    }
}
