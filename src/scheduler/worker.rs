//! A worker: a thread that owns a device, takes a batch, runs it and distributes the results.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ndarray::{ArrayView, Dimension, s};

use super::chunk::Chunk;
use super::core::{Batch, Class, Graph, Next, Outcome, PerClass, PerGraph};
use super::pack::{Buffers, Part};
use super::pending::{ChunkOutput, PendingEntry};
use super::reply::PendingReply;
use super::results::Failure;
use super::shared::{Shared, ShellState};
use super::sync::thread;
use crate::runtime::{Device, Encoded, RuntimeError, StepEvidence, StopHandle};
use crate::telemetry::batches::{BatchInstruments, Busy, FinishedBatch, WaitTimes};

/// A batch with its inputs, outside the lock.
struct TakenBatch {
    batch: Batch,
    inputs: Inputs,
}

/// How long a batch took, and what it cost.
#[derive(Clone, Copy)]
struct BatchTimes {
    took: Duration,
    /// [`Stopwatch::cost`](crate::runtime::Stopwatch::cost).
    cost: Duration,
}

enum Inputs {
    Segments(Vec<Part>),
    Chunks(Vec<Chunk>),
}

enum Outputs {
    Features(Encoded),
    Steps(StepEvidence),
}

impl Shared {
    /// Runs batches until the scheduler is closed and everything has ended.
    pub(super) fn work(&self, number: usize, mut device: impl Device) {
        let mut buffers = Buffers::default();
        let busy = Busy::new(number);
        let mut instruments = Instruments::new();
        let stop = device.stop_handle();
        while let Some(TakenBatch { batch, mut inputs }) = self.take(&stop) {
            let stopwatch = device.stopwatch();
            // A panic while a batch runs fails the batch like any other error, and the worker continues.
            let run = || self.run(&mut device, &mut buffers, &batch, &inputs);
            let outputs =
                catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(RuntimeError::Panicked));
            let times = BatchTimes {
                took: stopwatch.elapsed(),
                cost: stopwatch.cost(),
            };
            busy.add(times.took);
            instruments.record(&batch, times, outputs.is_ok());
            if let (Ok(Outputs::Steps(evidence)), Inputs::Chunks(chunks)) = (&outputs, &mut inputs)
            {
                self.advance_streams(&batch, evidence, chunks);
            }
            self.finish(&batch, inputs, &outputs, times);
            // Threads that decode or answer on this processor have waited for it while the batch ran. They need
            // less of it than the next batch does, and their work may fill that batch.
            thread::yield_now();
        }
    }

    /// Waits for a batch. Returns none once the scheduler is closed and everything has ended.
    fn take(&self, stop: &Arc<dyn StopHandle>) -> Option<TakenBatch> {
        let mut state = self.lock();
        loop {
            let now = self.clock.now();
            self.detect_stall(&mut state, now);
            let next = state.core.poll(now);
            let (until, taken) = match next {
                Next::Run(batch) => (None, Some(state.lend(batch, stop))),
                Next::Wait(until) => (Some(until), None),
                Next::Idle => (None, None),
            };
            let replies = state.settle(now);
            if taken.is_some() || !replies.is_empty() {
                // A change wakes one worker, but may lead to more than one batch.
                let has_more = taken.is_some() && state.wakes();
                drop(state);
                if has_more {
                    self.wake_one();
                }
                replies.into_iter().for_each(PendingReply::send);
                if taken.is_some() {
                    return taken;
                }
                state = self.lock();
                continue;
            }
            if state.has_ended() {
                return None;
            }
            state = self.sleep(state, until);
        }
    }

    fn run(
        &self,
        device: &mut impl Device,
        buffers: &mut Buffers,
        batch: &Batch,
        inputs: &Inputs,
    ) -> Result<Outputs, RuntimeError> {
        match inputs {
            Inputs::Segments(parts) => device
                .encode(buffers.segments(batch.shape, parts)?)
                .map(Outputs::Features),
            Inputs::Chunks(chunks) => device
                .sequence(buffers.chunks(batch.shape, chunks, self.sizes)?)
                .map(Outputs::Steps),
        }
    }

    /// Advances the state of each chunk's stream past the chunk.
    fn advance_streams(&self, batch: &Batch, evidence: &StepEvidence, chunks: &mut [Chunk]) {
        let row = self.sizes.carried(batch.shape.steps);
        let carried = evidence.carried.chunks(row);
        for ((chunk, member), carried) in chunks.iter_mut().zip(&batch.members).zip(carried) {
            chunk
                .history
                .extend(carried, batch.shape.steps, member.items);
        }
    }

    /// Stores a batch's results and reports its end to the core.
    fn finish(
        &self,
        batch: &Batch,
        inputs: Inputs,
        outputs: &Result<Outputs, RuntimeError>,
        BatchTimes { took, cost }: BatchTimes,
    ) {
        let outcome = match outputs {
            Ok(outputs) => Outcome::Ran {
                cost,
                broken: broken(batch, outputs),
            },
            Err(_) => Outcome::Failed,
        };
        self.change(|state, _| {
            state.running.remove(&batch.id);
            state.store(batch, inputs, outputs, took);
            state.failure = match outputs {
                Ok(_) => Some(Failure::NotFinite),
                Err(error) => Some(Failure::Failed(error.to_string())),
            };
            state.core.handle_done(batch.id, &outcome);
        });
    }
}

/// Returns the places of members of which the outputs are not finite.
fn broken(batch: &Batch, outputs: &Outputs) -> Vec<usize> {
    let mut row = 0;
    let mut broken = Vec::new();
    for (place, member) in batch.members.iter().enumerate() {
        let is_finite = match outputs {
            Outputs::Features(encoded) => {
                let rows = row..row + member.items;
                row = rows.end;
                let distance = encoded.distance.as_ref();
                all_finite(&encoded.features.slice(s![rows.clone(), ..]))
                    && distance.is_none_or(|distance| all_finite(&distance.slice(s![rows])))
            }
            Outputs::Steps(evidence) => {
                // The carried state is an input of these, so it need not be checked.
                all_finite(&evidence.logits.slice(s![place, ..member.items, ..]))
                    && all_finite(&evidence.scores.slice(s![place, ..member.items]))
            }
        };
        if !is_finite {
            broken.push(place);
        }
    }
    broken
}

fn all_finite<D: Dimension>(values: &ArrayView<'_, f32, D>) -> bool {
    values.iter().all(|value| value.is_finite())
}

impl ShellState {
    /// Lends a batch its inputs, and registers the handle that stops it.
    fn lend(&mut self, batch: Batch, stop: &Arc<dyn StopHandle>) -> TakenBatch {
        stop.clear();
        self.running.insert(batch.id, Arc::clone(stop));
        let members = batch.members.iter();
        let inputs = match batch.graph {
            Graph::Encoder => Inputs::Segments(
                members
                    .filter_map(|member| match self.entries.get(&member.entry)? {
                        PendingEntry::Segments(entry) => Some(Part {
                            segments: Arc::clone(&entry.segments),
                            first: member.first,
                            count: member.items,
                        }),
                        PendingEntry::Chunk(_) => None,
                    })
                    .collect(),
            ),
            Graph::Sequence => Inputs::Chunks(
                members
                    .filter_map(|member| match self.entries.get_mut(&member.entry)? {
                        PendingEntry::Chunk(entry) => entry.chunk.take(),
                        PendingEntry::Segments(_) => None,
                    })
                    .collect(),
            ),
        };
        TakenBatch { batch, inputs }
    }

    /// Stores a batch's results in its entries. The chunks of a failed batch return to their entries, so that
    /// they can run again.
    fn store(
        &mut self,
        batch: &Batch,
        inputs: Inputs,
        outputs: &Result<Outputs, RuntimeError>,
        took: Duration,
    ) {
        match (inputs, outputs) {
            (Inputs::Segments(_), Ok(Outputs::Features(encoded))) => {
                let mut row = 0;
                for member in &batch.members {
                    if let Some(PendingEntry::Segments(entry)) = self.entries.get_mut(&member.entry)
                    {
                        entry.add(member, row, encoded, took);
                    }
                    row += member.items;
                }
            }
            (Inputs::Chunks(chunks), outputs) => {
                for (row, (member, chunk)) in batch.members.iter().zip(chunks).enumerate() {
                    let Some(PendingEntry::Chunk(entry)) = self.entries.get_mut(&member.entry)
                    else {
                        continue;
                    };
                    match outputs {
                        Ok(Outputs::Steps(evidence)) => {
                            let output = ChunkOutput {
                                member,
                                row,
                                evidence,
                                history: chunk.history,
                            };
                            entry.set(output, took);
                        }
                        _ => entry.chunk = Some(chunk),
                    }
                }
            }
            (Inputs::Segments(_), _) => {}
        }
    }
}

/// The instruments of one worker, for each graph.
struct Instruments(PerGraph<GraphInstruments>);

struct GraphInstruments {
    batches: BatchInstruments,
    waited: PerClass<WaitTimes>,
}

impl Instruments {
    fn new() -> Self {
        Self(PerGraph::from_fn(|graph| GraphInstruments {
            batches: BatchInstruments::new(graph.name()),
            waited: PerClass::from_fn(|class: Class| WaitTimes::new(graph.name(), class.name())),
        }))
    }

    /// Records a batch that has run.
    fn record(&mut self, batch: &Batch, times: BatchTimes, succeeded: bool) {
        let instruments = &mut self.0[batch.graph];
        for member in &batch.members {
            instruments.waited[member.class].record(member.waited);
        }
        let mut jobs: Vec<_> = batch.members.iter().map(|member| member.job).collect();
        jobs.sort_unstable();
        jobs.dedup();
        instruments.batches.record(&FinishedBatch {
            rows: batch.shape.rows,
            steps: batch.shape.steps,
            size: batch.rows(),
            items: batch.items(),
            callers: jobs.len(),
            predicted: batch.time,
            cost: times.cost,
            duration: times.took,
            succeeded,
        });
    }
}
