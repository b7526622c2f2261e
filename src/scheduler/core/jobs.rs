//! Who is in: each job's terms and what is left of them, and what all jobs together hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Time;
use super::batch::End;
use super::delay_estimator::Observation;
use super::entry::{Entry, EntryId, Graph, Task};
use super::job::{Class, Job, JobId, TenantId, Work};
use super::numbered::Numbered;
use super::refusal::Refusal;
use super::rounds::{Progress, Rounds};

/// A job that is in.
#[derive(Debug)]
pub(super) struct JobState {
    pub(super) job: Job,
    /// Number of its arrival.
    pub(super) number: u64,
    /// Work that it may still submit.
    pub(super) promised: Work,
    /// Work that waits for a batch.
    pub(super) waiting: Work,
    /// Work in batches under way.
    pub(super) under_way: Work,
    /// Bytes that its entries hold.
    pub(super) bytes: usize,
    entries: BTreeSet<EntryId>,
    streams: BTreeMap<usize, Stream>,
    /// A batch has taken some of its work.
    begun: bool,
    /// How it ended, if it did; it holds nothing then.
    over: Option<End>,
    admission: Admission,
    progress: Progress,
}

/// What was known when a job was admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    pub(super) at: Time,
    /// Time until its end.
    pub(super) predicted: Duration,
    /// How long the process had stood still by then, in all.
    pub(super) stalled: Duration,
}

#[derive(Debug, Default)]
struct Stream {
    /// Steps that were submitted so far.
    steps: usize,
    /// Its chunk in hand.
    chunk: Option<EntryId>,
}

impl JobState {
    /// Work that is not done.
    pub(super) fn left(&self) -> Work {
        let mut left = self.promised;
        left += self.waiting;
        left += self.under_way;
        left
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = EntryId> {
        self.entries.iter().copied()
    }

    /// Its entries wait in their class' queue, so the class stays once there are any.
    pub(super) fn may_change_class(&self) -> bool {
        self.entries.is_empty() && !self.begun
    }

    fn may_be_evicted(&self) -> bool {
        self.job.class == Class::Bulk && !self.begun && self.over.is_none()
    }
}

/// What jobs hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) jobs: usize,
    pub(super) bytes: usize,
    /// By class.
    pub(super) work: [Work; 2],
    /// Of jobs that may be evicted.
    pub(super) evictable_jobs: usize,
    pub(super) evictable_bytes: usize,
}

impl Holding {
    fn of(state: &JobState) -> Self {
        let mut holding = Self {
            jobs: 1,
            bytes: state.job.bytes,
            ..Self::default()
        };
        holding.work[state.job.class as usize] = state.left();
        if state.may_be_evicted() {
            holding.evictable_jobs = 1;
            holding.evictable_bytes = state.job.bytes;
        }
        holding
    }

    fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.bytes += other.bytes;
        for (work, other) in self.work.iter_mut().zip(other.work) {
            *work += other;
        }
        self.evictable_jobs += other.evictable_jobs;
        self.evictable_bytes += other.evictable_bytes;
    }

    /// Of one job it is this much now that was that much before.
    fn replace(&mut self, before: Self, after: Self) {
        self.subtract(before);
        self.add(after);
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.jobs -= other.jobs;
        self.bytes -= other.bytes;
        for (work, other) in self.work.iter_mut().zip(other.work) {
            *work -= other;
        }
        self.evictable_jobs -= other.evictable_jobs;
        self.evictable_bytes -= other.evictable_bytes;
    }
}

#[derive(Debug, Default)]
struct Tenant {
    weight: u32,
    held: Holding,
    /// By class.
    rounds: [Rounds; 2],
    /// Jobs that may be evicted, by arrival.
    evictable: BTreeMap<u64, JobId>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Numbered<JobId, JobState>,
    tenants: BTreeMap<TenantId, Tenant>,
    held: Holding,
    deadlines: BTreeSet<(Time, JobId)>,
    arrivals: u64,
    /// Bytes of entries whose jobs are over, which batches under way still read.
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
        let state = JobState {
            number: self.arrivals,
            promised: job.work,
            waiting: Work::default(),
            under_way: Work::default(),
            bytes: 0,
            entries: BTreeSet::new(),
            streams: BTreeMap::new(),
            begun: false,
            over: None,
            admission,
            progress: Progress::default(),
            job,
        };
        let holding = Holding::of(&state);
        self.held.add(holding);
        tenant.held.add(holding);
        tenant.rounds[state.job.class as usize].jobs += 1;
        if state.may_be_evicted() {
            tenant.evictable.insert(state.number, state.job.id);
        }
        self.jobs.insert(state.job.id, state);
    }

    /// Changes a living job, and the sums with it.
    fn change<T>(&mut self, id: JobId, change: impl FnOnce(&mut JobState) -> T) -> Option<T> {
        let state = self.jobs.get_mut(&id)?;
        if state.over.is_some() {
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

    /// Takes a job that has not ended out of the sums.
    fn discount(&mut self, id: JobId) {
        let Some(state) = self.jobs.get(&id).filter(|state| state.over.is_none()) else {
            return;
        };
        let holding = Holding::of(state);
        self.held.subtract(holding);
        if let Some(tenant) = self.tenants.get_mut(&state.job.tenant) {
            tenant.held.subtract(holding);
            tenant.rounds[state.job.class as usize].jobs -= 1;
            tenant.evictable.remove(&state.number);
        }
    }

    /// Sets a living job's terms anew.
    pub(super) fn measured(&mut self, job: Job) {
        let (id, tenant, class) = (job.id, job.tenant.clone(), job.class);
        let before = self.change(id, |state| {
            state.promised = job.work;
            std::mem::replace(&mut state.job, job).class
        });
        if let (Some(before), Some(tenant)) = (before, self.tenants.get_mut(&tenant)) {
            tenant.rounds[before as usize].jobs -= 1;
            tenant.rounds[class as usize].jobs += 1;
        }
    }

    /// What a job that is done or late tells about predictions. A job in whose time the process stood still
    /// (`stalled` in all, by now) tells nothing.
    pub(super) fn observed(
        &self,
        now: Time,
        stalled: Duration,
        id: JobId,
    ) -> Option<(Class, Observation)> {
        let state = self.jobs.get(&id)?;
        let Admission {
            at,
            predicted,
            stalled: stalled_before,
        } = state.admission;
        if stalled > stalled_before {
            return None;
        }
        let took = now.saturating_sub(at);
        let done = state.over.is_none() && state.left() == Work::default();
        // Its caller may give it up at its deadline before it is ended here.
        let late = match state.over {
            None => state.job.deadline.is_some_and(|deadline| now >= deadline),
            Some(end) => end == End::Expired,
        };
        let observation = match (late, done) {
            (true, _) => Observation {
                took: took.max(predicted),
                predicted,
                in_time: Some(false),
            },
            (false, true) => Observation {
                took,
                predicted,
                in_time: state.job.deadline.map(|_| true),
            },
            (false, false) => return None,
        };
        Some((state.job.class, observation))
    }

    /// Takes an entry into its job's account; also gives the round to which it belongs.
    pub(super) fn submit(&mut self, entry: &Entry) -> Result<(&JobState, u64), Refusal> {
        let state = self.living(entry.job)?;
        let graph = entry.task.graph();
        if entry.task.items() > state.promised.of(graph) {
            return Err(Refusal::Terms("more work than it asked for"));
        }
        if entry.bytes > state.job.bytes.saturating_sub(state.bytes) {
            return Err(Refusal::Terms("more bytes than it asked for"));
        }
        if let Task::Advance { stream, from, .. } = entry.task {
            let (steps, chunk) = state
                .streams
                .get(&stream)
                .map_or((0, None), |stream| (stream.steps, stream.chunk));
            if chunk.is_some() || from != steps {
                return Err(Refusal::Terms("a stream's steps out of order"));
            }
        }
        let rounds = self
            .tenants
            .get(&state.job.tenant)
            .map(|tenant| tenant.rounds[state.job.class as usize])
            .unwrap_or_default();
        let round = self.change(entry.job, |state| {
            state.entries.insert(entry.id);
            state.bytes += entry.bytes;
            *state.promised.of_mut(graph) -= entry.task.items();
            *state.waiting.of_mut(graph) += entry.task.items();
            if let Task::Advance { stream, steps, .. } = entry.task {
                let stream = state.streams.entry(stream).or_default();
                stream.steps += steps;
                stream.chunk = Some(entry.id);
            }
            state.progress.submit(&rounds, entry.task.items())
        });
        Ok((self.living(entry.job)?, round.unwrap_or_default()))
    }

    /// A batch takes some of a job's work.
    pub(super) fn take(&mut self, id: JobId, graph: Graph, items: usize) -> Option<Job> {
        let job = self.change(id, |state| {
            state.begun = true;
            *state.waiting.of_mut(graph) -= items;
            *state.under_way.of_mut(graph) += items;
            state.job.clone()
        })?;
        if let Some(tenant) = self.tenants.get_mut(&job.tenant) {
            tenant.rounds[job.class as usize].served(items);
        }
        Some(job)
    }

    /// A batch with some of a job's work has ended.
    pub(super) fn done(&mut self, id: JobId, graph: Graph, items: usize) {
        self.change(id, |state| *state.under_way.of_mut(graph) -= items);
    }

    /// Some of a job's work will not be done.
    pub(super) fn dropped(&mut self, id: JobId, graph: Graph, waiting: usize, under_way: usize) {
        self.change(id, |state| {
            *state.waiting.of_mut(graph) -= waiting;
            *state.under_way.of_mut(graph) -= under_way;
        });
    }

    /// An entry is no more. A chunk that was not run leaves its stream where it was.
    pub(super) fn forget(&mut self, entry: &Entry, was_run: bool) {
        let Some(state) = self.jobs.get_mut(&entry.job) else {
            self.left_behind -= entry.bytes;
            return;
        };
        state.entries.remove(&entry.id);
        state.bytes -= entry.bytes;
        if state.over.is_some() {
            self.left_behind -= entry.bytes;
        }
        if let Task::Advance { stream, steps, .. } = entry.task
            && let Some(stream) = state.streams.get_mut(&stream)
        {
            stream.chunk = None;
            stream.steps -= if was_run { 0 } else { steps };
        }
    }

    /// A job has ended; it holds nothing from now on but what batches under way still read, and
    /// waits to be removed.
    pub(super) fn close(&mut self, id: JobId, end: End) {
        self.discount(id);
        if let Some(state) = self.jobs.get_mut(&id) {
            state.over = Some(end);
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
        if state.over.is_none() {
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

    /// A job that has not ended.
    pub(super) fn living(&self, id: JobId) -> Result<&JobState, Refusal> {
        let state = self.jobs.get(&id).ok_or(Refusal::Ended(None))?;
        match state.over {
            None => Ok(state),
            Some(end) => Err(Refusal::Ended(Some(end))),
        }
    }

    /// A job's entries that are held.
    pub(super) fn entries(&self, id: JobId) -> Vec<EntryId> {
        let state = self.jobs.get(&id);
        state.map_or_else(Vec::new, |state| state.entries.iter().copied().collect())
    }

    /// What all jobs hold but this one, what its tenant holds of that, and what it holds itself.
    pub(super) fn beside(&self, job: &Job) -> (Holding, Holding, Holding) {
        let own = self.jobs.get(&job.id).filter(|state| state.over.is_none());
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

    /// Jobs of a job's tenant and class that have not ended, itself not counted.
    pub(super) fn beside_in_class(&self, job: &Job) -> usize {
        let tenant = self.tenants.get(&job.tenant);
        let all = tenant.map_or(0, |tenant| tenant.rounds[job.class as usize].jobs);
        let own = self.jobs.get(&job.id);
        let own = own.filter(|own| own.over.is_none() && own.job.class == job.class);
        all - usize::from(own.is_some())
    }

    /// Weights of the tenants that hold something, and one more: a tenant's part of a bound is its
    /// weight out of these.
    pub(super) fn weights(&self, job: &Job, holds: impl Fn(&Holding) -> bool) -> u64 {
        let others = self
            .tenants
            .iter()
            .filter(|(id, tenant)| **id != job.tenant && holds(&tenant.held));
        let others: u64 = others.map(|(_, tenant)| u64::from(tenant.weight)).sum();
        others + u64::from(job.weight.max(1))
    }

    /// The job to evict first: the newest that has not begun, of the tenant with most of them.
    pub(super) fn first_to_evict(&self) -> Option<JobId> {
        let most = self
            .tenants
            .values()
            .rev()
            .max_by_key(|tenant| tenant.evictable.len())?;
        most.evictable.last_key_value().map(|(_, id)| *id)
    }

    /// Jobs that must be answered by then, the most urgent first.
    pub(super) fn due(&self, by: Time) -> impl Iterator<Item = (Time, JobId)> {
        self.deadlines.range(..=(by, JobId(u64::MAX))).copied()
    }

    /// Work of a class that is not done.
    pub(super) fn work(&self, class: Class) -> Work {
        self.held.work[class as usize]
    }

    /// Jobs that have not ended.
    pub(super) fn len(&self) -> usize {
        self.held.jobs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}
