//! One set of sessions: runs one batch at a time through each graph.
//!
//! Tensors go in without a copy, but for recurrent chunks of unequal length.

use std::sync::Arc;

use ort::session::{RunOptions, Session, SessionOutputs};
use ort::value::TensorRef;

use super::graph::{self, Expected};
use super::recurrent::Recurrent;
use super::taps::Taps;
use super::{Library, Provider, RuntimeError, Sizes, Stopwatch, Values};
use crate::bundle::{Bundle, Sequence, names};
use crate::frontend::{BINS, SEGMENT_FRAMES, SEGMENT_VALUES};

/// Features of a batch of segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// `[N, C]`.
    pub features: Vec<f32>,
    /// Codes `[N, P]`; empty without a codebook.
    pub codes: Vec<i64>,
    /// Mean squared distance to the chosen codes, `[N]`; empty without a codebook.
    pub distance: Vec<f32>,
}

/// Chunks of streams, padded at the end to the same number of steps.
#[derive(Clone, Copy, Debug)]
pub struct SequenceBatch<'a> {
    /// Steps of each chunk with its padding, T.
    pub steps: usize,
    /// Steps of each chunk without its padding: `[N]`; 0 for a chunk that is padding altogether.
    pub real: &'a [usize],
    /// `[N, T, C]`.
    pub features: &'a [f32],
    /// [`History::values`](super::History::values) of each stream: `[N, H, C]` or `[N, S]`.
    pub history: &'a [f32],
    /// How many earlier steps of the stream are real: `[N]`.
    pub valid: &'a [i64],
}

/// One step of each of N streams.
#[derive(Clone, Copy, Debug)]
pub struct StepBatch<'a> {
    /// `[N, C]`.
    pub features: &'a [f32],
    /// [`History::for_step`](super::History::for_step) of each stream: `[N, L, 2, C]` or `[N, S]`.
    pub history: &'a [f32],
    /// How many earlier steps of the stream are real: `[N]`.
    pub valid: &'a [i64],
}

/// What the sequence says of each step; T is 1 for a [`StepBatch`]. What it says of padding is
/// nobody's.
#[derive(Debug)]
pub struct StepEvidence {
    /// `[N, T, K]`.
    pub logits: Vec<f32>,
    /// Attention scores, `[N, T]`.
    pub scores: Vec<f32>,
    /// What each stream's [`History`](super::History) takes: each layer's inputs `[N, L, T, C]`, or
    /// the state after the last real step `[N, S]`.
    pub carried: Values,
}

/// Stops a device's run from another thread.
pub trait StopHandle: std::fmt::Debug + Send + Sync {
    /// Ends the run under way, once the operator under way has ended; it fails then. Runs to come
    /// fail too, until [`StopHandle::clear`].
    fn stop(&self);

    /// Lets runs to come run.
    fn clear(&self);
}

/// What runs batches. The scheduler's shell knows the runtime through this alone.
pub trait Device: Send {
    /// What stops this device's runs.
    fn stopper(&self) -> Arc<dyn StopHandle>;

    /// A stopwatch that tells what a run of this device costs.
    fn stopwatch(&self) -> Stopwatch {
        Stopwatch::of_the_wall()
    }

    /// Runs N segments, `[N, 1, 32, 129]`.
    ///
    /// # Errors
    /// [`RuntimeError::Run`], or [`RuntimeError::Output`] if the graph gives another number of
    /// values than N asks for.
    fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError>;

    /// Runs N chunks.
    ///
    /// # Errors
    /// As [`Device::encode`].
    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError>;
}

/// One set of sessions on a CPU.
#[derive(Debug)]
pub struct Instance {
    encoder: Session,
    sequence: Sequencer,
    sizes: Sizes,
    options: Arc<TerminableRun>,
    /// Nobody but the thread that asks for a run computes it.
    alone: bool,
}

/// What every run of an instance is run with.
pub(super) struct TerminableRun(pub(super) RunOptions);

impl std::fmt::Debug for TerminableRun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TerminableRun")
            .finish_non_exhaustive()
    }
}

impl StopHandle for TerminableRun {
    fn stop(&self) {
        // A run that cannot be stopped runs out, and nobody asks for its result.
        let _ = self.0.terminate();
    }

    fn clear(&self) {
        let _ = self.0.unterminate();
    }
}

#[derive(Debug)]
enum Sequencer {
    Taps(Taps),
    Recurrent(Recurrent),
}

impl Instance {
    /// Opens a bundle's graphs, with one thread in each session, and holds their inputs and outputs
    /// against the contract.
    ///
    /// # Errors
    /// A graph that ONNX Runtime refuses, or that is not the contract's.
    pub fn open(library: &Library, bundle: &Bundle) -> Result<Self, RuntimeError> {
        Self::with_threads(library, bundle, 1)
    }

    /// As [`Instance::open`], with so many threads in each session.
    ///
    /// # Errors
    /// As [`Instance::open`].
    pub fn with_threads(
        library: &Library,
        bundle: &Bundle,
        threads: usize,
    ) -> Result<Self, RuntimeError> {
        let sizes = Sizes::of(&bundle.manifest);
        let (frames, bins) = (SEGMENT_FRAMES as i64, BINS as i64);
        let mut outputs = vec![Expected::f32("features", &[-1, sizes.features as i64])];
        if let Some(codes) = sizes.codes {
            outputs.push(Expected::i64("codes", &[-1, codes as i64]));
            outputs.push(Expected::f32("distance", &[-1]));
        }
        let options = RunOptions::new().map_err(|source| RuntimeError::Run {
            graph: names::ENCODER,
            source,
        })?;
        let options = Arc::new(TerminableRun(options));
        Ok(Self {
            options: Arc::clone(&options),
            encoder: graph::open(
                (library, bundle),
                threads,
                names::ENCODER,
                &[Expected::f32("segments", &[-1, 1, frames, bins])],
                &outputs,
            )?,
            sequence: match sizes.sequence {
                Sequence::Taps { layers, history } => Sequencer::Taps(Taps::open(
                    (library, bundle),
                    threads,
                    sizes,
                    (layers, history),
                    options,
                )?),
                Sequence::Recurrent { state, .. } => Sequencer::Recurrent(Recurrent::open(
                    (library, bundle),
                    threads,
                    sizes,
                    state,
                    options,
                )?),
            },
            sizes,
            alone: threads == 1 && library.provider() == Provider::Cpu,
        })
    }

    /// Runs one step of each of N streams.
    ///
    /// # Errors
    /// [`RuntimeError::Run`] or [`RuntimeError::Output`].
    pub fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        match &mut self.sequence {
            Sequencer::Taps(taps) => taps.step(batch),
            Sequencer::Recurrent(recurrent) => recurrent.step(batch),
        }
    }
}

impl Device for Instance {
    fn stopper(&self) -> Arc<dyn StopHandle> {
        Arc::clone(&self.options) as Arc<dyn StopHandle>
    }

    fn stopwatch(&self) -> Stopwatch {
        match self.alone {
            true => Stopwatch::of_this_thread(),
            false => Stopwatch::of_the_wall(),
        }
    }

    fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError> {
        let (sizes, graph) = (self.sizes, names::ENCODER);
        let n = segments.len() / SEGMENT_VALUES;
        let mut run = || -> ort::Result<Encoded> {
            let shape = [n, 1, SEGMENT_FRAMES, BINS];
            let inputs = ort::inputs![
                "segments" => TensorRef::from_array_view((shape, segments))?,
            ];
            let outputs = self.encoder.run_with_options(inputs, &self.options.0)?;
            let features = outputs["features"].try_extract_tensor::<f32>()?.1.to_vec();
            let (codes, distance) = match sizes.codes {
                None => (Vec::new(), Vec::new()),
                Some(_) => (
                    outputs["codes"].try_extract_tensor::<i64>()?.1.to_vec(),
                    outputs["distance"].try_extract_tensor::<f32>()?.1.to_vec(),
                ),
            };
            Ok(Encoded {
                features,
                codes,
                distance,
            })
        };
        let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
        length(graph, "features", found.features.len(), n * sizes.features)?;
        length(
            graph,
            "codes",
            found.codes.len(),
            n * sizes.codes.unwrap_or(0),
        )?;
        length(
            graph,
            "distance",
            found.distance.len(),
            sizes.codes.map_or(0, |_| n),
        )?;
        Ok(found)
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        match &mut self.sequence {
            Sequencer::Taps(taps) => taps.sequence(batch),
            Sequencer::Recurrent(recurrent) => recurrent.sequence(batch),
        }
    }
}

impl StepEvidence {
    /// Takes a sequence graph's outputs; `carried` is the name of what streams carry on.
    pub(super) fn of(mut outputs: SessionOutputs<'_>, carried: &str) -> ort::Result<Self> {
        let carried = outputs.remove(carried);
        let carried = carried.ok_or_else(|| ort::Error::new("nothing is given to carry on"))?;
        Ok(Self {
            logits: outputs["logits"].try_extract_tensor::<f32>()?.1.to_vec(),
            scores: outputs["scores"].try_extract_tensor::<f32>()?.1.to_vec(),
            carried: Values::of(carried)?,
        })
    }

    /// Holds the outputs' lengths against what went in: a graph may leave its dimensions open.
    pub(super) fn checked(
        self,
        graph: &'static str,
        carried: &'static str,
        (n, t): (usize, usize),
        sizes: Sizes,
    ) -> Result<Self, RuntimeError> {
        length(graph, "logits", self.logits.len(), n * t * sizes.labels)?;
        length(graph, "scores", self.scores.len(), n * t)?;
        length(graph, carried, self.carried.len(), n * sizes.carried(t))?;
        Ok(self)
    }
}

fn length(
    graph: &'static str,
    output: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), RuntimeError> {
    if found == expected {
        return Ok(());
    }
    Err(RuntimeError::Output {
        graph,
        output,
        found,
        expected,
    })
}
