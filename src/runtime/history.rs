//! The state that one stream keeps from chunk to chunk, or from step to step.
//!
//! For a sequence with taps it is the last 2·2ⁿ inputs of each layer n, in the layout of
//! `sequence.onnx`: layer after layer, oldest first, `[H, C]` with H = 2·(2ᴸ − 1). `valid` masks the
//! positions before the start of the stream. For a recurrent sequence it is the state `[S]`, which is
//! zeros at the start.

use super::sizes::Sizes;
use crate::bundle::Sequence;

/// State of one stream between two batches.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    sequence: Sequence,
    width: usize,
    valid: usize,
    values: Vec<f32>,
}

impl History {
    /// Returns the state of a stream that has not begun.
    #[must_use]
    pub fn new(sizes: Sizes) -> Self {
        Self {
            sequence: sizes.sequence,
            width: sizes.features,
            valid: 0,
            values: vec![0.0; sizes.history_values()],
        }
    }

    /// Returns the input of a chunk: `[H, C]` or `[S]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns how many earlier steps of the stream are real.
    #[must_use]
    pub fn valid(&self) -> i64 {
        i64::try_from(self.valid).unwrap_or(i64::MAX)
    }

    /// Returns the input of a single step: the two taps of each layer `[L, 2, C]`, or the state `[S]`.
    #[must_use]
    pub fn for_step(&self) -> Vec<f32> {
        let Sequence::Taps { layers, .. } = self.sequence else {
            return self.values.clone();
        };
        let mut taps = Vec::with_capacity(layers * 2 * self.width);
        for layer in 0..layers {
            for back in [2 << layer, 1 << layer] {
                let row = offset(layer) + (2 << layer) - back;
                taps.extend_from_slice(&self.values[row * self.width..][..self.width]);
            }
        }
        taps
    }

    /// Adds the output [`StepEvidence::carried`](super::StepEvidence::carried) of a chunk of `steps`
    /// steps. Only the first `real` steps count, because the others were padding.
    pub fn extend(&mut self, carried: &[f32], steps: usize, real: usize) {
        match self.sequence {
            Sequence::Taps { layers, .. } => self.push(carried, layers, steps, real),
            Sequence::Recurrent { .. } => self.values.copy_from_slice(carried),
        }
        self.valid += real;
    }

    /// Adds each layer's inputs, `[L, steps, C]`.
    fn push(&mut self, inputs: &[f32], layers: usize, steps: usize, real: usize) {
        let width = self.width;
        debug_assert_eq!(inputs.len(), layers * steps * width);
        for layer in 0..layers {
            let span = 2 << layer;
            let kept = &mut self.values[offset(layer) * width..][..span * width];
            let new = &inputs[layer * steps * width..][..real * width];
            let taken = real.min(span) * width;
            kept.copy_within(taken.., 0);
            let older = kept.len() - taken;
            kept[older..].copy_from_slice(&new[new.len() - taken..]);
        }
    }
}

/// Returns how many steps the layers before `layer` keep.
fn offset(layer: usize) -> usize {
    2 * ((1 << layer) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history_of(sequence: Sequence) -> History {
        History::new(Sizes {
            features: 1,
            sequence,
            labels: 2,
            codes: None,
        })
    }

    fn taps(layers: usize) -> History {
        let history = offset(layers);
        history_of(Sequence::Taps { layers, history })
    }

    /// Each layer's input is its number · 1000 + the step, so that a value shows its origin.
    fn inputs(layers: usize, from: usize, steps: usize) -> Vec<f32> {
        let value = |layer, step| (layer * 1000 + from + step) as f32;
        (0..layers)
            .flat_map(|layer| (0..steps).map(move |step| value(layer, step)))
            .collect()
    }

    #[test]
    fn any_chunking_leaves_the_same_history() {
        let mut whole = taps(3);
        whole.extend(&inputs(3, 0, 40), 40, 40);
        for chunk in [1, 3, 7, 16] {
            let mut history = taps(3);
            for from in (0..40).step_by(chunk) {
                history.extend(&inputs(3, from, chunk), chunk, chunk.min(40 - from));
            }
            assert_eq!(history, whole, "chunks of {chunk}");
        }
        assert_eq!(whole.valid(), 40);
    }

    #[test]
    fn history_and_taps_are_laid_out_oldest_first_layer_after_layer() {
        let mut history = taps(2);
        history.extend(&inputs(2, 0, 10), 10, 10);
        assert_eq!(history.values(), [8.0, 9.0, 1006.0, 1007.0, 1008.0, 1009.0]);
        assert_eq!(history.for_step(), [8.0, 9.0, 1006.0, 1008.0]);
    }

    #[test]
    fn a_state_replaces_the_one_before() {
        let mut history = history_of(Sequence::Recurrent {
            layers: 2,
            state: 2,
        });
        assert_eq!(history.values(), [0.0, 0.0]);
        history.extend(&[1.0, 2.0], 8, 3);
        history.extend(&[3.0, 4.0], 8, 8);
        assert_eq!(history.values(), [3.0, 4.0]);
        assert_eq!(history.for_step(), [3.0, 4.0]);
        assert_eq!(history.valid(), 11);
    }
}
