//! What a request or stream holds while it is served: its place in the scheduler, through which it
//! submits. Dropping it gives the place back and cancels what is left.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::core::{Class, End, Entry, EntryId, JobId, Left, Refusal, Task, TenantId, Work};
use super::shell::Shared;
use super::waiter::{Chunk, Encoding, Evidence, Waiter};
use super::work::{ChunkWork, Pending, SegmentsWork};
use crate::frontend::SEGMENT_VALUES;

/// What a request or stream asks for when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose share of the devices it is charged to.
    pub tenant: TenantId,
    /// The tenant's weight.
    pub weight: u32,
    /// Whether somebody waits.
    pub class: Class,
    /// When the answer must be there, if ever.
    pub deadline: Option<Instant>,
    /// All it will ask for, as far as that is known; [`Ticket::measured`] says more.
    pub work: Work,
    /// The most bytes of tensors that it holds in the scheduler at a time.
    pub bytes: usize,
}

/// A place in the scheduler.
#[derive(Debug)]
pub struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) job: JobId,
    pub(super) over: oneshot::Receiver<End>,
}

impl Ticket {
    /// More is known of what will be asked for: this much, and so many bytes at a time.
    ///
    /// # Errors
    /// The bound that this would break; the ticket is best dropped then.
    pub fn measured(&self, work: Work, bytes: usize) -> Result<(), Refusal> {
        self.shared
            .change(|state, now| state.core.handle_measured(now, self.job, work, bytes))
    }

    /// Submits a run of segments, `[N, 32, 129]`.
    ///
    /// # Errors
    /// The job has ended, or asks for more than its terms.
    pub fn encode(&self, segments: Arc<Vec<f32>>) -> Result<Waiter<Encoding>, Refusal> {
        let task = Task::Encode {
            segments: segments.len() / SEGMENT_VALUES,
        };
        let bytes = size_of_val(segments.as_slice());
        self.submit(task, bytes, |reply| {
            Pending::Segments(SegmentsWork::new(segments, reply))
        })
    }

    /// Submits the next steps of one of the job's streams, before which came `from` steps. Each
    /// chunk carries the state that the one before left.
    ///
    /// # Errors
    /// As [`Ticket::encode`]; a stream's chunk that is out of order is against the terms.
    pub fn advance(
        &self,
        stream: usize,
        from: usize,
        chunk: Chunk,
    ) -> Result<Waiter<Evidence>, Refusal> {
        let values = chunk.features.len() + chunk.history.values().len();
        let task = Task::Advance {
            stream,
            from,
            steps: chunk.features.len() / self.shared.sizes.features,
        };
        self.submit(task, values * size_of::<f32>(), |reply| {
            Pending::Chunk(ChunkWork::new(chunk, reply))
        })
    }

    /// Waits until the scheduler ends the job of itself: expired or evicted. Cancellation safe.
    pub async fn ended(&mut self) -> End {
        match (&mut self.over).await {
            Ok(end) => end,
            // The sender lives as long as the job, which lives as long as this ticket.
            Err(_) => std::future::pending().await,
        }
    }

    fn submit<T>(
        &self,
        task: Task,
        bytes: usize,
        work: impl FnOnce(oneshot::Sender<Result<T, super::Failure>>) -> Pending,
    ) -> Result<Waiter<T>, Refusal> {
        let (sender, reply) = oneshot::channel();
        let id = self.shared.change(|state, now| {
            if state.closed {
                return Err(Refusal::Draining);
            }
            let id = EntryId(state.next_entry);
            let entry = Entry {
                id,
                job: self.job,
                task,
                bytes,
            };
            state.core.handle_entry(now, entry)?;
            state.next_entry += 1;
            state.work.insert(id, work(sender));
            Ok(id)
        })?;
        Ok(Waiter {
            reply,
            shared: Arc::clone(&self.shared),
            id,
            ended: false,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let left = self.shared.change(|state, now| {
            state.jobs.remove(&self.job);
            state.core.handle_leave(now, self.job)
        });
        let Left { waiting, begun } = left;
        crate::telemetry::batches::cancelled(waiting, begun);
    }
}
