//! The scheduler as a pure state machine: events with the time in them go in, batches come out.
//!
//! It holds no clock, thread, channel or tensor, so the same events always give the same batches;
//! server, property tests and simulator run the same machine. A [`Job`] is one request or stream: it
//! is let in once, by the device time and memory that it will need, and whoever is in is served. Its
//! work comes as entries ([`Entry`]), which batches take.
//!
//! The methods are of four kinds:
//!
//! - `handle_*` says what happened: a job or an entry arrived, nobody waits any more, a batch ended,
//!   the process stood still, the server drains. Time is what the caller's clock said then; it must not run backwards.
//! - [`Core::poll`] asks what a free instance should do; ask whenever one is free and something
//!   happened. Nothing is bound to a batch earlier, so a batch is as full as the queue allows then.
//! - [`Core::poll_ended`] and [`Core::poll_stop`] tell what came of an event; ask until they are
//!   empty after each `handle_*` and each [`Core::poll`].
//! - getters tell what is held, for gauges.

mod admission;
mod batch;
mod costs;
mod delay_estimator;
mod drain_rate;
mod ending;
mod entry;
mod fair_queue;
mod forming;
mod job;
mod jobs;
mod numbered;
mod refusal;
mod retry_schedule;
mod rounds;
mod shapes;
mod share;
mod starting;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use admission::Bounds;
pub use batch::{Batch, BatchId, End, Ended, Member, Next, Outcome};
pub use costs::CostTable;
use delay_estimator::DelayEstimator;
use drain_rate::DrainRateEstimator;
pub use entry::{Entry, EntryId, Graph, Task};
use fair_queue::{FairQueue, Place};
use forming::Plan;
pub use job::{Class, Job, JobId, TenantId, Work};
use jobs::{Admission, Jobs};
pub(super) use numbered::Numbered;
pub use refusal::Refusal;
use retry_schedule::RetrySchedule;
pub use shapes::{Shape, Shapes};
use share::Share;

/// Time since the shell's clock started.
pub type Time = Duration;

/// What a scheduler is told to keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Instances that run batches side by side.
    pub instances: usize,
    /// What may be held.
    pub bounds: Bounds,
    /// Predicted time that no batch exceeds, unless it is one smallest item: nobody waits behind a
    /// longer one.
    pub max_batch_time: Duration,
    /// How long an entry may wait for companions on a free instance, where the table says that
    /// they pay. Zero never waits.
    pub max_queue_delay: Duration,
    /// Bulk's share of device time while it waits, from 0 to 0.9. It may come 250 ms of it late.
    pub bulk_share: f64,
}

/// Entries that ended, by how; see [`Core::tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Let in.
    pub admitted: u64,
    /// All their items were run.
    pub answered: u64,
    /// They could not be run.
    pub failed: u64,
    /// Nobody waited any more.
    pub cancelled: u64,
    /// Their job could not be done in time.
    pub expired: u64,
    /// Their job made room.
    pub evicted: u64,
}

/// What was left of a job when it went; see [`Core::handle_leave`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Entries of which nothing was run or under way.
    pub waiting: usize,
    /// Entries that were run in part, or under way.
    pub begun: usize,
}

#[derive(Debug)]
struct State {
    entry: Entry,
    place: Place,
    arrived: Time,
    /// Items that a batch has taken.
    taken: usize,
    /// Items of ended batches.
    done: usize,
    /// Batches under way, and members of failed ones that are to be run again.
    under_way: Vec<BatchId>,
    /// Nobody waits for it any more; what is under way is let run out.
    abandoned: bool,
}

#[derive(Debug)]
struct Running {
    batch: Batch,
    /// It is a failed batch's member, run by itself.
    again: bool,
    /// Members for whom somebody waits.
    alive: usize,
}

/// A failed batch's member, to be run by itself.
#[derive(Debug)]
struct Again {
    failed: BatchId,
    graph: Graph,
    member: Member,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Core {
    policy: Policy,
    costs: CostTable,
    /// Device time of one item of each graph, by the table: kept, for every event asks for it.
    prices: [Duration; 2],
    jobs: Jobs,
    entries: Numbered<EntryId, State>,
    /// In the order of [`Class::ALL`].
    queues: [FairQueue; 2],
    share: Share,
    /// By class.
    delays: [DelayEstimator; 2],
    drain_rate: DrainRateEstimator,
    retries: RetrySchedule,
    /// How long the process has stood still, in all.
    stalled: Duration,
    again: VecDeque<Again>,
    running: BTreeMap<BatchId, Running>,
    ended: VecDeque<Ended>,
    stops: VecDeque<BatchId>,
    bytes: usize,
    next_batch: u64,
    draining: bool,
    tally: Tally,
}

impl Core {
    /// An empty machine.
    #[must_use]
    pub fn new(policy: Policy, costs: CostTable) -> Self {
        Self {
            share: Share::new(policy.bulk_share),
            prices: Graph::ALL.map(|graph| costs.price(graph, policy.max_batch_time)),
            policy,
            costs,
            jobs: Jobs::default(),
            entries: Numbered::default(),
            queues: Default::default(),
            delays: Default::default(),
            drain_rate: DrainRateEstimator::default(),
            retries: RetrySchedule::default(),
            stalled: Duration::ZERO,
            again: VecDeque::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            stops: VecDeque::new(),
            bytes: 0,
            next_batch: 0,
            draining: false,
            tally: Tally::default(),
        }
    }

    /// A job arrives. Bulk jobs that have not begun may be evicted for an interactive one.
    ///
    /// # Errors
    /// Why it is not let in; nothing is kept of it then.
    pub fn handle_job(&mut self, now: Time, job: Job) -> Result<(), Refusal> {
        if self.jobs.get(&job.id).is_some() {
            return Err(Refusal::Terms("its job is there already"));
        }
        if self.costs.relax(now) {
            self.prices =
                Graph::ALL.map(|graph| self.costs.price(graph, self.policy.max_batch_time));
        }
        let admission = Admission {
            at: now,
            predicted: self.admit(now, &job)?,
            stalled: self.stalled,
        };
        self.jobs.insert(job, admission);
        self.count_jobs(now);
        Ok(())
    }

    /// More is known of what a job will ask for, beside what it has asked for already. Say it before
    /// the entries that need it. The class stays as it was once an entry was submitted.
    ///
    /// # Errors
    /// As [`Core::handle_job`]. The job stays as it was let in, and is best given up.
    pub fn handle_measured(
        &mut self,
        now: Time,
        id: JobId,
        class: Class,
        work: Work,
        bytes: usize,
    ) -> Result<(), Refusal> {
        let state = self.jobs.living(id)?;
        let bytes = bytes.max(state.bytes);
        let class = match state.may_change_class() {
            true => class,
            false => state.job.class,
        };
        let job = Job {
            class,
            work,
            bytes,
            ..state.job.clone()
        };
        self.admit(now, &job)?;
        self.jobs.measured(job);
        Ok(())
    }

    /// An entry of a job arrives.
    ///
    /// # Errors
    /// The job has ended, or the entry is not what the job asked for.
    pub fn handle_entry(&mut self, now: Time, entry: Entry) -> Result<(), Refusal> {
        if entry.task.items() == 0 {
            return Err(Refusal::Terms("nothing to run"));
        }
        if let Task::Advance { steps, .. } = entry.task
            && steps > self.costs.shapes().most_steps()
        {
            return Err(Refusal::Terms("a chunk longer than the largest shape"));
        }
        let (job, round) = self.jobs.submit(&entry)?;
        let place = Place {
            round,
            deadline: job.job.deadline.unwrap_or(Time::MAX),
            job: job.number,
            entry: entry.id,
        };
        self.bytes += entry.bytes;
        self.tally.admitted += 1;
        self.queues[job.job.class as usize].push(&job.job.tenant, entry.task.graph(), place);
        let state = State {
            place,
            arrived: now,
            taken: 0,
            done: 0,
            under_way: Vec::new(),
            abandoned: false,
            entry,
        };
        self.entries.insert(state.entry.id, state);
        Ok(())
    }

    /// Nobody waits for an entry any more. What of it waits is dropped; what is under way runs out,
    /// unless nobody waits for any of its companions either. An entry that has ended is no concern.
    pub fn handle_cancel(&mut self, id: EntryId) {
        if self.abandon(id) {
            self.tally.cancelled += 1;
        }
    }

    /// A job is over for whoever submitted it: done, given up, or ended by [`Ended::Job`]. Its
    /// entries are cancelled, and it holds nothing any more.
    pub fn handle_leave(&mut self, now: Time, id: JobId) -> Left {
        let mut left = Left::default();
        if let Some((class, observation)) = self.jobs.observed(now, self.stalled, id) {
            self.delays[class as usize].observe(now, observation);
        }
        for entry in self.jobs.entries(id) {
            let begun = self
                .entries
                .get(&entry)
                .is_some_and(|state| state.taken > 0);
            match begun {
                true => left.begun += 1,
                false => left.waiting += 1,
            }
            self.handle_cancel(entry);
        }
        self.jobs.remove(id);
        self.count_jobs(now);
        left
    }

    /// A batch has ended.
    pub fn handle_done(&mut self, batch: BatchId, outcome: &Outcome) {
        let Some(running) = self.running.remove(&batch) else {
            return;
        };
        let (graph, shape) = (running.batch.graph, running.batch.shape);
        if let Outcome::Ran { cost, .. } = outcome {
            self.costs.observe(graph, shape, *cost);
            self.prices[graph as usize] = self.costs.price(graph, self.policy.max_batch_time);
        }
        for (place, member) in running.batch.members.into_iter().enumerate() {
            match outcome {
                Outcome::Ran { broken, .. } => {
                    let fine = broken.binary_search(&place).is_err();
                    self.part_done(batch, &member, fine);
                }
                Outcome::Failed if running.again => self.part_done(batch, &member, false),
                Outcome::Failed => self.run_again(batch, graph, member),
            }
        }
    }

    /// The whole process stood still for so long: a paused machine, a stopped process, exhausted processor
    /// quota. Jobs in hand took longer for it, which says nothing about jobs to come.
    pub fn handle_stall(&mut self, lost: Duration) {
        self.stalled = self.stalled.saturating_add(lost);
        self.drain_rate.stalled(lost);
    }

    /// From now on nothing is admitted; what was admitted still ends.
    pub fn handle_drain(&mut self) {
        self.draining = true;
    }

    /// What a free instance should do now. Jobs that can no longer be done in time end here.
    pub fn poll(&mut self, now: Time) -> Next {
        self.expire(now);
        if let Some(again) = self.again.pop_front() {
            return Next::Run(self.form_again(now, &again));
        }
        let mut wake = None;
        let plan = match self.ready(now, Class::Interactive, &mut wake) {
            Some(plan) => Some(self.overdue_bulk(now, &plan).unwrap_or(plan)),
            None => self.ready(now, Class::Bulk, &mut wake),
        };
        match plan {
            Some(plan) => Next::Run(self.form(now, plan)),
            None => wake.map_or(Next::Idle, Next::Wait),
        }
    }

    /// What ended since this was last asked.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// A batch under way for which nobody waits any more.
    pub fn poll_stop(&mut self) -> Option<BatchId> {
        self.stops.pop_front()
    }

    /// How many entries of a class wait for a graph, in part or whole.
    #[must_use]
    pub fn waiting(&self, graph: Graph, class: Class) -> usize {
        self.queues[class as usize].len(graph)
    }

    /// Whether an instance that is free would find something, now or after a wait.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.again.is_empty() || self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// How many entries are held, waiting or under way.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How many jobs are let in.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Bytes of the entries that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Predicted device time of what a class has still to do, its jobs' entries to come included.
    #[must_use]
    pub fn backlog(&self, class: Class) -> Duration {
        self.predict(self.jobs.work(class))
    }

    /// The predicted costs as they are now.
    #[must_use]
    pub fn costs(&self) -> &CostTable {
        &self.costs
    }

    /// How many entries ended, and how.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether nothing is held at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.entries.is_empty() && self.running.is_empty()
    }

    fn count_jobs(&mut self, now: Time) {
        let instances = self.policy.instances;
        self.drain_rate.held(now, self.jobs.len(), instances);
    }

    fn predict(&self, work: Work) -> Duration {
        work.priced(self.prices)
    }

    /// A class' next batch, if it is not worth waiting; else `wake` is no later than the end of
    /// the wait. A batch that is not full yields to the other graph's, if it can wait for its end.
    fn ready(&self, now: Time, class: Class, wake: &mut Option<Time>) -> Option<Plan> {
        let mut yielding: Option<Plan> = None;
        for graph in self.graphs(class) {
            let Some(plan) = self.plan(now, class, graph, self.policy.max_batch_time) else {
                continue;
            };
            if let Some(until) = self.patience(now, &plan) {
                *wake = Some(wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            match (&yielding, self.yields(now, &plan)) {
                (None, true) => yielding = Some(plan),
                (None, false) => return Some(plan),
                (Some(first), false) if plan.time <= self.spare(now, first) => return Some(plan),
                (Some(_), _) => {}
            }
        }
        yielding
    }

    /// Bulk's batch in place of an interactive one with which bulk would have less than its share.
    /// It waits for no companions, and takes no longer than the one in whose place it runs can wait
    /// and takes itself, or than what bulk lacks. (In batches of what it lacks alone it would get a
    /// row at a time, the dearest way to its share.)
    fn overdue_bulk(&self, now: Time, instead_of: &Plan) -> Option<Plan> {
        let graph = *self.graphs(Class::Bulk).first()?;
        let bulk = self.bulk_part(instead_of);
        let lack = self.share.lacks(instead_of.time, bulk)?;
        let harmless = instead_of.time.min(self.spare(now, instead_of));
        let most = lack.max(harmless).min(self.policy.max_batch_time);
        self.plan(now, Class::Bulk, graph, most)
    }

    /// Graphs with waiting entries of a class, the one whose turn it is first.
    fn graphs(&self, class: Class) -> Vec<Graph> {
        let queue = &self.queues[class as usize];
        let Some((first, _)) = queue.head() else {
            return Vec::new();
        };
        let second = Graph::ALL.into_iter().find(|graph| *graph != first);
        std::iter::once(first)
            .chain(second.filter(|graph| queue.len(*graph) > 0))
            .collect()
    }
}

fn rows_of(graph: Graph, items: usize) -> usize {
    match graph {
        Graph::Encoder => items,
        Graph::Sequence => 1,
    }
}

/// Some rows' part of a batch's time.
fn part(time: Duration, rows: usize, all: usize) -> Duration {
    let of = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
    time * of(rows) / of(all).max(1)
}

#[cfg(test)]
mod tests;
