//! Golden vectors: real segments and what the graphs must make of them.
//!
//! One utterance's segments in order, G of them, from the start of a turn. `logits` and `scores`
//! hold for both paths, the chunk and the steps: the two sequence graphs carry the same weights.

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::Manifest;
use crate::frontend::{BINS, SEGMENT_FRAMES};

/// What the graphs must reproduce.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    /// `[G, 1, 32, 129]`, normalised.
    pub segments: Vec<f32>,
    /// `[G, C]`.
    pub features: Vec<f32>,
    /// `[G, P]`; only with a codebook.
    pub codes: Option<Vec<i64>>,
    /// `[G]`; only with a codebook.
    pub distance: Option<Vec<f32>>,
    /// Step evidence `[G, K]`.
    pub logits: Vec<f32>,
    /// Attention scores `[G]`.
    pub scores: Vec<f32>,
}

/// Why golden vectors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The container does not parse.
    #[error("{0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A tensor has another type or shape than the manifest asks for.
    #[error("tensor `{name}` is {found}, but the manifest asks for {expected}")]
    Shape {
        /// The tensor.
        name: &'static str,
        /// Its type and shape.
        found: String,
        /// What they must be.
        expected: String,
    },
    /// There is no segment.
    #[error("holds no segment")]
    Empty,
}

impl Golden {
    /// How many segments there are, G.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Reads the vectors that a manifest's shapes ask for.
    ///
    /// # Errors
    /// A missing tensor, or one of another type or shape.
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
    /// Lengths that are no multiple of the number of segments.
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
