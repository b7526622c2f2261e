//! The sizes that all layers of a model over taps share.

use super::error::{OnnxError, check, check_linear, check_shape};
use super::weights::{SequenceLayer, SequenceWeights, TapLayers};

/// The history doubles with each layer; more layers than this are a mistake.
const MOST_LAYERS: usize = 16;

/// Sizes that all layers share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// L.
    pub(super) depth: usize,
    /// C.
    pub(super) width: usize,
    pub(super) heads: usize,
    /// K.
    pub(super) classes: usize,
}

impl Sizes {
    /// Checks that all weights of a sequence fit together; returns their sizes.
    pub(super) fn of(sequence: &SequenceWeights, body: &TapLayers) -> Result<Self, OnnxError> {
        let depth = body.layers.len();
        let width = sequence.logits.weight.shape.first().copied().unwrap_or(0);
        let (heads, classes) = (body.heads, sequence.logits.bias.len());
        let wrong = |reason: String| {
            Err(OnnxError::Layer {
                layer: "sequence".into(),
                reason,
            })
        };
        if !(1..=MOST_LAYERS).contains(&depth) {
            return wrong(format!("has {depth} layers, expected 1 to {MOST_LAYERS}"));
        }
        if width == 0 || heads == 0 || !width.is_multiple_of(heads) {
            return wrong(format!(
                "a width of {width} does not divide into {heads} heads"
            ));
        }
        check_linear("logits", &sequence.logits, width, classes)?;
        check_linear("score", &sequence.score, width, 1)?;
        for (index, layer) in body.layers.iter().enumerate() {
            let name = format!("layers.{index}");
            let (taps, bias) = match layer {
                SequenceLayer::Tacn(layer) => {
                    check_linear(&format!("{name}.query"), &layer.query, width, width)?;
                    check_linear(&format!("{name}.key"), &layer.key, width, width)?;
                    check_linear(&format!("{name}.value"), &layer.value, width, width)?;
                    check_linear(&format!("{name}.output"), &layer.output, width, width)?;
                    (&layer.taps, &layer.bias)
                }
                SequenceLayer::Tcn(layer) => (&layer.taps, &layer.bias),
            };
            for (tap, weight) in taps.iter().enumerate() {
                check(&format!("{name}.taps.{tap}"), weight, &[width, width])?;
            }
            check_shape(&format!("{name}.bias"), &[bias.len()], &[width])?;
        }
        Ok(Self {
            depth,
            width,
            heads,
            classes,
        })
    }
}
