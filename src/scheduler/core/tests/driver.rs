//! The shell's part in the tests: it reports events to the core, polls it, and keeps records of its own
//! ([`books`]), against which properties are checked.

use std::collections::BTreeMap;

use super::books::{EntryBook, Happened, HowEnded, JobBook, RunningBook};
use super::*;

/// One property: panics if what happened violates it.
pub(super) type Check = fn(&Driver, &Happened);

/// A core with records of what happened to it.
pub(super) struct Driver {
    pub(super) core: Core,
    pub(super) policy: Policy,
    pub(super) now: Time,
    /// By their ids.
    pub(super) jobs: Vec<JobBook>,
    pub(super) entries: Vec<EntryBook>,
    pub(super) running: Vec<RunningBook>,
    pub(super) log: Vec<Happened>,
    /// The batch that is ending, how it ended, and whether it was a retry.
    pub(super) ending: Option<(Batch, Outcome, bool)>,
    /// The class of the job that is arriving.
    pub(super) arriving: Option<Class>,
    check: Check,
}

impl Driver {
    pub(super) fn new(setup: &Setup, check: Check) -> Self {
        Self {
            core: Core::new(setup.policy, setup.device.costs()),
            policy: setup.policy,
            now: Time::ZERO,
            jobs: Vec::new(),
            entries: Vec::new(),
            running: Vec::new(),
            log: Vec::new(),
            ending: None,
            arriving: None,
            check,
        }
    }

    /// Plays events, then drains until nothing is left.
    pub(super) fn play(setup: &Setup, events: &[Event], check: Check) -> Self {
        let mut driver = Self::new(setup, check);
        for event in events {
            driver.step(event);
        }
        driver.finish();
        driver
    }

    pub(super) fn step(&mut self, event: &Event) {
        let jobs = self.jobs.len();
        match event.clone() {
            Event::Job {
                tenant,
                class,
                within,
                work,
                bytes,
            } => {
                let _ = self.job(Job {
                    id: JobId(0),
                    tenant: ["a", "b", "c", "d"][tenant].into(),
                    weight: [1, 1, 2, 5][tenant],
                    class,
                    deadline: within.map(|within| self.now + within),
                    work,
                    bytes,
                });
            }
            Event::Measured {
                of,
                class,
                work,
                bytes,
            } if jobs > 0 => {
                self.announce(of % jobs, class, work, bytes);
            }
            Event::Encode {
                of,
                segments,
                bytes,
            } if jobs > 0 => {
                let _ = self.entry(of % jobs, Task::Encode { segments }, bytes);
            }
            Event::Advance {
                of,
                stream,
                steps,
                bytes,
            } if jobs > 0 => {
                let _ = self.advance(of % jobs, stream, steps, bytes);
            }
            Event::Cancel { of } if of < self.entries.len() => self.cancel(of),
            Event::Leave { of } if of < jobs => self.leave(of),
            Event::Poll => {
                self.poll();
            }
            Event::Done { of, how } if !self.running.is_empty() => {
                self.done(of % self.running.len(), &how);
            }
            Event::Pass(moment) => self.now += moment,
            Event::Stall(moment) => self.stall(moment),
            Event::Drain => self.core.handle_drain(),
            _ => {}
        }
    }

    /// A job arrives. The driver names it.
    pub(super) fn job(&mut self, job: Job) -> Result<usize, Refusal> {
        let number = self.jobs.len();
        let id = JobId(number as u64);
        let job = Job { id, ..job };
        self.arriving = Some(job.class);
        let result = self.core.handle_job(self.now, job.clone());
        if result.is_ok() {
            self.jobs.push(JobBook {
                promised: job.work,
                job,
                streams: BTreeMap::new(),
                over: false,
                left: false,
                begun: false,
            });
        }
        self.admitted(result)?;
        Ok(number)
    }

    /// Time passes in which the process stands still.
    pub(super) fn stall(&mut self, moment: Time) {
        self.now += moment;
        self.core.handle_stall(moment);
    }

    pub(super) fn announce(&mut self, of: usize, class: Class, work: Work, bytes: usize) {
        let id = self.jobs[of].job.id;
        let submitted = self.entries_of(of).any(EntryBook::is_held) || self.jobs[of].begun;
        let class = if submitted {
            self.jobs[of].job.class
        } else {
            class
        };
        self.arriving = Some(class);
        let result = self
            .core
            .handle_announcement(self.now, id, class, work, bytes);
        if result.is_ok() {
            let held = self.held_bytes(of);
            let book = &mut self.jobs[of];
            book.job.class = class;
            book.promised = work;
            book.job.bytes = bytes.max(held);
        }
        let _ = self.admitted(result);
    }

    fn admitted(&mut self, result: Result<(), Refusal>) -> Result<(), Refusal> {
        if let Err(refusal) = &result {
            self.happened(Happened::Refused(refusal.clone()));
        }
        self.settle();
        self.arriving = None;
        result
    }

    /// The next chunk of a stream.
    pub(super) fn advance(
        &mut self,
        of: usize,
        stream: usize,
        steps: usize,
        bytes: usize,
    ) -> Result<usize, Refusal> {
        let from = self.jobs[of].streams.get(&stream).copied().unwrap_or(0);
        let task = Task::Advance {
            stream,
            from,
            steps,
        };
        self.entry(of, task, bytes)
    }

    /// An entry arrives. The driver names it. It must be admitted exactly if the records allow it.
    pub(super) fn entry(&mut self, of: usize, task: Task, bytes: usize) -> Result<usize, Refusal> {
        let number = self.entries.len();
        let entry = Entry {
            id: EntryId(number as u64),
            job: self.jobs[of].job.id,
            task,
            bytes,
        };
        let keeps_terms = self.keeps_terms(of, &entry);
        let result = self.core.handle_entry(self.now, entry.clone());
        assert_eq!(result.is_ok(), keeps_terms, "{entry:?}: {result:?}");
        if result.is_ok() {
            *self.jobs[of].promised.of_mut(task.graph()) -= task.items();
            self.entries.push(EntryBook {
                entry,
                arrived: self.now,
                taken: 0,
                done: 0,
                under_way: 0,
                items_under_way: 0,
                retries: Vec::new(),
                how: None,
            });
        }
        self.settle();
        result.map(|()| number)
    }

    fn keeps_terms(&self, of: usize, entry: &Entry) -> bool {
        let book = &self.jobs[of];
        let (items, graph) = (entry.task.items(), entry.task.graph());
        let mut held = self.entries_of(of).filter(|held| held.is_held());
        let in_turn = match entry.task {
            Task::Encode { .. } => true,
            Task::Advance { stream, steps, .. } => {
                let same = |held: &EntryBook| matches!(held.entry.task, Task::Advance { stream: other, .. } if other == stream);
                steps <= self.core.costs().shapes().most_steps() && !held.any(same)
            }
        };
        let fits = (1..=book.promised.of(graph)).contains(&items);
        book.lives() && in_turn && fits && self.held_bytes(of) + entry.bytes <= book.job.bytes
    }

    pub(super) fn cancel(&mut self, of: usize) {
        self.core.handle_cancel(EntryId(of as u64));
        self.cancelled(of);
        self.settle();
    }

    pub(super) fn leave(&mut self, of: usize) {
        let entries = 0..self.entries.len();
        let mine = entries.filter(|&entry| self.entries[entry].entry.job == JobId(of as u64));
        let mine: Vec<usize> = mine.collect();
        self.core.handle_leave(self.now, JobId(of as u64));
        self.jobs[of].left = true;
        for entry in mine {
            self.cancelled(entry);
        }
        self.settle();
    }

    fn cancelled(&mut self, of: usize) {
        if self.entries[of].lives() {
            let id = EntryId(of as u64);
            let how = HowEnded::Cancelled;
            self.happened(Happened::Entry { id, how });
        }
    }

    /// Polls for a free instance, if there is one.
    pub(super) fn poll(&mut self) -> Option<Batch> {
        if self.running.len() == self.policy.instances {
            return None;
        }
        let next = self.core.poll(self.now);
        // Jobs that could not be done in time any more ended before the batch was formed.
        self.collect();
        let batch = match next {
            Next::Run(batch) => Some(batch),
            Next::Wait(until) => {
                self.happened(Happened::Rests { until: Some(until) });
                None
            }
            Next::Idle => {
                self.happened(Happened::Rests { until: None });
                None
            }
        };
        if let Some(batch) = &batch {
            let again = match batch.members[..] {
                [ref one] => {
                    let part = (one.first, one.items);
                    self.entries[one.entry.0 as usize].retries.contains(&part)
                }
                _ => false,
            };
            let batch = batch.clone();
            self.happened(Happened::Formed { batch, again });
        }
        self.settle();
        batch
    }

    /// A batch under way ends after its predicted time.
    pub(super) fn done(&mut self, place: usize, how: &BatchEnd) {
        let RunningBook { batch, again, .. } = self.running.remove(place);
        let outcome = match *how {
            BatchEnd::Failed => Outcome::Failed,
            BatchEnd::Fine | BatchEnd::Broken(_) => {
                let bits = if let BatchEnd::Broken(bits) = *how {
                    bits
                } else {
                    0
                };
                let places = 0..batch.members.len();
                let broken = places.filter(|place| bits >> place & 1 == 1).collect();
                let took = batch.time;
                Outcome::Ran { cost: took, broken }
            }
        };
        for member in &batch.members {
            let book = &mut self.entries[member.entry.0 as usize];
            book.under_way -= 1;
            book.items_under_way -= member.items;
            if outcome == Outcome::Failed && !again && book.lives() {
                book.retries.push((member.first, member.items));
            } else {
                book.done += member.items;
            }
        }
        self.core.handle_done(batch.id, &outcome);
        self.ending = Some((batch, outcome, again));
        self.settle();
        self.ending = None;
    }

    /// Drains. Then all batches end, and all jobs leave.
    pub(super) fn finish(&mut self) {
        self.core.handle_drain();
        assert_eq!(
            self.job(job("a", Class::Interactive, 1, 0)),
            Err(Refusal::Draining)
        );
        loop {
            while self.poll().is_some() {}
            let Some(run) = self.running.first() else {
                break;
            };
            self.now += run.batch.time;
            self.done(0, &BatchEnd::Fine);
        }
        let mut held = self.entries.iter().filter(|book| book.is_held());
        assert!(held.next().is_none(), "something is held and nothing runs");
        for job in 0..self.jobs.len() {
            if !self.jobs[job].left {
                self.leave(job);
            }
        }
    }

    fn settle(&mut self) {
        self.collect();
        self.happened(Happened::Settled);
    }

    /// Collects what followed from an event.
    fn collect(&mut self) {
        while let Some(ended) = self.core.poll_ended() {
            self.happened(match ended {
                Ended::Entry(id, end) => Happened::Entry {
                    id,
                    how: HowEnded::Of(end),
                },
                Ended::Job(id, end) => Happened::Job { id, end },
            });
        }
        while let Some(batch) = self.core.poll_stop() {
            self.happened(Happened::Stopped(batch));
        }
    }

    fn happened(&mut self, what: Happened) {
        (self.check)(self, &what);
        self.book(&what);
        if what != Happened::Settled {
            self.log.push(what);
        }
    }
}
