//! Threads, locks and replies around the core.
//!
//! Each worker owns a device. It takes a batch under the lock, packs and runs it without, and hands
//! the results out. The lock is held for bookkeeping alone, never across a run. Callers submit from
//! any thread and hold a [`Waiter`].

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::core::{
    Batch, Bounds, CallerId, Core, End, Entry, EntryId, Graph, Refusal, Shapes, Time,
};
use super::pack::Buffers;
use super::waiter::{Chunk, Encoding, Evidence, Waiter};
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{Device, Encoded, RuntimeError, Sizes, StepEvidence};
use crate::telemetry::batches;

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
    /// Its batch failed.
    #[error("{0}")]
    Failed(String),
    /// It ended without a result or a reason: a fault of ours.
    #[error("the result was lost")]
    Lost,
}

/// The running scheduler. Dropping it drains: what was admitted still ends.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What callers and workers share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    work_or_drain: Condvar,
    sizes: Sizes,
    started: Instant,
}

#[derive(Debug)]
struct State {
    core: Core,
    work: HashMap<EntryId, Work>,
    next_entry: u64,
    next_caller: u64,
    draining: bool,
}

#[derive(Debug)]
enum Work {
    Encoder(EncoderWork),
    /// The chunk is taken by the one batch that runs it.
    Sequence(Option<Chunk>, oneshot::Sender<Result<Evidence, Failure>>),
}

#[derive(Debug)]
struct EncoderWork {
    segments: Arc<[f32]>,
    result: Encoding,
    reply: oneshot::Sender<Result<Encoding, Failure>>,
}

impl Scheduler {
    /// Starts a worker for each device.
    ///
    /// # Errors
    /// A thread that the system does not give.
    pub fn start<D: Device + 'static>(
        devices: Vec<D>,
        sizes: Sizes,
        bounds: Bounds,
        shapes: Shapes,
    ) -> std::io::Result<Self> {
        let state = State {
            core: Core::new(bounds, shapes),
            work: HashMap::new(),
            next_entry: 0,
            next_caller: 0,
            draining: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work_or_drain: Condvar::new(),
            sizes,
            started: Instant::now(),
        });
        let mut scheduler = Self {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
        };
        for (number, device) in devices.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let worker = std::thread::Builder::new()
                .name(format!("device-{number}"))
                .spawn(move || shared.work(device))?;
            scheduler.workers.push(worker);
        }
        Ok(scheduler)
    }

    /// A name for whoever submits next; what one caller submits counts as one caller's.
    #[must_use]
    pub fn caller(&self) -> CallerId {
        let mut state = self.shared.lock();
        state.next_caller += 1;
        CallerId(state.next_caller)
    }

    /// Steps of the longest chunk that [`Scheduler::sequence`] takes.
    #[must_use]
    pub fn most_steps(&self) -> usize {
        self.shared.lock().core.most_steps()
    }

    /// Submits a run of segments, `[N, 32, 129]`.
    ///
    /// # Errors
    /// The bound that would be broken.
    pub fn encode(
        &self,
        caller: CallerId,
        segments: Arc<[f32]>,
    ) -> Result<Waiter<Encoding>, Refusal> {
        let items = segments.len() / SEGMENT_VALUES;
        let bytes = segments.len() * size_of::<f32>();
        self.submit(caller, Graph::Encoder, items, bytes, |reply| {
            let result = Encoding {
                features: Vec::with_capacity(items * self.shared.sizes.features),
                distance: Vec::new(),
                spent: Spent::default(),
            };
            Work::Encoder(EncoderWork {
                segments,
                result,
                reply,
            })
        })
    }

    /// Submits the next chunk of a stream. The stream's chunks come one after the other, each with
    /// the history that the one before gave.
    ///
    /// # Errors
    /// The bound that would be broken.
    pub fn sequence(&self, caller: CallerId, chunk: Chunk) -> Result<Waiter<Evidence>, Refusal> {
        let items = chunk.features.len() / self.shared.sizes.features;
        let bytes = (chunk.features.len() + chunk.history.values().len()) * size_of::<f32>();
        self.submit(caller, Graph::Sequence, items, bytes, |reply| {
            Work::Sequence(Some(chunk), reply)
        })
    }

    fn submit<T>(
        &self,
        caller: CallerId,
        graph: Graph,
        items: usize,
        bytes: usize,
        work: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Work,
    ) -> Result<Waiter<T>, Refusal> {
        let (sender, reply) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let id = EntryId(state.next_entry);
        let entry = Entry {
            id,
            caller,
            graph,
            items,
            bytes,
        };
        state.core.handle_arrival(shared.now(), entry)?;
        state.next_entry += 1;
        state.work.insert(id, work(sender));
        state.watch();
        drop(state);
        shared.work_or_drain.notify_one();
        Ok(Waiter {
            reply,
            shared,
            id,
            ended: false,
        })
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.drain();
        for worker in self.workers.drain(..) {
            // Of a panic there is nothing to add to what the log already says.
            let _ = worker.join();
        }
    }
}

/// A batch with its inputs, outside the lock.
struct Taken {
    batch: Batch,
    inputs: Inputs,
}

enum Inputs {
    Segments(Vec<(Arc<[f32]>, usize, usize)>),
    Chunks(Vec<Chunk>),
}

enum Outputs {
    Features(Encoded),
    Evidence(StepEvidence, Vec<Chunk>),
}

impl Shared {
    fn work(&self, mut device: impl Device) {
        let mut buffers = Buffers::default();
        while let Some(Taken { batch, inputs }) = self.take() {
            let begun = Instant::now();
            // A panic inside a run fails its batch like any other error; the worker lives on.
            let run = || self.run(&mut device, &mut buffers, &batch, inputs);
            let outputs =
                catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(RuntimeError::Panicked));
            let device_time = begun.elapsed();
            watch(&batch, device_time, outputs.is_ok());
            self.hand_out(&batch, outputs, device_time);
        }
    }

    /// Waits for a batch; none once the scheduler has drained.
    fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.core.poll_batch(self.now()) {
                let inputs = state.inputs(&batch);
                state.watch();
                if state.core.has_waiting() {
                    // A submission wakes one worker, but may be more than one batch.
                    self.work_or_drain.notify_one();
                }
                return Some(Taken { batch, inputs });
            }
            if state.draining && state.core.is_empty() {
                return None;
            }
            state = self
                .work_or_drain
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(
        &self,
        device: &mut impl Device,
        buffers: &mut Buffers,
        batch: &Batch,
        inputs: Inputs,
    ) -> Result<Outputs, RuntimeError> {
        match inputs {
            Inputs::Segments(parts) => device
                .encode(buffers.segments(batch.shape, &parts))
                .map(Outputs::Features),
            Inputs::Chunks(mut chunks) => {
                let evidence =
                    device.sequence(buffers.chunks(batch.shape, chunks.iter(), self.sizes))?;
                let row = self.sizes.carried(batch.shape.steps);
                for ((chunk, member), carried) in chunks
                    .iter_mut()
                    .zip(&batch.members)
                    .zip(evidence.carried.chunks(row))
                {
                    chunk
                        .history
                        .extend(carried, batch.shape.steps, member.items);
                }
                Ok(Outputs::Evidence(evidence, chunks))
            }
        }
    }

    fn hand_out(&self, batch: &Batch, outputs: Result<Outputs, RuntimeError>, device: Duration) {
        let failure = outputs
            .as_ref()
            .err()
            .map(|error| Failure::Failed(error.to_string()));
        let mut state = self.lock();
        match outputs {
            Ok(Outputs::Features(encoded)) => {
                state.keep_features(batch, &encoded, device, self.sizes);
            }
            Ok(Outputs::Evidence(evidence, chunks)) => {
                state.answer_evidence(batch, &evidence, chunks, device, self.sizes);
            }
            Err(_) => {}
        }
        for (id, end) in state.core.handle_done(batch.id, failure.is_none()) {
            let failure = (end == End::Failed).then(|| failure.clone().unwrap_or(Failure::Lost));
            state.answer(id, failure);
        }
        state.watch();
        let drained = state.draining && state.core.is_empty();
        drop(state);
        if drained {
            self.work_or_drain.notify_all();
        }
    }

    pub(super) fn cancel(&self, id: EntryId) {
        let mut state = self.lock();
        state.work.remove(&id);
        state.core.handle_cancel(id);
        state.watch();
        let drained = state.draining && state.core.is_empty();
        drop(state);
        if drained {
            self.work_or_drain.notify_all();
        }
    }

    /// Admits nothing more; what was admitted still ends.
    fn drain(&self) {
        let mut state = self.lock();
        state.core.handle_drain();
        state.draining = true;
        drop(state);
        self.work_or_drain.notify_all();
    }

    /// A panic elsewhere leaves the bookkeeping whole, for each change to it is made in one go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }
}

impl State {
    fn inputs(&mut self, batch: &Batch) -> Inputs {
        match batch.graph {
            Graph::Encoder => Inputs::Segments(
                batch
                    .members
                    .iter()
                    .filter_map(|member| match self.work.get(&member.entry)? {
                        Work::Encoder(work) => {
                            Some((Arc::clone(&work.segments), member.first, member.items))
                        }
                        Work::Sequence(..) => None,
                    })
                    .collect(),
            ),
            Graph::Sequence => Inputs::Chunks(
                batch
                    .members
                    .iter()
                    .filter_map(|member| match self.work.get_mut(&member.entry)? {
                        Work::Sequence(chunk, _) => chunk.take(),
                        Work::Encoder(_) => None,
                    })
                    .collect(),
            ),
        }
    }

    /// Adds a batch's features to the runs that they belong to. An entry's batches may end in any
    /// order on several workers, so features go to their place, not to the end.
    fn keep_features(&mut self, batch: &Batch, encoded: &Encoded, device: Duration, sizes: Sizes) {
        let mut row = 0;
        for member in &batch.members {
            if let Some(Work::Encoder(work)) = self.work.get_mut(&member.entry) {
                let total = work.segments.len() / SEGMENT_VALUES;
                let width = sizes.features;
                work.result.features.resize(total * width, 0.0);
                work.result.features[member.first * width..][..member.items * width]
                    .copy_from_slice(&encoded.features[row * width..][..member.items * width]);
                if !encoded.distance.is_empty() {
                    work.result.distance.resize(total, 0.0);
                    work.result.distance[member.first..][..member.items]
                        .copy_from_slice(&encoded.distance[row..][..member.items]);
                }
                let spent = &mut work.result.spent;
                spent.queue = spent.queue.max(member.waited);
                spent.device += device;
            }
            row += member.items;
        }
    }

    fn answer_evidence(
        &mut self,
        batch: &Batch,
        evidence: &StepEvidence,
        chunks: Vec<Chunk>,
        device: Duration,
        sizes: Sizes,
    ) {
        let steps = batch.shape.steps;
        for (row, (member, chunk)) in batch.members.iter().zip(chunks).enumerate() {
            let Some(Work::Sequence(_, reply)) = self.work.remove(&member.entry) else {
                continue;
            };
            let logits = &evidence.logits[row * steps * sizes.labels..];
            let scores = &evidence.scores[row * steps..];
            // Nobody may be waiting any more; then the answer has nowhere to go.
            let _ = reply.send(Ok(Evidence {
                logits: logits[..member.items * sizes.labels].to_vec(),
                scores: scores[..member.items].to_vec(),
                history: chunk.history,
                spent: Spent {
                    queue: member.waited,
                    device,
                },
            }));
        }
    }

    fn answer(&mut self, id: EntryId, failure: Option<Failure>) {
        // As above, an answer that nobody waits for is dropped.
        match (self.work.remove(&id), failure) {
            (Some(Work::Encoder(work)), None) => drop(work.reply.send(Ok(work.result))),
            (Some(Work::Encoder(work)), Some(failure)) => drop(work.reply.send(Err(failure))),
            (Some(Work::Sequence(_, reply)), Some(failure)) => drop(reply.send(Err(failure))),
            (Some(Work::Sequence(..)), None) | (None, _) => {}
        }
    }

    fn watch(&self) {
        for graph in Graph::ALL {
            batches::waiting(graph.name(), self.core.waiting(graph));
        }
        batches::held(self.core.bytes());
    }
}

fn watch(batch: &Batch, duration: Duration, succeeded: bool) {
    let items = batch.members.iter().map(|member| member.items).sum();
    let waited: Vec<_> = batch.members.iter().map(|member| member.waited).collect();
    let callers: BTreeSet<_> = batch.members.iter().map(|member| member.caller).collect();
    batches::ran(&batches::Ran {
        graph: batch.graph.name(),
        rows: batch.shape.rows,
        steps: batch.shape.steps,
        size: match batch.graph {
            Graph::Encoder => items,
            Graph::Sequence => batch.members.len(),
        },
        items,
        callers: callers.len(),
        waited: &waited,
        duration,
        succeeded,
    });
}
