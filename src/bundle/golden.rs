//! Golden vectors: segments of real speech, and the outputs that the graphs must compute from them.
//!
//! The G segments are one utterance's, in order, from the start of a turn. `logits` and `scores` are
//! the expected outputs of both sequence graphs, chunk and step, because both have the same weights.

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::error::GoldenError;
use super::manifest::Manifest;
use crate::frontend::{BINS, SEGMENT_FRAMES};

/// Inputs of the graphs, and the outputs that they must reproduce.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    /// Normalised segments, `[G, 1, 32, 129]`.
    pub segments: Vec<f32>,
    /// Features, `[G, C]`.
    pub features: Vec<f32>,
    /// Codes `[G, P]`; only with a codebook.
    pub codes: Option<Vec<i64>>,
    /// Mean squared distance to the chosen codes, `[G]`; only with a codebook.
    pub distance: Option<Vec<f32>>,
    /// Logits of each step, `[G, K]`.
    pub logits: Vec<f32>,
    /// Attention score of each step, `[G]`.
    pub scores: Vec<f32>,
}

impl Golden {
    /// Returns the number of segments, G.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Returns whether there is no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Reads the tensors, with the shapes that a manifest requires.
    ///
    /// # Errors
    /// A tensor that is missing or has another type or shape.
    pub fn parse(bytes: &[u8], manifest: &Manifest) -> Result<Self, GoldenError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let count = tensors
            .tensor("segments")?
            .shape()
            .first()
            .copied()
            .unwrap_or(0);
        if count == 0 {
            return Err(GoldenError::Empty);
        }
        let floats = |name, shape: &[usize]| -> Result<Vec<f32>, GoldenError> {
            let bytes = data(&tensors, name, Dtype::F32, shape)?;
            Ok(bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect())
        };
        let (codes, distance) = match manifest.encoder.codes {
            None => (None, None),
            Some(codes) => {
                let bytes = data(&tensors, "codes", Dtype::I64, &[count, codes])?;
                let read = |b: &[u8]| i64::from_le_bytes(std::array::from_fn(|i| b[i]));
                (
                    Some(bytes.chunks_exact(8).map(read).collect()),
                    Some(floats("distance", &[count])?),
                )
            }
        };
        Ok(Self {
            segments: floats("segments", &[count, 1, SEGMENT_FRAMES, BINS])?,
            features: floats("features", &[count, manifest.encoder.features])?,
            codes,
            distance,
            logits: floats("logits", &[count, manifest.labels.len()])?,
            scores: floats("scores", &[count])?,
        })
    }

    /// Writes the vectors as safetensors.
    ///
    /// # Errors
    /// [`GoldenError::Empty`], or a length that is not a multiple of the number of segments.
    pub fn serialize(&self) -> Result<Vec<u8>, GoldenError> {
        let count = self.len();
        if count == 0 {
            return Err(GoldenError::Empty);
        }
        let floats =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let mut tensors = vec![
            (
                "segments",
                Dtype::F32,
                vec![count, 1, SEGMENT_FRAMES, BINS],
                floats(&self.segments),
            ),
            (
                "features",
                Dtype::F32,
                vec![count, self.features.len() / count],
                floats(&self.features),
            ),
            (
                "logits",
                Dtype::F32,
                vec![count, self.logits.len() / count],
                floats(&self.logits),
            ),
            ("scores", Dtype::F32, vec![count], floats(&self.scores)),
        ];
        if let (Some(codes), Some(distance)) = (&self.codes, &self.distance) {
            let bytes = codes.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push(("codes", Dtype::I64, vec![count, codes.len() / count], bytes));
            tensors.push(("distance", Dtype::F32, vec![count], floats(distance)));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, GoldenError>>()?;
        Ok(serialize(views, None)?)
    }
}

fn data<'a>(
    tensors: &SafeTensors<'a>,
    name: &'static str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<&'a [u8], GoldenError> {
    let view = tensors.tensor(name)?;
    if view.dtype() != dtype || view.shape() != shape {
        return Err(GoldenError::Shape {
            name,
            found: format!("{:?} {:?}", view.dtype(), view.shape()),
            expected: format!("{dtype:?} {shape:?}"),
        });
    }
    Ok(view.data())
}
