//! The state of the scheduler, and what can be read from it.
//!
//! The methods that change it are grouped by purpose: [`super::events`] takes what happens, [`super::admission`]
//! admits, [`super::selection`] chooses the next batch, [`super::forming`] fills it, [`super::dispatch`] starts
//! it, and [`super::ending`] ends entries and jobs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::batch::{Batch, BatchId, Ended, Member};
use super::bulk_share::BulkShareController;
use super::class::{Class, PerClass};
use super::costs::CostTable;
use super::delay_estimator::DelayEstimator;
use super::drain_rate::DrainRateEstimator;
use super::entry::{Entry, EntryId};
use super::fair_queue::{EntryPlace, FairQueue};
use super::graph::{Graph, PerGraph};
use super::job::Work;
use super::jobs::Jobs;
use super::numbered::Numbered;
use super::policy::Policy;
use super::retry_schedule::RetrySchedule;
use super::time::Time;

/// How many entries were admitted, and how those that ended did; see [`Core::tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries that were admitted.
    pub admitted: u64,
    /// Entries of which all items were run.
    pub answered: u64,
    /// Entries that could not be run.
    pub failed: u64,
    /// Entries that their callers gave up.
    pub cancelled: u64,
    /// Entries of jobs that could not be done in time.
    pub expired: u64,
    /// Entries of jobs that were evicted.
    pub evicted: u64,
}

/// An entry that waits or is under way.
#[derive(Debug)]
pub(super) struct EntryState {
    pub(super) entry: Entry,
    pub(super) place: EntryPlace,
    pub(super) arrived: Time,
    /// Items that batches have taken.
    pub(super) taken: usize,
    /// Items of ended batches.
    pub(super) done: usize,
    /// Batches under way, and failed batches of which this entry's part is to be retried.
    pub(super) under_way: Vec<BatchId>,
    /// Nobody waits for it any more. Its batches under way run to their end.
    pub(super) abandoned: bool,
}

/// A batch under way.
#[derive(Debug)]
pub(super) struct RunningBatch {
    pub(super) batch: Batch,
    /// Whether it is the retry of one member of a failed batch.
    pub(super) is_retry: bool,
    /// Members that somebody waits for.
    pub(super) alive: usize,
}

/// A member of a failed batch that is to be run alone.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) failed: BatchId,
    pub(super) graph: Graph,
    pub(super) member: Member,
}

/// The scheduler as a state machine; see the [module](super).
#[derive(Debug)]
pub struct Core {
    pub(super) policy: Policy,
    pub(super) costs: CostTable,
    /// Device time of one item of each graph, by the cost table. It is kept because every event needs it.
    pub(super) prices: PerGraph<Duration>,
    pub(super) jobs: Jobs,
    pub(super) entries: Numbered<EntryId, EntryState>,
    pub(super) queues: PerClass<FairQueue>,
    pub(super) bulk_share: BulkShareController,
    pub(super) delays: PerClass<DelayEstimator>,
    pub(super) drain_rate: DrainRateEstimator,
    pub(super) retry_schedule: RetrySchedule,
    /// How long the process has stood still, in all.
    pub(super) stalled: Duration,
    pub(super) retries: VecDeque<Retry>,
    pub(super) running: BTreeMap<BatchId, RunningBatch>,
    pub(super) ended: VecDeque<Ended>,
    pub(super) stops: VecDeque<BatchId>,
    pub(super) bytes: usize,
    pub(super) next_batch: u64,
    pub(super) draining: bool,
    pub(super) tally: Tally,
}

impl Core {
    /// Returns a scheduler that holds nothing.
    #[must_use]
    pub fn new(policy: Policy, costs: CostTable) -> Self {
        Self {
            bulk_share: BulkShareController::new(policy.bulk_share),
            prices: PerGraph::from_fn(|graph| costs.price(graph, policy.max_batch_time)),
            policy,
            costs,
            jobs: Jobs::default(),
            entries: Numbered::default(),
            queues: PerClass::default(),
            delays: PerClass::default(),
            drain_rate: DrainRateEstimator::default(),
            retry_schedule: RetrySchedule::default(),
            stalled: Duration::ZERO,
            retries: VecDeque::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            stops: VecDeque::new(),
            bytes: 0,
            next_batch: 0,
            draining: false,
            tally: Tally::default(),
        }
    }

    /// Returns how many entries of a class wait for a graph, in part or whole.
    #[must_use]
    pub fn waiting(&self, graph: Graph, class: Class) -> usize {
        self.queues[class].len(graph)
    }

    /// Returns whether [`Core::poll`] would give a free instance a batch, now or after a wait.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.retries.is_empty() || self.queues.iter().any(|(_, queue)| !queue.is_empty())
    }

    /// Returns how many entries are held, waiting or under way.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many admitted jobs have not ended.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Returns the bytes of the entries that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the predicted device time of a class's unfinished work, including entries that its jobs have
    /// announced and not yet submitted.
    #[must_use]
    pub fn backlog(&self, class: Class) -> Duration {
        self.predict(self.jobs.work(class))
    }

    /// Returns the predicted costs as they are now.
    #[must_use]
    pub fn costs(&self) -> &CostTable {
        &self.costs
    }

    /// Returns how many entries were admitted and how they ended.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns whether nothing is held at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.entries.is_empty() && self.running.is_empty()
    }

    /// Returns the predicted device time of an amount of work.
    pub(super) fn predict(&self, work: Work) -> Duration {
        work.priced(self.prices)
    }
}
