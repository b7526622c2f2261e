//! Sums of what jobs hold, from which admission decides.

use super::class::PerClass;
use super::job::Work;
use super::job_state::JobState;

/// What some jobs hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) jobs: usize,
    pub(super) bytes: usize,
    /// Work that is not done.
    pub(super) work: PerClass<Work>,
    /// Jobs that may be evicted.
    pub(super) evictable_jobs: usize,
    /// Bytes of jobs that may be evicted.
    pub(super) evictable_bytes: usize,
}

impl Holding {
    /// Returns what one living job holds.
    pub(super) fn of(state: &JobState) -> Self {
        let mut holding = Self {
            jobs: 1,
            bytes: state.job.bytes,
            ..Self::default()
        };
        holding.work[state.job.class] = state.unfinished();
        if state.may_be_evicted() {
            holding.evictable_jobs = 1;
            holding.evictable_bytes = state.job.bytes;
        }
        holding
    }

    pub(super) fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.bytes += other.bytes;
        for (class, work) in self.work.iter_mut() {
            *work += other.work[class];
        }
        self.evictable_jobs += other.evictable_jobs;
        self.evictable_bytes += other.evictable_bytes;
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.jobs -= other.jobs;
        self.bytes -= other.bytes;
        for (class, work) in self.work.iter_mut() {
            *work -= other.work[class];
        }
        self.evictable_jobs -= other.evictable_jobs;
        self.evictable_bytes -= other.evictable_bytes;
    }

    /// Replaces what one job held before by what it holds after a change.
    pub(super) fn replace(&mut self, before: Self, after: Self) {
        self.subtract(before);
        self.add(after);
    }
}
