//! The driver's records: what happened, and the state of jobs, entries and batches that follows from it.

use std::collections::BTreeMap;

use super::driver::Driver;
use super::*;

/// How an entry ended, by the driver's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HowEnded {
    Of(End),
    Cancelled,
}

/// Something that the core reported or that the driver did. A check gets it before it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happened {
    /// A batch was formed; `again` if it is the retry of a failed batch's member.
    Formed { batch: Batch, again: bool },
    /// An instance has nothing to do, at most until then.
    Rests { until: Option<Time> },
    /// An entry ended.
    Entry { id: EntryId, how: HowEnded },
    /// The scheduler ended a job.
    Job { id: JobId, end: End },
    /// A batch is to be stopped.
    Stopped(BatchId),
    /// A job was refused.
    Refused(Refusal),
    /// All that followed from an event was reported.
    Settled,
}

/// The driver's record of a job.
pub(super) struct JobBook {
    pub(super) job: Job,
    /// Work that it may still submit.
    pub(super) promised: Work,
    /// Finished steps of each stream.
    pub(super) streams: BTreeMap<usize, usize>,
    /// The scheduler ended it.
    pub(super) over: bool,
    pub(super) left: bool,
    pub(super) begun: bool,
}

impl JobBook {
    pub(super) fn lives(&self) -> bool {
        !self.over && !self.left
    }
}

/// The driver's record of an entry.
pub(super) struct EntryBook {
    pub(super) entry: Entry,
    pub(super) arrived: Time,
    /// Items that batches took, and items of ended ones.
    pub(super) taken: usize,
    pub(super) done: usize,
    /// Batches under way, and their items.
    pub(super) under_way: usize,
    pub(super) items_under_way: usize,
    /// Parts of failed batches that are to be run again.
    pub(super) retries: Vec<(usize, usize)>,
    pub(super) how: Option<HowEnded>,
}

impl EntryBook {
    pub(super) fn lives(&self) -> bool {
        self.how.is_none()
    }

    /// Returns whether its memory is held.
    pub(super) fn is_held(&self) -> bool {
        self.lives() || self.under_way > 0
    }

    /// Returns how many items wait for their first batch.
    pub(super) fn waiting(&self) -> usize {
        if self.lives() {
            self.entry.task.items() - self.taken
        } else {
            0
        }
    }
}

/// The driver's record of a batch under way.
pub(super) struct RunningBook {
    pub(super) batch: Batch,
    pub(super) again: bool,
    pub(super) stopped: bool,
}

impl Driver {
    /// Records what happened.
    pub(super) fn book(&mut self, what: &Happened) {
        match what {
            Happened::Formed { batch, again } => {
                for member in &batch.members {
                    let book = &mut self.entries[member.entry.0 as usize];
                    book.under_way += 1;
                    book.items_under_way += member.items;
                    if *again {
                        book.retries.retain(|part| part.0 != member.first);
                    } else {
                        book.taken += member.items;
                    }
                    self.jobs[member.job.0 as usize].begun = true;
                }
                self.running.push(RunningBook {
                    batch: batch.clone(),
                    again: *again,
                    stopped: false,
                });
            }
            Happened::Entry { id, how } => {
                let book = &mut self.entries[id.0 as usize];
                book.how = Some(*how);
                book.retries.clear();
                if let (HowEnded::Of(End::Answered), Task::Advance { stream, steps, .. }) =
                    (how, book.entry.task)
                {
                    let job = &mut self.jobs[book.entry.job.0 as usize];
                    *job.streams.entry(stream).or_default() += steps;
                }
            }
            Happened::Job { id, .. } => self.jobs[id.0 as usize].over = true,
            Happened::Stopped(id) => {
                let run = self.running.iter_mut().find(|run| run.batch.id == *id);
                run.expect("a batch under way").stopped = true;
            }
            Happened::Rests { .. } | Happened::Refused(_) | Happened::Settled => {}
        }
    }

    pub(super) fn entries_of(&self, job: usize) -> impl Iterator<Item = &EntryBook> {
        let id = JobId(job as u64);
        self.entries.iter().filter(move |book| book.entry.job == id)
    }

    pub(super) fn job_of(&self, entry: &EntryBook) -> &JobBook {
        &self.jobs[entry.entry.job.0 as usize]
    }

    pub(super) fn held_bytes(&self, job: usize) -> usize {
        let held = self.entries_of(job).filter(|book| book.is_held());
        held.map(|book| book.entry.bytes).sum()
    }
}
