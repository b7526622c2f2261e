//! What a request or stream holds while it is served: its place in the scheduler, through which it
//! submits. Dropping it gives the place back and cancels what is left.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::core::{Class, End, Entry, EntryId, JobId, Left, Refusal, Task, TenantId, Work};
use super::run::Run;
use super::shell::{Failure, Shared};
use super::waiter::{Chunk, EncoderOutput, SequenceOutput, Waiter};
use super::work::{ChunkWork, Pending, SegmentsWork, Then};
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

type Replied<T> = oneshot::Receiver<Result<T, Failure>>;

/// A place in the scheduler.
#[derive(Debug)]
pub struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) job: JobId,
    pub(super) over: Option<oneshot::Receiver<End>>,
}

impl Ticket {
    /// More is known of what will be asked for: this much, and so many bytes at a time. The class may change
    /// before the first submission.
    ///
    /// # Errors
    /// The bound that this would break; the ticket is best dropped then.
    pub fn measured(&self, class: Class, work: Work, bytes: usize) -> Result<(), Refusal> {
        self.shared.change(|state, now| {
            state
                .core
                .handle_measured(now, self.job, class, work, bytes)
        })
    }

    /// Submits a run of segments, `[N, 32, 129]`.
    ///
    /// # Errors
    /// The job has ended, or asks for more than its terms.
    pub fn encode(&self, segments: Arc<Vec<f32>>) -> Result<Waiter<EncoderOutput>, Refusal> {
        let (sender, reply) = oneshot::channel();
        self.submit_segments(segments, Then::Reply(sender), reply)
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
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let task = Task::Advance {
            stream,
            from,
            steps: chunk.features.len() / self.shared.sizes.features,
        };
        let (sender, reply) = oneshot::channel();
        self.submit_chunk((task, chunk), Then::Reply(sender), reply)
    }

    /// Submits all segments of a lane, `[N, 32, 129]`: through the encoder, and what that gives through
    /// the sequence, as one of the job's streams, whose state is new at each of `starts`, ascending.
    ///
    /// # Errors
    /// As [`Ticket::encode`].
    pub fn lane(
        &self,
        stream: usize,
        segments: Arc<Vec<f32>>,
        starts: Vec<usize>,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let (run, reply) = self.run(stream, starts);
        self.submit_segments(segments, Then::Run(run), reply)
    }

    /// Submits all features of a lane, `[T, C]`: through the sequence, as [`Ticket::lane`].
    ///
    /// # Errors
    /// As [`Ticket::encode`].
    pub fn sequence(
        &self,
        stream: usize,
        features: Vec<f32>,
        starts: Vec<usize>,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let (run, reply) = self.run(stream, starts);
        let mut run = run.with_features(features);
        let first = run.next().ok_or(Refusal::Terms("nothing to run"))?;
        self.submit_chunk(first, Then::Run(run), reply)
    }

    /// Waits until the scheduler ends the job of itself: expired or evicted. For whoever asks first; to
    /// others it never happens.
    pub fn ended(&mut self) -> impl Future<Output = End> + use<> {
        let over = self.over.take();
        async {
            // The sender lives as long as the job, which lives as long as its ticket.
            if let Some(over) = over
                && let Ok(end) = over.await
            {
                return end;
            }
            std::future::pending().await
        }
    }

    fn run(&self, stream: usize, starts: Vec<usize>) -> (Box<Run>, Replied<SequenceOutput>) {
        let (sender, reply) = oneshot::channel();
        let Shared { sizes, longest, .. } = *self.shared;
        let run = Run::new((self.job, stream), (sizes, longest), starts, sender);
        (run, reply)
    }

    fn submit_segments<T>(
        &self,
        segments: Arc<Vec<f32>>,
        then: Then<EncoderOutput>,
        reply: Replied<T>,
    ) -> Result<Waiter<T>, Refusal> {
        let task = Task::Encode {
            segments: segments.len() / SEGMENT_VALUES,
        };
        let bytes = size_of_val(segments.as_slice());
        let work = Pending::Segments(SegmentsWork::new(segments, then));
        self.submit((task, bytes), work, reply)
    }

    fn submit_chunk(
        &self,
        (task, chunk): (Task, Chunk),
        then: Then<SequenceOutput>,
        reply: Replied<SequenceOutput>,
    ) -> Result<Waiter<SequenceOutput>, Refusal> {
        let bytes = chunk.bytes();
        let work = Pending::Chunk(ChunkWork::new(chunk, then));
        self.submit((task, bytes), work, reply)
    }

    fn submit<T>(
        &self,
        (task, bytes): (Task, usize),
        work: Pending,
        reply: Replied<T>,
    ) -> Result<Waiter<T>, Refusal> {
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
            state.work.insert(id, work);
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
