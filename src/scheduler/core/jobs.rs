//! All admitted jobs, with sums of what they hold, together and by tenant.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::End;
use super::class::{Class, PerClass};
use super::entry::{Entry, EntryId};
use super::graph::Graph;
use super::holding::Holding;
use super::job::{Job, JobId, TenantId, Work};
use super::job_state::{Admission, JobState};
use super::numbered::Numbered;
use super::refusal::Refusal;
use super::rounds::Rounds;
use super::time::Time;

/// What is kept of one tenant that holds something.
#[derive(Debug, Default)]
struct TenantJobs {
    weight: u32,
    held: Holding,
    rounds: PerClass<Rounds>,
    /// Jobs that may be evicted, by the number of their arrival.
    evictable: BTreeMap<u64, JobId>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Numbered<JobId, JobState>,
    tenants: BTreeMap<TenantId, TenantJobs>,
    held: Holding,
    deadlines: BTreeSet<(Time, JobId)>,
    arrivals: u64,
    /// Bytes of entries that batches under way still read although their jobs have ended.
    left_behind: usize,
}

impl Jobs {
    pub(super) fn insert(&mut self, job: Job, admission: Admission) {
        self.arrivals += 1;
        let tenant = self.tenants.entry(job.tenant.clone()).or_default();
        tenant.weight = job.weight.max(1);
        if let Some(deadline) = job.deadline {
            self.deadlines.insert((deadline, job.id));
        }
        let state = JobState::new(job, self.arrivals, admission);
        let holding = Holding::of(&state);
        self.held.add(holding);
        tenant.held.add(holding);
        tenant.rounds[state.job.class].jobs += 1;
        if state.may_be_evicted() {
            tenant.evictable.insert(state.number, state.job.id);
        }
        self.jobs.insert(state.job.id, state);
    }

    /// Changes a living job, and the sums with it.
    fn change<T>(&mut self, id: JobId, change: impl FnOnce(&mut JobState) -> T) -> Option<T> {
        let state = self.jobs.get_mut(&id)?;
        if !state.is_living() {
            return None;
        }
        let before = Holding::of(state);
        let changed = change(state);
        let after = Holding::of(state);
        self.held.replace(before, after);
        if let Some(tenant) = self.tenants.get_mut(&state.job.tenant) {
            tenant.held.replace(before, after);
            if before.evictable_jobs > after.evictable_jobs {
                tenant.evictable.remove(&state.number);
            } else if before.evictable_jobs < after.evictable_jobs {
                tenant.evictable.insert(state.number, id);
            }
        }
        Some(changed)
    }

    /// Subtracts a living job from the sums.
    fn discount(&mut self, id: JobId) {
        let Some(state) = self.jobs.get(&id).filter(|state| state.is_living()) else {
            return;
        };
        let holding = Holding::of(state);
        self.held.subtract(holding);
        if let Some(tenant) = self.tenants.get_mut(&state.job.tenant) {
            tenant.held.subtract(holding);
            tenant.rounds[state.job.class].jobs -= 1;
            tenant.evictable.remove(&state.number);
        }
    }

    /// Replaces what a living job announced.
    pub(super) fn announce(&mut self, job: Job) {
        let (id, tenant, class) = (job.id, job.tenant.clone(), job.class);
        let before = self.change(id, |state| {
            state.promised = job.work;
            std::mem::replace(&mut state.job, job).class
        });
        if let (Some(before), Some(tenant)) = (before, self.tenants.get_mut(&tenant)) {
            tenant.rounds[before].jobs -= 1;
            tenant.rounds[class].jobs += 1;
        }
    }

    /// Adds an entry to its job. Returns the job and the round that the entry belongs to.
    pub(super) fn submit(&mut self, entry: &Entry) -> Result<(&JobState, u64), Refusal> {
        let state = self.living(entry.job)?;
        state.check(entry)?;
        let rounds = self
            .tenants
            .get(&state.job.tenant)
            .map(|tenant| tenant.rounds[state.job.class])
            .unwrap_or_default();
        let round = self.change(entry.job, |state| state.submit(entry, &rounds));
        Ok((self.living(entry.job)?, round.unwrap_or_default()))
    }

    /// Records that a batch takes some of an entry's items. Returns the entry's job if it is living.
    pub(super) fn begin(&mut self, entry: &Entry, items: usize) -> Option<Job> {
        let job = self.change(entry.job, |state| {
            state.begin(entry, items);
            state.job.clone()
        })?;
        if let Some(tenant) = self.tenants.get_mut(&job.tenant) {
            tenant.rounds[job.class].served(items);
        }
        Some(job)
    }

    /// Records that a batch with some of a job's items has ended.
    pub(super) fn done(&mut self, id: JobId, graph: Graph, items: usize) {
        self.change(id, |state| *state.under_way.of_mut(graph) -= items);
    }

    /// Records that some of a job's work will not be done.
    pub(super) fn dropped(&mut self, id: JobId, graph: Graph, waiting: usize, under_way: usize) {
        self.change(id, |state| {
            *state.waiting.of_mut(graph) -= waiting;
            *state.under_way.of_mut(graph) -= under_way;
        });
    }

    /// Removes an entry. A chunk that was not run leaves its stream where it was.
    pub(super) fn remove_entry(&mut self, entry: &Entry, was_run: bool) {
        let Some(state) = self.jobs.get_mut(&entry.job) else {
            self.left_behind -= entry.bytes;
            return;
        };
        state.remove(entry, was_run);
        if !state.is_living() {
            self.left_behind -= entry.bytes;
        }
    }

    /// Ends a job, which waits to be removed. From now on it holds nothing but the bytes that batches under
    /// way still read.
    pub(super) fn close(&mut self, id: JobId, end: End) {
        self.discount(id);
        if let Some(state) = self.jobs.get_mut(&id) {
            state.end = Some(end);
            self.left_behind += state.bytes;
            if let Some(deadline) = state.job.deadline {
                self.deadlines.remove(&(deadline, id));
            }
        }
    }

    pub(super) fn remove(&mut self, id: JobId) {
        self.discount(id);
        let Some(state) = self.jobs.remove(&id) else {
            return;
        };
        if state.is_living() {
            self.left_behind += state.bytes;
        }
        if let Some(deadline) = state.job.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        let tenant = state.job.tenant;
        if self
            .tenants
            .get(&tenant)
            .is_some_and(|tenant| tenant.held.jobs == 0)
        {
            self.tenants.remove(&tenant);
        }
    }

    pub(super) fn get(&self, id: &JobId) -> Option<&JobState> {
        self.jobs.get(id)
    }

    /// Returns a job that has not ended.
    pub(super) fn living(&self, id: JobId) -> Result<&JobState, Refusal> {
        let state = self.jobs.get(&id).ok_or(Refusal::Ended(None))?;
        match state.end {
            None => Ok(state),
            Some(end) => Err(Refusal::Ended(Some(end))),
        }
    }

    /// Returns a job's entries that are held.
    pub(super) fn entries(&self, id: JobId) -> Vec<EntryId> {
        let state = self.jobs.get(&id);
        state.map_or_else(Vec::new, |state| state.entries().collect())
    }

    /// Returns what all jobs except this one hold, what its tenant holds of that, and what the job itself
    /// holds.
    pub(super) fn beside(&self, job: &Job) -> (Holding, Holding, Holding) {
        let own = self.jobs.get(&job.id).filter(|state| state.is_living());
        let own = own.map(Holding::of).unwrap_or_default();
        let (mut all, mut tenant) = (self.held, Holding::default());
        all.subtract(own);
        all.bytes += self.left_behind;
        if let Some(state) = self.tenants.get(&job.tenant) {
            tenant = state.held;
            tenant.subtract(own);
        }
        (all, tenant, own)
    }

    /// Returns how many living jobs of the job's tenant and class there are, not counting itself.
    pub(super) fn beside_in_class(&self, job: &Job) -> usize {
        let tenant = self.tenants.get(&job.tenant);
        let all = tenant.map_or(0, |tenant| tenant.rounds[job.class].jobs);
        let own = self.jobs.get(&job.id);
        let own = own.filter(|own| own.is_living() && own.job.class == job.class);
        all - usize::from(own.is_some())
    }

    /// Returns the sum of the weights of the job's tenant and of the other tenants for which `holds` is true. A
    /// tenant's part of a bound is its weight divided by this sum.
    pub(super) fn weights(&self, job: &Job, holds: impl Fn(&Holding) -> bool) -> u64 {
        let others = self
            .tenants
            .iter()
            .filter(|(id, tenant)| **id != job.tenant && holds(&tenant.held));
        let others: u64 = others.map(|(_, tenant)| u64::from(tenant.weight)).sum();
        others + u64::from(job.weight.max(1))
    }

    /// Returns the job to evict first: the newest evictable job of the tenant that has the most of them.
    pub(super) fn first_to_evict(&self) -> Option<JobId> {
        let most = self
            .tenants
            .values()
            .rev()
            .max_by_key(|tenant| tenant.evictable.len())?;
        most.evictable.last_key_value().map(|(_, id)| *id)
    }

    /// Returns the jobs with a deadline up to this time, the most urgent first.
    pub(super) fn due(&self, by: Time) -> impl Iterator<Item = (Time, JobId)> {
        self.deadlines.range(..=(by, JobId(u64::MAX))).copied()
    }

    /// Returns the work of a class that is not done.
    pub(super) fn work(&self, class: Class) -> Work {
        self.held.work[class]
    }

    /// Returns how many jobs have not ended.
    pub(super) fn len(&self) -> usize {
        self.held.jobs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}
