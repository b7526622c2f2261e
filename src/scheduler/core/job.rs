//! For whom work is done: jobs, each one request or stream, of a tenant, in a class.

use std::sync::Arc;
use std::time::Duration;

use super::Time;
use super::entry::Graph;

/// Names a job; the shell gives each its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Whose share of the devices a job is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub Arc<str>);

impl From<&str> for TenantId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody does: served first.
    #[default]
    Interactive,
    /// Nobody does: served in what interactive work leaves, and in a share that is its own.
    Bulk,
}

impl Class {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// The class's name, as metrics label it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Interactive => Self::Bulk,
            Self::Bulk => Self::Interactive,
        }
    }
}

/// An amount of work for both graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Segments for the encoder.
    pub segments: usize,
    /// Steps for the sequence.
    pub steps: usize,
}

impl Work {
    pub(super) fn of(&self, graph: Graph) -> usize {
        match graph {
            Graph::Encoder => self.segments,
            Graph::Sequence => self.steps,
        }
    }

    pub(super) fn of_mut(&mut self, graph: Graph) -> &mut usize {
        match graph {
            Graph::Encoder => &mut self.segments,
            Graph::Sequence => &mut self.steps,
        }
    }

    /// Device time, at so much an item of each graph.
    pub(super) fn priced(self, prices: [Duration; 2]) -> Duration {
        let of = |graph| {
            let items = u32::try_from(self.of(graph)).unwrap_or(u32::MAX);
            prices[graph as usize].saturating_mul(items)
        };
        of(Graph::Encoder) + of(Graph::Sequence)
    }
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.segments += other.segments;
        self.steps += other.steps;
    }
}

impl std::ops::SubAssign for Work {
    fn sub_assign(&mut self, other: Self) {
        self.segments -= other.segments;
        self.steps -= other.steps;
    }
}

/// One request or stream, as it asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Names the job.
    pub id: JobId,
    /// Whose share it is charged to.
    pub tenant: TenantId,
    /// The tenant's weight; twice the weight is twice the share. 0 counts as 1.
    pub weight: u32,
    /// Whether somebody waits.
    pub class: Class,
    /// When the answer must be there, if ever.
    pub deadline: Option<Time>,
    /// All it will ask for, as far as that is known; see [`Core::handle_measured`](super::Core::handle_measured).
    pub work: Work,
    /// The most memory that its entries hold at a time.
    pub bytes: usize,
}
