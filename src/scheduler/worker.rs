//! A worker: a thread that owns a device, takes a batch, runs it and hands the results out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::core::{Batch, Class, Graph, Next, Outcome};
use super::pack::{Buffers, Part};
use super::shell::{Failure, Shared, State};
use super::sync::thread;
use super::waiter::Chunk;
use super::work::{Answer, Pending};
use crate::runtime::{Device, Encoded, RuntimeError, Sizes, StepEvidence, StopHandle};
use crate::telemetry::batches::{Busy, Instruments, Ran};

/// A batch with its inputs, outside the lock.
struct Taken {
    batch: Batch,
    inputs: Inputs,
}

/// How long a run took, and what it cost.
#[derive(Clone, Copy)]
struct Times {
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
    SequenceOutput(StepEvidence),
}

impl Shared {
    pub(super) fn work(&self, number: usize, mut device: impl Device) {
        let mut buffers = Buffers::default();
        let busy = Busy::new(number);
        let mut instruments =
            Instruments::new(Graph::ALL.map(Graph::name), Class::ALL.map(Class::name));
        let stop = device.stopper();
        while let Some(Taken { batch, mut inputs }) = self.take(&stop) {
            let stopwatch = device.stopwatch();
            // A panic inside a run fails its batch like any other error; the worker lives on.
            let run = || self.run(&mut device, &mut buffers, &batch, &inputs);
            let outputs =
                catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(RuntimeError::Panicked));
            let times = Times {
                took: stopwatch.elapsed(),
                cost: stopwatch.cost(),
            };
            busy.add(times.took);
            watch(&mut instruments, &batch, times, outputs.is_ok());
            if let (Ok(Outputs::SequenceOutput(evidence)), Inputs::Chunks(chunks)) =
                (&outputs, &mut inputs)
            {
                self.carry_on(&batch, evidence, chunks);
            }
            self.hand_out(&batch, inputs, &outputs, times);
            // Whoever decodes or answers on this processor has waited for it as long as the batch took.
            // They need less of it than the next batch, and what they do may go into that.
            thread::yield_now();
        }
    }

    /// Waits for a batch; none once the scheduler is closed and everything has ended.
    fn take(&self, stop: &Arc<dyn StopHandle>) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            let now = self.now();
            self.detect_stall(&mut state, now);
            let next = state.core.poll(now);
            let (until, taken) = match next {
                Next::Run(batch) => (None, Some(state.lend(batch, stop))),
                Next::Wait(until) => (Some(until), None),
                Next::Idle => (None, None),
            };
            let answers = state.settle(now);
            if taken.is_some() || !answers.is_empty() {
                // A change wakes one worker, but may be more than one batch.
                let wakes = taken.is_some() && state.wakes();
                drop(state);
                if wakes {
                    self.wake_one();
                }
                answers.into_iter().for_each(Answer::send);
                if taken.is_some() {
                    return taken;
                }
                state = self.lock();
                continue;
            }
            if state.ends() {
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
                .encode(buffers.segments(batch.shape, parts))
                .map(Outputs::Features),
            Inputs::Chunks(chunks) => device
                .sequence(buffers.chunks(batch.shape, chunks, self.sizes))
                .map(Outputs::SequenceOutput),
        }
    }

    /// Gives each chunk's stream the state that it carries on.
    fn carry_on(&self, batch: &Batch, evidence: &StepEvidence, chunks: &mut [Chunk]) {
        let row = self.sizes.carried(batch.shape.steps);
        let carried = evidence.carried.chunks(row);
        for ((chunk, member), carried) in chunks.iter_mut().zip(&batch.members).zip(carried) {
            chunk
                .history
                .extend(carried, batch.shape.steps, member.items);
        }
    }

    fn hand_out(
        &self,
        batch: &Batch,
        inputs: Inputs,
        outputs: &Result<Outputs, RuntimeError>,
        Times { took, cost }: Times,
    ) {
        let outcome = match outputs {
            Ok(outputs) => Outcome::Ran {
                cost,
                broken: self.broken(batch, outputs),
            },
            Err(_) => Outcome::Failed,
        };
        self.change(|state, _| {
            state.running.remove(&batch.id);
            state.keep(batch, inputs, outputs, took, self.sizes);
            state.failure = match outputs {
                Ok(_) => Some(Failure::NotFinite),
                Err(error) => Some(Failure::Failed(error.to_string())),
            };
            state.core.handle_done(batch.id, &outcome);
        });
    }

    /// Places of members whose outputs are not finite.
    fn broken(&self, batch: &Batch, outputs: &Outputs) -> Vec<usize> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let sizes = self.sizes;
        let mut row = 0;
        let mut broken = Vec::new();
        for (place, member) in batch.members.iter().enumerate() {
            let fine = match outputs {
                Outputs::Features(encoded) => {
                    let first = row;
                    row += member.items;
                    let width = sizes.features;
                    finite(&encoded.features[first * width..row * width])
                        && finite(encoded.distance.get(first..row).unwrap_or_default())
                }
                Outputs::SequenceOutput(evidence) => {
                    let (steps, labels) = (batch.shape.steps, sizes.labels);
                    // What is carried on goes into them, so it need not be looked at.
                    finite(&evidence.logits[place * steps * labels..][..member.items * labels])
                        && finite(&evidence.scores[place * steps..][..member.items])
                }
            };
            if !fine {
                broken.push(place);
            }
        }
        broken
    }
}

impl State {
    /// A batch's inputs, lent to it, and the way to stop it.
    fn lend(&mut self, batch: Batch, stop: &Arc<dyn StopHandle>) -> Taken {
        stop.clear();
        self.running.insert(batch.id, Arc::clone(stop));
        let work = batch.members.iter();
        let inputs = match batch.graph {
            Graph::Encoder => Inputs::Segments(
                work.filter_map(|member| match self.work.get(&member.entry)? {
                    Pending::Segments(work) => Some(Part {
                        segments: Arc::clone(&work.segments),
                        first: member.first,
                        count: member.items,
                    }),
                    Pending::Chunk(_) => None,
                })
                .collect(),
            ),
            Graph::Sequence => Inputs::Chunks(
                work.filter_map(|member| match self.work.get_mut(&member.entry)? {
                    Pending::Chunk(work) => work.chunk.take(),
                    Pending::Segments(_) => None,
                })
                .collect(),
            ),
        };
        Taken { batch, inputs }
    }

    /// Keeps what a batch gave, or gives its chunks back so that they can be run again.
    fn keep(
        &mut self,
        batch: &Batch,
        inputs: Inputs,
        outputs: &Result<Outputs, RuntimeError>,
        took: Duration,
        sizes: Sizes,
    ) {
        match (inputs, outputs) {
            (Inputs::Segments(_), Ok(Outputs::Features(encoded))) => {
                let mut row = 0;
                for member in &batch.members {
                    if let Some(Pending::Segments(work)) = self.work.get_mut(&member.entry) {
                        work.keep(member, row, encoded, took, sizes);
                    }
                    row += member.items;
                }
            }
            (Inputs::Chunks(chunks), outputs) => {
                for (row, (member, chunk)) in batch.members.iter().zip(chunks).enumerate() {
                    let Some(Pending::Chunk(work)) = self.work.get_mut(&member.entry) else {
                        continue;
                    };
                    match outputs {
                        Ok(Outputs::SequenceOutput(evidence)) => {
                            work.keep((member, row), (batch, evidence), chunk.history, took, sizes);
                        }
                        _ => work.chunk = Some(chunk),
                    }
                }
            }
            (Inputs::Segments(_), _) => {}
        }
    }
}

fn watch(instruments: &mut Instruments, batch: &Batch, times: Times, succeeded: bool) {
    let graph = batch.graph as usize;
    for member in &batch.members {
        instruments.waited(graph, member.class as usize, member.waited);
    }
    let mut jobs: Vec<_> = batch.members.iter().map(|member| member.job).collect();
    jobs.sort_unstable();
    jobs.dedup();
    instruments.ran(&Ran {
        graph,
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
