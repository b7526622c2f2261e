//! What callers and workers share: the core and its entries behind one lock.
//!
//! The lock is held for bookkeeping alone: never while a batch runs, nor while replies are sent.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use super::clock::Clock;
use super::core::{
    BatchId, Class, Core, CostTable, End, Ended, Entry, EntryId, Graph, JobId, Numbered, PerClass,
    PerGraph, Policy, Time,
};
use super::lane_task::LaneTask;
use super::pending::{Destination, EntryOutcome, PendingChunk, PendingEntry};
use super::reply::PendingReply;
use super::results::Failure;
use super::stalls::StallDetector;
use super::sync::{Condvar, Mutex, MutexGuard};
use crate::runtime::{Sizes, StopHandle};
use crate::telemetry::batches::{self, BacklogGauge, BytesGauge, EntriesGauge};

/// What callers and workers share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<ShellState>,
    /// Workers wait here for something to run, or for the end.
    work_or_close: Condvar,
    pub(super) sizes: Sizes,
    /// Steps of the longest chunk.
    pub(super) longest: usize,
    pub(super) clock: Clock,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct ShellState {
    pub(super) core: Core,
    pub(super) entries: Numbered<EntryId, PendingEntry>,
    /// Notified if the scheduler ends a job.
    pub(super) jobs: Numbered<JobId, oneshot::Sender<End>>,
    /// Batches under way, and the handles that stop them.
    pub(super) running: Numbered<BatchId, Arc<dyn StopHandle>>,
    /// Why entries fail, if the current event makes some fail.
    pub(super) failure: Option<Failure>,
    pub(super) next_entry: u64,
    pub(super) next_job: u64,
    /// Workers that wait.
    idle: usize,
    /// Whether all work is refused, and workers end when none is left.
    pub(super) is_closed: bool,
    stalls: StallDetector,
    gauges: Gauges,
}

/// The gauges of what the scheduler holds.
#[derive(Debug)]
struct Gauges {
    entries: PerGraph<PerClass<EntriesGauge>>,
    backlog: PerClass<BacklogGauge>,
    bytes: BytesGauge,
}

impl Gauges {
    fn new() -> Self {
        Self {
            entries: PerGraph::from_fn(|graph| {
                PerClass::from_fn(|class| EntriesGauge::new(graph.name(), class.name()))
            }),
            backlog: PerClass::from_fn(|class| BacklogGauge::new(class.name())),
            bytes: BytesGauge::new(),
        }
    }

    fn set(&self, core: &Core) {
        for graph in Graph::ALL {
            for class in Class::ALL {
                self.entries[graph][class].set(core.waiting(graph, class));
            }
        }
        for class in Class::ALL {
            self.backlog[class].set(core.backlog(class));
        }
        self.bytes.set(core.bytes());
    }
}

impl Shared {
    pub(super) fn new(policy: Policy, costs: CostTable, sizes: Sizes, clock: Clock) -> Self {
        Self {
            longest: costs.shapes().most_steps(),
            state: Mutex::new(ShellState {
                core: Core::new(policy, costs),
                entries: Numbered::default(),
                jobs: Numbered::default(),
                running: Numbered::default(),
                failure: None,
                next_entry: 0,
                next_job: 0,
                idle: 0,
                is_closed: false,
                stalls: StallDetector::default(),
                gauges: Gauges::new(),
            }),
            work_or_close: Condvar::new(),
            sizes,
            clock,
        }
    }

    /// Changes the state, then sends the replies that follow from it and wakes the workers that it needs.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut ShellState, Time) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.now();
        self.detect_stall(&mut state, now);
        let result = change(&mut state, now);
        let replies = state.settle(now);
        let (has_work, has_ended) = (state.wakes(), state.has_ended());
        drop(state);
        if has_ended {
            self.wake_all();
        } else if has_work {
            self.wake_one();
        }
        replies.into_iter().for_each(PendingReply::send);
        result
    }

    pub(super) fn wake_one(&self) {
        self.work_or_close.notify_one();
    }

    pub(super) fn wake_all(&self) {
        self.work_or_close.notify_all();
    }

    /// Locks the state. A panic of another thread leaves the core consistent, because the core
    /// changes in one step, after results are stored.
    pub(super) fn lock(&self) -> MutexGuard<'_, ShellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the core if the process stood still, before the time decides about the next event.
    pub(super) fn detect_stall(&self, state: &mut ShellState, now: Time) {
        let is_idle = state.core.jobs() == 0;
        let processor = || self.clock.processor_time();
        if let Some(lost) = state.stalls.observe(now, is_idle, processor) {
            state.core.handle_stall(lost);
            batches::stalled();
        }
    }

    /// Sleeps until something happens, or until this time.
    pub(super) fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, ShellState>,
        until: Option<Time>,
    ) -> MutexGuard<'a, ShellState> {
        state.idle += 1;
        let mut state = match until.and_then(|until| self.clock.until(until)) {
            None => self
                .work_or_close
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let woken = self.work_or_close.wait_timeout(state, timeout);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.idle -= 1;
        state
    }
}

impl ShellState {
    /// Carries out what follows from the latest events: it stops batches, lets lanes advance, and returns the
    /// replies to send once the lock is free.
    pub(super) fn settle(&mut self, now: Time) -> Vec<PendingReply> {
        while let Some(batch) = self.core.poll_stop() {
            if let Some(device) = self.running.get(&batch) {
                device.stop();
            }
        }
        let mut replies = Vec::new();
        while let Some(ended) = self.core.poll_ended() {
            match ended {
                Ended::Entry(id, end) => replies.extend(self.end_entry(now, id, end)),
                Ended::Job(id, end) => {
                    batches::ended(matches!(end, End::Evicted { .. }));
                    replies.extend(self.jobs.remove(&id).map(|job| PendingReply::Job(job, end)));
                }
            }
        }
        self.failure = None;
        self.gauges.set(&self.core);
        replies
    }

    /// Ends an entry. Returns the reply, unless a lane advances instead.
    fn end_entry(&mut self, now: Time, id: EntryId, end: End) -> Option<PendingReply> {
        let failure = match end {
            End::Answered => None,
            End::Failed => Some(self.failure.clone().unwrap_or(Failure::Lost)),
            End::Expired => Some(Failure::Expired),
            End::Evicted { retry } => Some(Failure::Evicted { retry }),
        };
        match self.entries.remove(&id)?.end(failure) {
            EntryOutcome::Reply(reply) => Some(reply),
            EntryOutcome::Advance(lane) => self.advance(now, id, lane),
        }
    }

    /// Submits a lane's next entry. Returns its reply if there is none.
    fn advance(&mut self, now: Time, id: EntryId, mut lane: Box<LaneTask>) -> Option<PendingReply> {
        let Some((task, chunk)) = lane.next() else {
            return Some(lane.finish());
        };
        let entry = Entry {
            id,
            job: lane.job,
            task,
            bytes: chunk.bytes(),
        };
        if let Err(refusal) = self.core.handle_entry(now, entry) {
            return Some(lane.fail(refusal.into()));
        }
        let entry = PendingChunk::new(chunk, Destination::Lane(lane));
        self.entries.insert(id, PendingEntry::Chunk(entry));
        None
    }

    /// Returns whether a sleeping worker has something to do.
    pub(super) fn wakes(&self) -> bool {
        self.idle > 0 && self.core.has_waiting()
    }

    /// Returns whether workers have nothing more to do, ever.
    pub(super) fn has_ended(&self) -> bool {
        self.is_closed && self.core.entries() == 0
    }
}
