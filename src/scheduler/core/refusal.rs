//! Why a job or an entry is refused, and when trying again may help.

use std::time::Duration;

use super::batch::End;
use super::job::Class;

/// Why a job or an entry is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bound on jobs is reached.
    #[error("{most} requests are being answered, the bound")]
    Jobs {
        /// The bound.
        most: usize,
        /// When there may be room, as predicted.
        drain: Duration,
    },
    /// The bound on bytes would be exceeded.
    #[error("the requests being answered take {most} bytes, the bound")]
    Bytes {
        /// The bound.
        most: usize,
        /// As above.
        drain: Duration,
    },
    /// The bound on a class' device time would be exceeded.
    #[error("{} ms of {} work are waiting for the device, the bound", most.as_millis(), class.name())]
    Backlog {
        /// The class.
        class: Class,
        /// The bound.
        most: Duration,
        /// As above.
        drain: Duration,
    },
    /// The queue is nearly full and the tenant has its share of it.
    #[error("the server is busy and this tenant holds its share of the queue")]
    TenantShare {
        /// As above.
        drain: Duration,
    },
    /// The answer would come too late.
    #[error("the answer is predicted in {} ms, after the deadline", predicted.as_millis())]
    Deadline {
        /// When it would come, from now.
        predicted: Duration,
        /// When a job of this size would have met its deadline, from now.
        drain: Duration,
    },
    /// The answer would come too late if nothing else were to be done. Trying again with the same deadline
    /// does not help.
    #[error("the job's own work is predicted to take {} ms, longer than its deadline allows", alone.as_secs_f64() * 1e3)]
    Late {
        /// The predicted time of its own work, corrected by what was learned of delays.
        alone: Duration,
    },
    /// The job alone is more than its class may hold.
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
    /// The job alone takes more memory than all jobs together may hold.
    #[error(
        "the recording needs {needs} bytes of tensors at a time; all requests together may hold {most}"
    )]
    TooManyBytes {
        /// Bytes of the job.
        needs: usize,
        /// The bound.
        most: usize,
    },
    /// The server is shutting down.
    #[error("the scheduler is draining")]
    Draining,
    /// The job has ended, if it ever was admitted.
    #[error("the job has ended")]
    Ended(Option<End>),
    /// An entry that its job did not ask for: empty, too long, too many bytes, or a stream's steps
    /// out of order. A fault of whoever submits.
    #[error("an entry breaks its job's terms: {0}")]
    Terms(&'static str),
}

impl Refusal {
    /// The reason in one word, as metrics label it.
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

    /// When trying again may do, as predicted; none if it would not, or not here.
    #[must_use]
    pub fn drain(&self) -> Option<Duration> {
        match self {
            Self::Jobs { drain, .. }
            | Self::Bytes { drain, .. }
            | Self::Backlog { drain, .. }
            | Self::TenantShare { drain }
            | Self::Deadline { drain, .. } => Some(*drain),
            Self::Late { .. }
            | Self::TooMuch { .. }
            | Self::TooManyBytes { .. }
            | Self::Draining
            | Self::Ended(_)
            | Self::Terms(_) => None,
        }
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
