//! One set of sessions, single-threaded: runs one batch at a time through each graph.
//!
//! Tensors go in without a copy.

use ort::session::Session;
use ort::value::TensorRef;

use super::graph::{self, Expected};
use super::{Library, RuntimeError};
use crate::bundle::{Bundle, Manifest, names};
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
    /// Steps of each chunk, T.
    pub steps: usize,
    /// `[N, T, C]`.
    pub features: &'a [f32],
    /// The last 2·2ⁿ inputs of each layer n, layer after layer, oldest first: `[N, H, C]`.
    pub history: &'a [f32],
    /// How many earlier steps of the stream are real: `[N]`.
    pub valid: &'a [i64],
}

/// One step of each of N streams.
#[derive(Clone, Copy, Debug)]
pub struct StepBatch<'a> {
    /// `[N, C]`.
    pub features: &'a [f32],
    /// The inputs of each layer n that lie 2·2ⁿ and 2ⁿ steps back: `[N, L, 2, C]`.
    pub taps: &'a [f32],
    /// How many earlier steps of the stream are real: `[N]`.
    pub valid: &'a [i64],
}

/// What the sequence says of each step; T is 1 for a [`StepBatch`].
#[derive(Clone, Debug, PartialEq)]
pub struct StepEvidence {
    /// `[N, T, K]`.
    pub logits: Vec<f32>,
    /// Attention scores, `[N, T]`.
    pub scores: Vec<f32>,
    /// Each layer's inputs, `[N, L, T, C]`.
    pub layers: Vec<f32>,
}

/// What runs batches. The scheduler's shell knows the runtime through this alone.
pub trait Device: Send {
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

/// Sizes that tie tensors together, as a manifest states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the features, C.
    pub features: usize,
    /// Hidden layers of the sequence, L.
    pub layers: usize,
    /// Steps of history, H.
    pub history: usize,
    /// Labels, K.
    pub labels: usize,
    /// Codes a segment, P, if there is a codebook.
    pub codes: Option<usize>,
}

impl Sizes {
    /// The sizes that a manifest states.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            features: manifest.encoder.features,
            layers: manifest.sequence.layers,
            history: manifest.sequence.history,
            labels: manifest.labels.len(),
            codes: manifest.encoder.codes,
        }
    }
}

/// One set of sessions on a CPU.
#[derive(Debug)]
pub struct Instance {
    encoder: Session,
    sequence: Session,
    step: Session,
    sizes: Sizes,
}

impl Instance {
    /// Opens a bundle's graphs and holds their inputs and outputs against the contract.
    ///
    /// # Errors
    /// A graph that ONNX Runtime refuses, or that is not the contract's.
    pub fn open(library: &Library, bundle: &Bundle) -> Result<Self, RuntimeError> {
        let sizes = Sizes::of(&bundle.manifest);
        let [c, l, h, k] =
            [sizes.features, sizes.layers, sizes.history, sizes.labels].map(|size| size as i64);
        let open = |file: &'static str, inputs: &[Expected], outputs: &[Expected]| {
            let session = library
                .session(bundle.file(file)?)
                .map_err(|source| RuntimeError::Session { file, source })?;
            graph::check(&session, inputs, outputs)
                .map_err(|source| RuntimeError::Graph { file, source })?;
            Ok::<_, RuntimeError>(session)
        };
        let (frames, bins) = (SEGMENT_FRAMES as i64, BINS as i64);
        let mut encoder_outputs = vec![Expected::f32("features", &[-1, c])];
        if let Some(codes) = sizes.codes {
            encoder_outputs.push(Expected::i64("codes", &[-1, codes as i64]));
            encoder_outputs.push(Expected::f32("distance", &[-1]));
        }
        Ok(Self {
            encoder: open(
                names::ENCODER,
                &[Expected::f32("segments", &[-1, 1, frames, bins])],
                &encoder_outputs,
            )?,
            sequence: open(
                names::SEQUENCE,
                &[
                    Expected::f32("features", &[-1, -1, c]),
                    Expected::f32("history", &[-1, h, c]),
                    Expected::i64("valid", &[-1]),
                ],
                &[
                    Expected::f32("logits", &[-1, -1, k]),
                    Expected::f32("scores", &[-1, -1]),
                    Expected::f32("layers", &[-1, l, -1, c]),
                ],
            )?,
            step: open(
                names::STEP,
                &[
                    Expected::f32("features", &[-1, c]),
                    Expected::f32("taps", &[-1, l, 2, c]),
                    Expected::i64("valid", &[-1]),
                ],
                &[
                    Expected::f32("logits", &[-1, k]),
                    Expected::f32("scores", &[-1]),
                    Expected::f32("layers", &[-1, l, c]),
                ],
            )?,
            sizes,
        })
    }

    /// Runs one step of each of N streams.
    ///
    /// # Errors
    /// [`RuntimeError::Run`] or [`RuntimeError::Output`].
    pub fn step(&mut self, batch: StepBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        let (sizes, graph) = (self.sizes, names::STEP);
        let Sizes {
            features: c,
            layers: l,
            ..
        } = sizes;
        let n = batch.valid.len();
        let mut run = || {
            let outputs = self.step.run(ort::inputs![
                "features" => TensorRef::from_array_view(([n, c], batch.features))?,
                "taps" => TensorRef::from_array_view(([n, l, 2, c], batch.taps))?,
                "valid" => TensorRef::from_array_view(([n], batch.valid))?,
            ])?;
            evidence(&outputs)
        };
        let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
        found.checked(graph, n, 1, sizes)
    }
}

impl Device for Instance {
    fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError> {
        let (sizes, graph) = (self.sizes, names::ENCODER);
        let n = segments.len() / SEGMENT_VALUES;
        let mut run = || -> ort::Result<Encoded> {
            let shape = [n, 1, SEGMENT_FRAMES, BINS];
            let outputs = self.encoder.run(ort::inputs![
                "segments" => TensorRef::from_array_view((shape, segments))?,
            ])?;
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
        let (sizes, graph) = (self.sizes, names::SEQUENCE);
        let Sizes {
            features: c,
            history: h,
            ..
        } = sizes;
        let (n, t) = (batch.valid.len(), batch.steps);
        let mut run = || {
            let outputs = self.sequence.run(ort::inputs![
                "features" => TensorRef::from_array_view(([n, t, c], batch.features))?,
                "history" => TensorRef::from_array_view(([n, h, c], batch.history))?,
                "valid" => TensorRef::from_array_view(([n], batch.valid))?,
            ])?;
            evidence(&outputs)
        };
        let found = run().map_err(|source| RuntimeError::Run { graph, source })?;
        found.checked(graph, n, t, sizes)
    }
}

impl StepEvidence {
    /// Holds the outputs' lengths against what went in: a graph may leave its dimensions open.
    fn checked(
        self,
        graph: &'static str,
        n: usize,
        t: usize,
        sizes: Sizes,
    ) -> Result<Self, RuntimeError> {
        length(graph, "logits", self.logits.len(), n * t * sizes.labels)?;
        length(graph, "scores", self.scores.len(), n * t)?;
        length(
            graph,
            "layers",
            self.layers.len(),
            n * sizes.layers * t * sizes.features,
        )?;
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

fn evidence(outputs: &ort::session::SessionOutputs<'_>) -> ort::Result<StepEvidence> {
    Ok(StepEvidence {
        logits: outputs["logits"].try_extract_tensor::<f32>()?.1.to_vec(),
        scores: outputs["scores"].try_extract_tensor::<f32>()?.1.to_vec(),
        layers: outputs["layers"].try_extract_tensor::<f32>()?.1.to_vec(),
    })
}
