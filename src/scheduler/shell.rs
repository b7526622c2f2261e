//! Lock, threads and replies around the core.
//!
//! All bookkeeping is behind one lock, which is held for that alone: never across a run, nor while
//! answers are sent. Callers submit from any thread, through a [`Ticket`].

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::clock::Clock;
use super::core::{
    BatchId, Class, Core, CostTable, End, Ended, Entry, EntryId, Graph, Job, JobId, Numbered,
    Policy, Refusal, Time,
};
use super::run::Run;
use super::stalls::StallDetector;
use super::sync::{Condvar, Mutex, MutexGuard, thread};
use super::ticket::{Terms, Ticket};
use super::work::{Answer, ChunkWork, Outcome, Pending, Then};
use crate::runtime::{Device, Sizes, StopHandle};
use crate::telemetry::batches::{self, Gauges};

/// Where the time of an entry went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// From admission to the start of its last batch.
    pub queue: Duration,
    /// In batches, companions and padding included.
    pub device: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.queue += other.queue;
        self.device += other.device;
    }
}

/// Why work has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It could not be run, nor again by itself.
    #[error("{0}")]
    Failed(String),
    /// It gave values that are not finite.
    #[error("the model's output is not finite")]
    NotFinite,
    /// It could not be done by its deadline any more.
    #[error("the answer could not be there by its deadline")]
    Expired,
    /// It made room for somebody who waits.
    #[error("bulk work made room for interactive work")]
    Evicted {
        /// When to try again, from then.
        retry: Duration,
    },
    /// It ended without a result or a reason: a fault of ours.
    #[error("the result was lost")]
    Lost,
}

/// The running scheduler. Dropping it lets what is submitted end, and refuses all else.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
    workers: Vec<thread::JoinHandle<()>>,
}

/// What callers and workers share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Workers wait here for something to run.
    work_or_close: Condvar,
    pub(super) sizes: Sizes,
    /// Steps of the longest chunk.
    pub(super) longest: usize,
    clock: Clock,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) core: Core,
    pub(super) work: Numbered<EntryId, Pending>,
    /// Who is told that the scheduler ended a job.
    pub(super) jobs: Numbered<JobId, oneshot::Sender<End>>,
    /// Batches under way, and how they are stopped.
    pub(super) running: Numbered<BatchId, Arc<dyn StopHandle>>,
    /// Why entries failed, if some did by the event at hand.
    pub(super) failure: Option<Failure>,
    pub(super) next_entry: u64,
    next_job: u64,
    /// Workers that wait.
    pub(super) idle: usize,
    /// Nothing more is taken, and workers end when nothing is left.
    pub(super) closed: bool,
    stalls: StallDetector,
    gauges: Gauges,
}

impl Scheduler {
    /// Starts a worker for each device.
    ///
    /// # Errors
    /// A thread that the system does not give.
    pub fn start<D: Device + 'static>(
        devices: Vec<D>,
        sizes: Sizes,
        policy: Policy,
        costs: CostTable,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let longest = costs.shapes().most_steps();
        let state = State {
            core: Core::new(policy, costs),
            work: Numbered::default(),
            jobs: Numbered::default(),
            running: Numbered::default(),
            failure: None,
            next_entry: 0,
            next_job: 0,
            idle: 0,
            closed: false,
            stalls: StallDetector::default(),
            gauges: Gauges::new(Graph::ALL.map(Graph::name), Class::ALL.map(Class::name)),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work_or_close: Condvar::new(),
            sizes,
            longest,
            clock,
        });
        let mut scheduler = Self {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
        };
        for (number, device) in devices.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let worker = thread::Builder::new()
                .name(format!("device-{number}"))
                .spawn(move || shared.work(number, device))?;
            scheduler.workers.push(worker);
        }
        Ok(scheduler)
    }

    /// Lets a request or stream in.
    ///
    /// # Errors
    /// Why there is no place for it.
    pub fn join(&self, terms: Terms) -> Result<Ticket, Refusal> {
        let (sender, over) = oneshot::channel();
        let job = self.shared.change(|state, now| {
            if state.closed {
                return Err(Refusal::Draining);
            }
            let id = JobId(state.next_job);
            let job = Job {
                id,
                tenant: terms.tenant,
                weight: terms.weight,
                class: terms.class,
                deadline: terms
                    .deadline
                    .map(|instant| self.shared.clock.time(instant)),
                work: terms.work,
                bytes: terms.bytes,
            };
            state.core.handle_job(now, job)?;
            state.next_job += 1;
            state.jobs.insert(id, sender);
            Ok(id)
        })?;
        Ok(Ticket {
            shared: Arc::clone(&self.shared),
            job,
            over: Some(over),
        })
    }

    /// Lets nobody in from now on; who is in is served.
    pub fn drain(&self) {
        self.shared.change(|state, _| state.core.handle_drain());
    }

    /// Steps of the longest chunk that [`Ticket::advance`] takes.
    #[must_use]
    pub fn most_steps(&self) -> usize {
        self.shared.longest
    }

    /// Whether nothing and nobody is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.lock().core.is_empty()
    }

    /// Looks at the time: for a driven clock that was moved on.
    pub fn tick(&self) {
        self.shared.work_or_close.notify_all();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.change(|state, _| {
            state.core.handle_drain();
            state.closed = true;
        });
        self.shared.work_or_close.notify_all();
        for worker in self.workers.drain(..) {
            // Of a panic there is nothing to add to what the log already says.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Tells the core of something, and everybody what came of it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, Time) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.now();
        self.detect_stall(&mut state, now);
        let result = change(&mut state, now);
        let answers = state.settle(now);
        let (wakes, ends) = (state.wakes(), state.ends());
        drop(state);
        if ends {
            self.work_or_close.notify_all();
        } else if wakes {
            self.work_or_close.notify_one();
        }
        answers.into_iter().for_each(Answer::send);
        result
    }

    pub(super) fn wake_one(&self) {
        self.work_or_close.notify_one();
    }

    /// A panic elsewhere leaves the bookkeeping whole, for each change to it is made in one go.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Tells the core that the process stood still, if it did, before what happens next is judged by the time.
    pub(super) fn detect_stall(&self, state: &mut State, now: Time) {
        let is_idle = state.core.jobs() == 0;
        let processor = || self.clock.processor_time();
        if let Some(lost) = state.stalls.observe(now, is_idle, processor) {
            state.core.handle_stall(lost);
            batches::stalled();
        }
    }

    /// Sleeps until something happens, or until then.
    pub(super) fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        until: Option<Time>,
    ) -> MutexGuard<'a, State> {
        state.idle += 1;
        let mut state = match until.and_then(|until| self.clock.until(until)) {
            None => self
                .work_or_close
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(long) => {
                let woken = self.work_or_close.wait_timeout(state, long);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.idle -= 1;
        state
    }
}

impl State {
    /// Carries out what came of the latest events: batches to stop, lanes that go on, and answers, to be
    /// sent once the lock is free.
    pub(super) fn settle(&mut self, now: Time) -> Vec<Answer> {
        while let Some(batch) = self.core.poll_stop() {
            if let Some(device) = self.running.get(&batch) {
                device.stop();
            }
        }
        let mut answers = Vec::new();
        while let Some(ended) = self.core.poll_ended() {
            match ended {
                Ended::Entry(id, end) => {
                    let failure = match end {
                        End::Answered => None,
                        End::Failed => Some(self.failure.clone().unwrap_or(Failure::Lost)),
                        End::Expired => Some(Failure::Expired),
                        End::Evicted { retry } => Some(Failure::Evicted { retry }),
                    };
                    let pending = self.work.remove(&id);
                    match pending.map(|pending| pending.end(failure)) {
                        Some(Outcome::Answer(answer)) => answers.push(answer),
                        Some(Outcome::Run(run)) => answers.extend(self.go_on(now, id, run)),
                        None => {}
                    }
                }
                Ended::Job(id, end) => {
                    batches::ended(matches!(end, End::Evicted { .. }));
                    answers.extend(self.jobs.remove(&id).map(|job| Answer::Job(job, end)));
                }
            }
        }
        self.failure = None;
        for graph in Graph::ALL {
            for class in Class::ALL {
                let waiting = self.core.waiting(graph, class);
                self.gauges.waiting(graph as usize, class as usize, waiting);
            }
        }
        for class in Class::ALL {
            self.gauges
                .backlog(class as usize, self.core.backlog(class));
        }
        self.gauges.held(self.core.bytes());
        answers
    }

    /// Submits a lane's next entry; its answer if there is none.
    fn go_on(&mut self, now: Time, id: EntryId, mut run: Box<Run>) -> Option<Answer> {
        let Some((task, chunk)) = run.next() else {
            return Some(run.answer());
        };
        let entry = Entry {
            id,
            job: run.job,
            task,
            bytes: chunk.bytes(),
        };
        if let Err(refusal) = self.core.handle_entry(now, entry) {
            return Some(run.fail(refusal.into()));
        }
        let work = ChunkWork::new(chunk, Then::Run(run));
        self.work.insert(id, Pending::Chunk(work));
        None
    }

    /// Whether a worker that sleeps should look.
    pub(super) fn wakes(&self) -> bool {
        self.idle > 0 && self.core.has_waiting()
    }

    /// Whether workers have nothing more to do, for good.
    pub(super) fn ends(&self) -> bool {
        self.closed && self.core.entries() == 0
    }
}
