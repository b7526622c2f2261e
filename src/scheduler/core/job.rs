//! Jobs: each is one request or stream, of a tenant, in a class.

use std::sync::Arc;
use std::time::Duration;

use super::class::Class;
use super::graph::{Graph, PerGraph};
use super::time::Time;

/// Names a job; the shell gives each job its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Names the tenant that is charged for a job's device time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub Arc<str>);

impl From<&str> for TenantId {
    fn from(name: &str) -> Self {
        Self(name.into())
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

    /// Returns the device time of the work, given that of one item of each graph.
    pub(super) fn priced(self, prices: PerGraph<Duration>) -> Duration {
        let of = |graph| {
            let items = u32::try_from(self.of(graph)).unwrap_or(u32::MAX);
            prices[graph].saturating_mul(items)
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

/// One request or stream, as it asks for admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Names the job.
    pub id: JobId,
    /// The tenant that is charged for it.
    pub tenant: TenantId,
    /// The tenant's weight; twice the weight is twice the share of device time. 0 counts as 1.
    pub weight: u32,
    /// Whether somebody waits for the answer.
    pub class: Class,
    /// When the answer must be there; none if any time will do.
    pub deadline: Option<Time>,
    /// All the work that it will submit, as far as that can be predicted; see
    /// [`Core::handle_announcement`](super::Core::handle_announcement).
    pub work: Work,
    /// The most bytes that its entries hold at a time.
    pub bytes: usize,
}
