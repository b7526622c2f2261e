//! The scheduler as a pure state machine: events with the time in them go in, batches come out.
//!
//! It holds no clock, thread, channel or tensor, so the same events always give the same batches.
//! Its methods are of three kinds:
//!
//! - `handle_*` says what happened: an entry arrived or was cancelled, a batch ended, the server
//!   drains. Time is what the caller's clock said then; it must not run backwards.
//! - `poll_batch` asks for the next batch whenever an instance is free. Nothing is bound to a batch
//!   earlier, so a batch is as full as the queue allows at that instant.
//! - getters tell what is held, for gauges.
//!
//! Entries are taken first come, first served over both graphs: the oldest entry's graph is run,
//! and filled up with what may share the batch, in order of arrival.

mod admission;
mod entry;
mod queue;
mod shapes;

use std::collections::HashMap;
use std::time::Duration;

pub use admission::{Bounds, Refusal};
pub use entry::{CallerId, Entry, EntryId, Graph};
use queue::Queue;
pub use shapes::{Shape, Shapes};

/// Time since the shell's clock started.
pub type Time = Duration;

/// Names a batch under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(u64);

/// One entry's part in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whose part it is.
    pub entry: EntryId,
    /// Whom the entry is for.
    pub caller: CallerId,
    /// The first of the entry's items that is in this batch.
    pub first: usize,
    /// How many of the entry's items are in this batch.
    pub items: usize,
    /// How long the entry had waited when the batch was formed.
    pub waited: Duration,
}

/// What a free instance runs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Names the batch in [`Core::handle_done`].
    pub id: BatchId,
    /// The graph to run.
    pub graph: Graph,
    /// The closed shape to pad to.
    pub shape: Shape,
    /// In the order of the batch's rows.
    pub members: Vec<Member>,
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All its items were run.
    Answered,
    /// A batch that held some of its items failed.
    Failed,
}

#[derive(Debug)]
struct State {
    entry: Entry,
    arrived: Time,
    /// Items that a batch has taken.
    taken: usize,
    /// Items of ended batches.
    done: usize,
    /// Nobody waits for it any more; what is under way is let run out.
    abandoned: bool,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Core {
    bounds: Bounds,
    shapes: Shapes,
    queue: Queue,
    entries: HashMap<EntryId, State>,
    running: HashMap<BatchId, Vec<Member>>,
    bytes: usize,
    next_batch: u64,
    draining: bool,
}

impl Core {
    /// An empty machine.
    #[must_use]
    pub fn new(bounds: Bounds, shapes: Shapes) -> Self {
        Self {
            bounds,
            shapes,
            queue: Queue::default(),
            entries: HashMap::new(),
            running: HashMap::new(),
            bytes: 0,
            next_batch: 0,
            draining: false,
        }
    }

    /// An entry arrives.
    ///
    /// # Errors
    /// The bound that would be broken; nothing is kept of the entry then.
    pub fn handle_arrival(&mut self, now: Time, entry: Entry) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        self.bounds.admit(self.entries.len(), self.bytes, &entry)?;
        if entry.graph == Graph::Sequence && entry.items > self.shapes.most_steps() {
            return Err(Refusal::TooLong {
                steps: entry.items,
                most: self.shapes.most_steps(),
            });
        }
        self.bytes += entry.bytes;
        self.queue.push(&entry);
        let state = State {
            arrived: now,
            taken: 0,
            done: 0,
            abandoned: false,
            entry,
        };
        self.entries.insert(state.entry.id, state);
        Ok(())
    }

    /// Nobody waits for an entry any more. What of it waits is dropped; what is under way runs out.
    /// An entry that has ended is no concern.
    pub fn handle_cancel(&mut self, id: EntryId) {
        let Some(state) = self.entries.get_mut(&id) else {
            return;
        };
        if state.taken < state.entry.items {
            self.queue.remove(&state.entry);
        }
        if state.taken == state.done {
            self.end(id);
        } else {
            state.abandoned = true;
            state.entry.items = state.taken;
        }
    }

    /// A batch has ended. Gives each entry that ended with it and for which somebody waits, in
    /// the order of the batch's rows.
    pub fn handle_done(&mut self, batch: BatchId, succeeded: bool) -> Vec<(EntryId, End)> {
        let mut ended = Vec::new();
        for member in self.running.remove(&batch).unwrap_or_default() {
            let Some(state) = self.entries.get_mut(&member.entry) else {
                continue;
            };
            state.done += member.items;
            if !succeeded && !state.abandoned {
                ended.push((member.entry, End::Failed));
                self.handle_cancel(member.entry);
            } else if state.done == state.entry.items {
                if !state.abandoned {
                    ended.push((member.entry, End::Answered));
                }
                self.end(member.entry);
            }
        }
        ended
    }

    /// From now on nothing is admitted; what was admitted still ends.
    pub fn handle_drain(&mut self) {
        self.draining = true;
    }

    /// What a free instance should run now, if anything.
    pub fn poll_batch(&mut self, now: Time) -> Option<Batch> {
        let graph = self.queue.oldest()?;
        let mut members: Vec<Member> = Vec::new();
        let mut room = self.shapes.most_rows(graph);
        while room > 0 {
            let Some(id) = self.queue.front(graph) else {
                break;
            };
            let Some(state) = self.entries.get_mut(&id) else {
                break;
            };
            let left = state.entry.items - state.taken;
            // An encoder entry is a run of rows that may be split; a sequence entry is one row.
            let (items, rows) = match graph {
                Graph::Encoder => (left.min(room), left.min(room)),
                Graph::Sequence => (left, 1),
            };
            let waited = now.saturating_sub(state.arrived);
            members.push(Member {
                entry: id,
                caller: state.entry.caller,
                first: state.taken,
                items,
                waited,
            });
            state.taken += items;
            room -= rows;
            if state.taken == state.entry.items {
                self.queue.pop(graph);
            }
        }
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        self.running.insert(id, members.clone());
        let shape = self.shapes.fit(graph, &members);
        Some(Batch {
            id,
            graph,
            shape,
            members,
        })
    }

    /// How many entries wait for a graph, in part or whole.
    #[must_use]
    pub fn waiting(&self, graph: Graph) -> usize {
        self.queue.len(graph)
    }

    /// How many entries are held, waiting or under way.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Steps of the longest chunk that an entry may hold.
    #[must_use]
    pub fn most_steps(&self) -> usize {
        self.shapes.most_steps()
    }

    /// Whether an entry waits, in part or whole.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.queue.oldest().is_some()
    }

    /// Bytes of the entries that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is held at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.running.is_empty()
    }

    fn end(&mut self, id: EntryId) {
        if let Some(state) = self.entries.remove(&id) {
            self.bytes -= state.entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests;
