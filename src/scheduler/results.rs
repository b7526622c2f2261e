//! What callers get for submitted work: outputs of the graphs, or the reason why there are none.

use std::time::Duration;

use super::core::{End, Refusal};
use crate::runtime::History;

/// How long an entry waited, and how long devices ran its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// From admission to the start of its last batch.
    pub queue: Duration,
    /// The sum over its batches. Their other members and padding are included.
    pub device: Duration,
}

impl std::ops::AddAssign for TimeSpent {
    fn add_assign(&mut self, other: Self) {
        self.queue += other.queue;
        self.device += other.device;
    }
}

/// Features of consecutive segments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncoderOutput {
    /// `[N, C]`, in the order of the segments.
    pub features: Vec<f32>,
    /// Mean squared distance to the chosen codes, `[N]`; empty without a codebook.
    pub distance: Vec<f32>,
    /// The time that it took.
    pub spent: TimeSpent,
}

/// Output of the sequence graph for consecutive steps: those of a chunk or of a whole lane.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceOutput {
    /// `[T, K]`.
    pub logits: Vec<f32>,
    /// Attention scores, `[T]`.
    pub scores: Vec<f32>,
    /// The stream's state after these steps.
    pub history: History,
    /// The time that it took.
    pub spent: TimeSpent,
}

/// Why work has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Its batch failed, and so did the retry in which it ran alone. Or the next entry of its lane was refused.
    #[error("{0}")]
    Failed(String),
    /// Its output has values that are not finite.
    #[error("the model's output is not finite")]
    NotFinite,
    /// It could not be done by its deadline any more.
    #[error("the work could not be done by its deadline")]
    Expired,
    /// It was evicted to admit interactive work.
    #[error("bulk work was evicted to admit interactive work")]
    Evicted {
        /// When to retry, from the eviction.
        retry: Duration,
    },
    /// It ended without a result or a reason. This is a fault of the scheduler.
    #[error("the scheduler lost the result")]
    Lost,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ended(Some(End::Expired)) => Self::Expired,
            Refusal::Ended(Some(End::Evicted { retry })) => Self::Evicted { retry },
            refusal => Self::Failed(refusal.to_string()),
        }
    }
}
