//! The state of one stream between chunks or steps: the last 2·2ⁿ inputs of each layer n.
//!
//! Laid out as `sequence.onnx` takes it: layer after layer, oldest first, `[H, C]` with
//! H = 2·(2ᴸ − 1). What lies before the start of the stream is never read as sound, for `valid`
//! masks it.

/// History of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    layers: usize,
    width: usize,
    valid: usize,
    values: Vec<f32>,
}

impl History {
    /// The history of a stream that has not begun: L layers of width C.
    #[must_use]
    pub fn new(layers: usize, width: usize) -> Self {
        Self {
            layers,
            width,
            valid: 0,
            values: vec![0.0; offset(layers) * width],
        }
    }

    /// `[H, C]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How many earlier steps of the stream are real.
    #[must_use]
    pub fn valid(&self) -> i64 {
        i64::try_from(self.valid).unwrap_or(i64::MAX)
    }

    /// The two taps of each layer for the next step, as `step.onnx` takes them: `[L, 2, C]`.
    #[must_use]
    pub fn taps(&self) -> Vec<f32> {
        let mut taps = Vec::with_capacity(self.layers * 2 * self.width);
        for layer in 0..self.layers {
            for back in [2 << layer, 1 << layer] {
                let row = offset(layer) + (2 << layer) - back;
                taps.extend_from_slice(&self.values[row * self.width..][..self.width]);
            }
        }
        taps
    }

    /// Takes the first `real` of `steps` steps of a chunk; the rest was padding.
    /// `inputs` is `[L, steps, C]`, each layer's inputs as the graphs give them.
    pub fn extend(&mut self, inputs: &[f32], steps: usize, real: usize) {
        let width = self.width;
        debug_assert_eq!(inputs.len(), self.layers * steps * width);
        for layer in 0..self.layers {
            let span = 2 << layer;
            let held = &mut self.values[offset(layer) * width..][..span * width];
            let new = &inputs[layer * steps * width..][..real * width];
            let taken = real.min(span) * width;
            held.copy_within(taken.., 0);
            let kept = held.len() - taken;
            held[kept..].copy_from_slice(&new[new.len() - taken..]);
        }
        self.valid += real;
    }
}

/// Steps held by the layers before `layer`.
fn offset(layer: usize) -> usize {
    2 * ((1 << layer) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each layer's input is its number · 1000 + the step, so a value tells where it came from.
    fn inputs(layers: usize, from: usize, steps: usize) -> Vec<f32> {
        let value = |layer, step| (layer * 1000 + from + step) as f32;
        (0..layers)
            .flat_map(|layer| (0..steps).map(move |step| value(layer, step)))
            .collect()
    }

    #[test]
    fn any_chunking_leaves_the_same_history() {
        let mut whole = History::new(3, 1);
        whole.extend(&inputs(3, 0, 40), 40, 40);
        for chunk in [1, 3, 7, 16] {
            let mut history = History::new(3, 1);
            for from in (0..40).step_by(chunk) {
                history.extend(&inputs(3, from, chunk), chunk, chunk.min(40 - from));
            }
            assert_eq!(history, whole, "chunks of {chunk}");
        }
        assert_eq!(whole.valid(), 40);
    }

    #[test]
    fn history_and_taps_are_laid_out_oldest_first_layer_after_layer() {
        let mut history = History::new(2, 1);
        history.extend(&inputs(2, 0, 10), 10, 10);
        assert_eq!(history.values(), [8.0, 9.0, 1006.0, 1007.0, 1008.0, 1009.0]);
        assert_eq!(history.taps(), [8.0, 9.0, 1006.0, 1008.0]);
    }
}
