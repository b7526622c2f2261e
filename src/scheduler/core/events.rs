//! What happens to the scheduler: jobs and entries arrive and leave, batches end, time is lost, the server
//! drains.

use std::time::Duration;

use super::batch::{BatchId, Outcome};
use super::class::Class;
use super::entry::{Entry, EntryId, Task};
use super::fair_queue::EntryPlace;
use super::graph::PerGraph;
use super::job::{Job, JobId, Work};
use super::job_state::Admission;
use super::machine::{Core, EntryState};
use super::refusal::Refusal;
use super::time::Time;

/// The entries that a job had not finished when it left; see [`Core::handle_leave`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnfinishedEntries {
    /// Entries of which no batch took anything.
    pub waiting: usize,
    /// Entries of which batches took some items or all.
    pub begun: usize,
}

impl Core {
    /// Handles the arrival of a job. For an interactive job, bulk jobs that have not begun may be evicted.
    ///
    /// # Errors
    /// Why it is not admitted. Nothing is kept of it then.
    pub fn handle_job(&mut self, now: Time, job: Job) -> Result<(), Refusal> {
        if self.jobs.get(&job.id).is_some() {
            return Err(Refusal::Terms("a job of this name is under way"));
        }
        if self.costs.relax(now) {
            let most = self.policy.max_batch_time;
            self.prices = PerGraph::from_fn(|graph| self.costs.price(graph, most));
        }
        let admission = Admission {
            at: now,
            predicted: self.admit(now, &job)?,
            stalled: self.stalled,
        };
        self.jobs.insert(job, admission);
        self.record_jobs_held(now);
        Ok(())
    }

    /// Handles a better prediction of the work that a job has still to submit, beside what it has submitted.
    /// Call it before the entries that need it. The class changes only if the job holds no entry and
    /// none has begun.
    ///
    /// # Errors
    /// As [`Core::handle_job`]. The job stays as it was admitted; the caller should end it.
    pub fn handle_announcement(
        &mut self,
        now: Time,
        id: JobId,
        class: Class,
        work: Work,
        bytes: usize,
    ) -> Result<(), Refusal> {
        let state = self.jobs.living(id)?;
        let bytes = bytes.max(state.bytes);
        let class = if state.may_change_class() {
            class
        } else {
            state.job.class
        };
        let job = Job {
            class,
            work,
            bytes,
            ..state.job.clone()
        };
        self.admit(now, &job)?;
        self.jobs.announce(job);
        Ok(())
    }

    /// Handles the arrival of a job's entry.
    ///
    /// # Errors
    /// The job has ended, or the entry is not part of what the job announced.
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
        let place = EntryPlace {
            round,
            deadline: job.job.deadline.unwrap_or(Time::MAX),
            job: job.number,
            entry: entry.id,
        };
        self.bytes += entry.bytes;
        self.tally.admitted += 1;
        self.queues[job.job.class].push(&job.job.tenant, entry.task.graph(), place);
        let state = EntryState {
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

    /// Handles that nobody waits for an entry any more. Items that wait are dropped. Batches under way run to
    /// their end, unless nobody waits for any of their members. An entry that has ended is ignored.
    pub fn handle_cancel(&mut self, id: EntryId) {
        if self.abandon(id) {
            self.tally.cancelled += 1;
        }
    }

    /// Handles that a job leaves: its caller has all it wants or gave up, or [`Ended::Job`] was reported. Its
    /// entries are cancelled, and it holds nothing any more.
    ///
    /// [`Ended::Job`]: super::Ended::Job
    pub fn handle_leave(&mut self, now: Time, id: JobId) -> UnfinishedEntries {
        let mut unfinished = UnfinishedEntries::default();
        if let Some(state) = self.jobs.get(&id)
            && let Some(observation) = state.observation(now, self.stalled)
        {
            self.delays[state.job.class].observe(now, observation);
        }
        for entry in self.jobs.entries(id) {
            let begun = self
                .entries
                .get(&entry)
                .is_some_and(|state| state.taken > 0);
            if begun {
                unfinished.begun += 1;
            } else {
                unfinished.waiting += 1;
            }
            self.handle_cancel(entry);
        }
        self.jobs.remove(id);
        self.record_jobs_held(now);
        unfinished
    }

    /// Handles the end of a batch.
    pub fn handle_done(&mut self, batch: BatchId, outcome: &Outcome) {
        let Some(running) = self.running.remove(&batch) else {
            return;
        };
        let (graph, shape) = (running.batch.graph, running.batch.shape);
        if let Outcome::Ran { cost, .. } = outcome {
            self.costs.observe(graph, shape, *cost);
            self.prices[graph] = self.costs.price(graph, self.policy.max_batch_time);
        }
        for (place, member) in running.batch.members.into_iter().enumerate() {
            match outcome {
                Outcome::Ran { broken, .. } => {
                    let is_finite = broken.binary_search(&place).is_err();
                    self.part_done(batch, &member, is_finite);
                }
                Outcome::Failed if running.is_retry => self.part_done(batch, &member, false),
                Outcome::Failed => self.retry(batch, graph, member),
            }
        }
    }

    /// Handles that the whole process stood still for this long: a paused machine, a stopped process, exhausted
    /// processor quota. Admitted jobs take longer because of it, which does not predict the time of later jobs.
    pub fn handle_stall(&mut self, lost: Duration) {
        self.stalled = self.stalled.saturating_add(lost);
        self.drain_rate.stalled(lost);
    }

    /// Handles that the server shuts down: no further job is admitted. Admitted jobs still run to their end.
    pub fn handle_drain(&mut self) {
        self.draining = true;
    }

    fn record_jobs_held(&mut self, now: Time) {
        let instances = self.policy.instances;
        self.drain_rate.held(now, self.jobs.len(), instances);
    }
}
