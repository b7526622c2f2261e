//! The state of one admitted job: what is left of its announced work, and where its streams are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::batch::End;
use super::class::Class;
use super::delay_estimator::DelayObservation;
use super::entry::{Entry, EntryId, Task};
use super::job::{Job, Work};
use super::refusal::Refusal;
use super::rounds::{RoundProgress, Rounds};
use super::time::Time;

/// An admitted job.
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
    /// How it ended, if it did. It waits to be removed then.
    pub(super) end: Option<End>,
    entries: BTreeSet<EntryId>,
    streams: BTreeMap<usize, StreamState>,
    /// A batch has taken some of its work.
    has_begun: bool,
    admission: Admission,
    progress: RoundProgress,
}

/// What was predicted when a job was admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    pub(super) at: Time,
    /// Time until its end.
    pub(super) predicted: Duration,
    /// How long the process had stood still before, in all.
    pub(super) stalled: Duration,
}

#[derive(Debug, Default)]
struct StreamState {
    /// Steps that were submitted so far.
    steps: usize,
    /// The chunk that waits or is under way.
    chunk: Option<EntryId>,
}

impl JobState {
    pub(super) fn new(job: Job, number: u64, admission: Admission) -> Self {
        Self {
            number,
            promised: job.work,
            waiting: Work::default(),
            under_way: Work::default(),
            bytes: 0,
            end: None,
            entries: BTreeSet::new(),
            streams: BTreeMap::new(),
            has_begun: false,
            admission,
            progress: RoundProgress::default(),
            job,
        }
    }

    pub(super) fn is_living(&self) -> bool {
        self.end.is_none()
    }

    /// Returns the work that is not done.
    pub(super) fn unfinished(&self) -> Work {
        let mut unfinished = self.promised;
        unfinished += self.waiting;
        unfinished += self.under_way;
        unfinished
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = EntryId> {
        self.entries.iter().copied()
    }

    /// Returns whether the job holds no entry and none has begun. Entries wait in the queue of the job's class.
    pub(super) fn may_change_class(&self) -> bool {
        self.entries.is_empty() && !self.has_begun
    }

    pub(super) fn may_be_evicted(&self) -> bool {
        self.job.class == Class::Bulk && !self.has_begun && self.is_living()
    }

    /// Checks that an entry is part of what the job announced.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), Refusal> {
        if entry.task.items() > self.promised.of(entry.task.graph()) {
            return Err(Refusal::Terms("more work than it announced"));
        }
        if entry.bytes > self.job.bytes.saturating_sub(self.bytes) {
            return Err(Refusal::Terms("more bytes than it announced"));
        }
        if let Task::Advance { stream, from, .. } = entry.task {
            let (steps, chunk) = self
                .streams
                .get(&stream)
                .map_or((0, None), |stream| (stream.steps, stream.chunk));
            if chunk.is_some() || from != steps {
                return Err(Refusal::Terms("a stream's steps out of order"));
            }
        }
        Ok(())
    }

    /// Adds an entry, which waits from now on. Returns the round that it belongs to.
    pub(super) fn submit(&mut self, entry: &Entry, rounds: &Rounds) -> u64 {
        let graph = entry.task.graph();
        self.entries.insert(entry.id);
        self.bytes += entry.bytes;
        *self.promised.of_mut(graph) -= entry.task.items();
        *self.waiting.of_mut(graph) += entry.task.items();
        if let Task::Advance { stream, steps, .. } = entry.task {
            let stream = self.streams.entry(stream).or_default();
            stream.steps += steps;
            stream.chunk = Some(entry.id);
        }
        self.progress.submit(rounds, entry.task.items())
    }

    /// Records that a batch took the entry's items.
    pub(super) fn begin(&mut self, entry: &Entry, items: usize) {
        self.has_begun = true;
        *self.waiting.of_mut(entry.task.graph()) -= items;
        *self.under_way.of_mut(entry.task.graph()) += items;
    }

    /// Removes an entry. A chunk that was not run leaves its stream where it was.
    pub(super) fn remove(&mut self, entry: &Entry, was_run: bool) {
        self.entries.remove(&entry.id);
        self.bytes -= entry.bytes;
        if let Task::Advance { stream, steps, .. } = entry.task
            && let Some(stream) = self.streams.get_mut(&stream)
        {
            stream.chunk = None;
            stream.steps -= if was_run { 0 } else { steps };
        }
    }

    /// Returns how the job's time compares with its prediction, if the job is done or late. A job during which
    /// the process stood still gives no observation; `stalled` is the time of all standstills so far.
    pub(super) fn observation(&self, now: Time, stalled: Duration) -> Option<DelayObservation> {
        let Admission {
            at,
            predicted,
            stalled: stalled_before,
        } = self.admission;
        if stalled > stalled_before {
            return None;
        }
        let took = now.saturating_sub(at);
        // The caller may give the job up at its deadline before the scheduler ends it.
        let is_late = match self.end {
            None => self.job.deadline.is_some_and(|deadline| now >= deadline),
            Some(end) => end == End::Expired,
        };
        if is_late {
            return Some(DelayObservation {
                took: took.max(predicted),
                predicted,
                in_time: Some(false),
            });
        }
        let is_done = self.is_living() && self.unfinished() == Work::default();
        is_done.then_some(DelayObservation {
            took,
            predicted,
            in_time: self.job.deadline.map(|_| true),
        })
    }
}
