//! What a request or stream holds while it is served, and submits its work through. Dropping it ends the job and
//! cancels what is unfinished.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::chunk::Chunk;
use super::core::{
    Class, End, Entry, EntryId, JobId, Refusal, Task, TenantId, UnfinishedEntries, Work,
};
use super::lane_task::LaneTask;
use super::pending::{Destination, PendingChunk, PendingEntry, PendingSegments};
use super::results::{EncoderOutput, Failure, SequenceOutput};
use super::shared::Shared;
use super::waiter::Waiter;
use crate::frontend::SEGMENT_VALUES;

/// What a request or stream announces when it asks for admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The tenant that is charged for it.
    pub tenant: TenantId,
    /// The tenant's weight.
    pub weight: u32,
    /// Whether somebody waits for the answer.
    pub class: Class,
    /// When the answer must be there; none if any time will do.
    pub deadline: Option<Instant>,
    /// All the work that it will submit, as far as that can be predicted; [`Ticket::announce`] corrects it.
    pub work: Work,
    /// The most bytes of tensors that it holds in the scheduler at a time.
    pub bytes: usize,
}

type ReplyReceiver<T> = oneshot::Receiver<Result<T, Failure>>;

/// An admitted job.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    job: JobId,
    ended: Option<oneshot::Receiver<End>>,
}

impl Ticket {
    pub(super) fn new(shared: Arc<Shared>, job: JobId, ended: oneshot::Receiver<End>) -> Self {
        Self {
            shared,
            job,
            ended: Some(ended),
        }
    }

    /// Corrects the prediction of what the job has still to submit: this much work, and so many bytes at a
    /// time. The class may change before the first submission.
    ///
    /// # Errors
    /// The bound that this would exceed. The ticket should be dropped then.
    pub fn announce(&self, class: Class, work: Work, bytes: usize) -> Result<(), Refusal> {
        self.shared.change(|state, now| {
            state
                .core
                .handle_announcement(now, self.job, class, work, bytes)
        })
    }

    /// Submits consecutive segments, `[N, 32, 129]`.
    ///
    /// # Errors
    /// The job has ended, or submits more than it announced.
    pub fn encode(&self, segments: Arc<Vec<f32>>) -> Result<Waiter<EncoderOutput>, Refusal> {
        let (sender, reply) = oneshot::channel();
        self.submit_segments(segments, Destination::Caller(sender), reply)
    }

    /// Submits the next steps of one of the job's streams, of which `from` steps were submitted before. Each
    /// chunk has the state that the one before left.
    ///
    /// # Errors
    /// As [`Ticket::encode`], or the stream's chunk is out of order.
    pub fn advance(
        &self,
        stream: usize,
        from: usize,
        chunk: Chunk,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let task = Task::Advance {
            stream,
            from,
            steps: chunk.features.len() / self.shared.sizes.features,
        };
        let (sender, reply) = oneshot::channel();
        self.submit_chunk(task, chunk, Destination::Caller(sender), reply)
    }

    /// Submits all segments of a lane, `[N, 32, 129]`. They run through the encoder, and its features through the
    /// sequence, as one of the job's streams. The stream's state is new at each step of `starts`, which ascend.
    ///
    /// # Errors
    /// As [`Ticket::encode`].
    pub fn lane(
        &self,
        stream: usize,
        segments: Arc<Vec<f32>>,
        starts: Vec<usize>,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let (lane, reply) = self.lane_task(stream, starts);
        self.submit_segments(segments, Destination::Lane(lane), reply)
    }

    /// Submits all features of a lane, `[T, C]`. They run through the sequence as in [`Ticket::lane`].
    ///
    /// # Errors
    /// As [`Ticket::encode`].
    pub fn sequence(
        &self,
        stream: usize,
        features: Vec<f32>,
        starts: Vec<usize>,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let (lane, reply) = self.lane_task(stream, starts);
        let mut lane = lane.with_features(features);
        let (task, chunk) = lane.next().ok_or(Refusal::Terms("nothing to run"))?;
        self.submit_chunk(task, chunk, Destination::Lane(lane), reply)
    }

    /// Returns a future that ends when the scheduler itself ends the job, which then expired or was evicted. Only
    /// the first call returns such a future; the future of any further call never ends.
    pub fn ended(&mut self) -> impl Future<Output = End> + use<> {
        let ended = self.ended.take();
        async {
            // The sender lives as long as the job, which lives as long as its ticket.
            if let Some(ended) = ended
                && let Ok(end) = ended.await
            {
                return end;
            }
            std::future::pending().await
        }
    }

    fn lane_task(
        &self,
        stream: usize,
        starts: Vec<usize>,
    ) -> (Box<LaneTask>, ReplyReceiver<SequenceOutput>) {
        let (sender, reply) = oneshot::channel();
        let Shared { sizes, longest, .. } = *self.shared;
        let lane = LaneTask::new(self.job, stream, sizes, longest, starts, sender);
        (lane, reply)
    }

    fn submit_segments<T>(
        &self,
        segments: Arc<Vec<f32>>,
        destination: Destination<EncoderOutput>,
        reply: ReplyReceiver<T>,
    ) -> Result<Waiter<T>, Refusal> {
        let task = Task::Encode {
            segments: segments.len() / SEGMENT_VALUES,
        };
        let bytes = size_of_val(segments.as_slice());
        let entry = PendingEntry::Segments(PendingSegments::new(segments, destination));
        self.submit(task, bytes, entry, reply)
    }

    fn submit_chunk(
        &self,
        task: Task,
        chunk: Chunk,
        destination: Destination<SequenceOutput>,
        reply: ReplyReceiver<SequenceOutput>,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let bytes = chunk.bytes();
        let entry = PendingEntry::Chunk(PendingChunk::new(chunk, destination));
        self.submit(task, bytes, entry, reply)
    }

    fn submit<T>(
        &self,
        task: Task,
        bytes: usize,
        pending: PendingEntry,
        reply: ReplyReceiver<T>,
    ) -> Result<Waiter<T>, Refusal> {
        let id = self.shared.change(|state, now| {
            if state.is_closed {
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
            state.entries.insert(id, pending);
            Ok(id)
        })?;
        Ok(Waiter {
            reply,
            shared: Arc::clone(&self.shared),
            id,
            has_ended: false,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let unfinished = self.shared.change(|state, now| {
            state.jobs.remove(&self.job);
            state.core.handle_leave(now, self.job)
        });
        let UnfinishedEntries { waiting, begun } = unfinished;
        crate::telemetry::batches::cancelled(waiting, begun);
    }
}
