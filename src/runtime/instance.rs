//! One set of sessions, which runs one batch at a time through each graph.
//!
//! Tensors go in without a copy, except recurrent chunks of unequal length.

use std::sync::Arc;

use ndarray::{ArrayView4, Axis};
use ort::session::{RunOptions, Session};
use ort::value::TensorRef;

use super::device::{Device, Encoded, SequenceBatch, StepBatch, StepEvidence, StopHandle};
use super::error::RuntimeError;
use super::graph::{GraphLoader, TensorContract};
use super::library::Library;
use super::outputs;
use super::provider::Provider;
use super::recurrent::Recurrent;
use super::sizes::Sizes;
use super::stopwatch::Stopwatch;
use super::taps::Taps;
use super::terminable_run::TerminableRun;
use crate::bundle::{Bundle, Sequence, names};
use crate::frontend::{BINS, SEGMENT_FRAMES};

/// One set of sessions: the encoder's, and those of the sequence.
#[derive(Debug)]
pub struct Instance {
    encoder: Session,
    sequence: SequenceSessions,
    sizes: Sizes,
    options: Arc<TerminableRun>,
    /// Whether the calling thread alone computes a run.
    single_threaded: bool,
}

/// Sessions of the sequence, by its form.
#[derive(Debug)]
enum SequenceSessions {
    Taps(Taps),
    Recurrent(Recurrent),
}

impl Instance {
    /// Opens a bundle's graphs with one thread in each session, and checks their inputs and outputs
    /// against the contract.
    ///
    /// # Errors
    /// A graph that ONNX Runtime refuses, or that differs from the contract.
    pub fn open(library: &Library, bundle: &Bundle) -> Result<Self, RuntimeError> {
        Self::with_threads(library, bundle, 1)
    }

    /// Opens a bundle's graphs as [`Instance::open`], with `threads` threads in each session.
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
        let mut outputs = vec![TensorContract::f32(
            "features",
            &[-1, sizes.features as i64],
        )];
        if let Some(codes) = sizes.codes {
            outputs.push(TensorContract::i64("codes", &[-1, codes as i64]));
            outputs.push(TensorContract::f32("distance", &[-1]));
        }
        let options = RunOptions::new().map_err(|source| RuntimeError::Run {
            graph: names::ENCODER,
            source,
        })?;
        let options = Arc::new(TerminableRun(options));
        let graphs = GraphLoader {
            library,
            bundle,
            threads,
        };
        Ok(Self {
            options: Arc::clone(&options),
            encoder: graphs.open(
                names::ENCODER,
                &[TensorContract::f32("segments", &[-1, 1, frames, bins])],
                &outputs,
            )?,
            sequence: match sizes.sequence {
                Sequence::Taps { .. } => {
                    SequenceSessions::Taps(Taps::open(graphs, sizes, options)?)
                }
                Sequence::Recurrent { .. } => {
                    SequenceSessions::Recurrent(Recurrent::open(graphs, sizes, options)?)
                }
            },
            sizes,
            single_threaded: threads == 1 && library.provider() == Provider::Cpu,
        })
    }

    /// Runs one step of each of N streams.
    ///
    /// # Errors
    /// [`RuntimeError::Run`] or [`RuntimeError::Output`].
    pub fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        match &mut self.sequence {
            SequenceSessions::Taps(taps) => taps.step(batch),
            SequenceSessions::Recurrent(recurrent) => recurrent.step(batch),
        }
    }
}

impl Device for Instance {
    fn stop_handle(&self) -> Arc<dyn StopHandle> {
        Arc::clone(&self.options) as Arc<dyn StopHandle>
    }

    fn stopwatch(&self) -> Stopwatch {
        if self.single_threaded {
            Stopwatch::of_this_thread()
        } else {
            Stopwatch::of_the_wall()
        }
    }

    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
        let graph = names::ENCODER;
        let failed = |source| RuntimeError::Run { graph, source };
        let n = segments.len_of(Axis(0));
        let inputs = ort::inputs![
            "segments" => TensorRef::from_array_view(segments).map_err(failed)?,
        ];
        let outputs = self
            .encoder
            .run_with_options(inputs, &self.options.0)
            .map_err(failed)?;
        let features = outputs::read(&outputs, graph, "features", (n, self.sizes.features))?;
        let (codes, distance) = match self.sizes.codes {
            None => (None, None),
            Some(codes) => (
                Some(outputs::read(&outputs, graph, "codes", (n, codes))?),
                Some(outputs::read(&outputs, graph, "distance", n)?),
            ),
        };
        Ok(Encoded {
            features,
            codes,
            distance,
        })
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        match &mut self.sequence {
            SequenceSessions::Taps(taps) => taps.sequence(batch),
            SequenceSessions::Recurrent(recurrent) => recurrent.sequence(batch),
        }
    }
}
