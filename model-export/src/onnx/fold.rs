//! Folds constant factors of a layer's weights, in f64.
//!
//! The scale of the scores is folded into W_q, and W_o into the taps of the convolution. The bias of K is
//! dropped: it shifts all scores of a query, which does not change their softmax. The bias of V is added to the
//! output's bias, because attention weights sum to one. A zero tap therefore has a zero value.

use super::sizes::Sizes;
use super::weights::{Array, LinearWeights, SequenceLayer, TacnWeights};

/// One layer's folded weights.
pub(super) struct Folded {
    pub(super) attention: Option<FoldedAttention>,
    /// [3C, C]: the taps, W_o multiplied in.
    pub(super) taps: Vec<f32>,
    /// What taps 0 and 1 add to the bias if they exist: two of `[C]`.
    pub(super) tap_biases: [Vec<f32>; 2],
    /// The bias including that of tap 2, which always exists: `[C]`.
    pub(super) bias: Vec<f32>,
}

/// Q, K and V side by side.
pub(super) struct FoldedAttention {
    /// [C, 3C].
    pub(super) weight: Vec<f32>,
    /// `[3C]`.
    pub(super) bias: Vec<f32>,
}

impl Folded {
    pub(super) fn of(layer: &SequenceLayer, sizes: Sizes) -> Self {
        match layer {
            SequenceLayer::Tacn(layer) => Self::attending(layer, sizes),
            SequenceLayer::Tcn(layer) => Self {
                attention: None,
                taps: layer
                    .taps
                    .iter()
                    .flat_map(|tap| tap.data.iter().copied())
                    .collect(),
                tap_biases: [vec![0.0; sizes.width], vec![0.0; sizes.width]],
                bias: layer.bias.clone(),
            },
        }
    }

    fn attending(layer: &TacnWeights, Sizes { width, heads, .. }: Sizes) -> Self {
        let scale = 1.0 / ((width / heads) as f64).sqrt();
        let scaled = |values: &[f32]| -> Vec<f32> {
            values
                .iter()
                .map(|&value| (f64::from(value) * scale) as f32)
                .collect()
        };
        let query = Array {
            shape: vec![width, width],
            data: scaled(&layer.query.weight.data),
        };
        let weight = side_by_side(&[&query, &layer.key.weight, &layer.value.weight]).data;
        let mut bias = scaled(&layer.query.bias);
        bias.resize(3 * width, 0.0);

        // The constant part of every attended tap: b_v · W_o + b_o.
        let LinearWeights {
            weight: output,
            bias: output_bias,
        } = &layer.output;
        let constant: Vec<f64> = product(&wide(&layer.value.bias), &output.data, width)
            .into_iter()
            .zip(output_bias)
            .map(|(value, &bias)| value + f64::from(bias))
            .collect();
        let output = wide(&output.data);
        let taps = layer
            .taps
            .iter()
            .flat_map(|tap| narrow(product(&output, &tap.data, width)))
            .collect();
        let [oldest, middle, current] = layer
            .taps
            .each_ref()
            .map(|tap| product(&constant, &tap.data, width));
        let total = current
            .iter()
            .zip(&layer.bias)
            .map(|(&own, &bias)| own + f64::from(bias));
        Self {
            attention: Some(FoldedAttention { weight, bias }),
            taps,
            tap_biases: [narrow(oldest), narrow(middle)],
            bias: narrow(total.collect()),
        }
    }
}

/// Joins matrices with the same number of rows.
pub(super) fn side_by_side(matrices: &[&Array]) -> Array {
    let rows = matrices.first().map_or(0, |matrix| matrix.shape[0]);
    let columns: usize = matrices.iter().map(|matrix| matrix.shape[1]).sum();
    let mut data = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for matrix in matrices {
            let columns = matrix.shape[1];
            data.extend_from_slice(&matrix.data[row * columns..][..columns]);
        }
    }
    Array {
        shape: vec![rows, columns],
        data,
    }
}

/// Multiplies rows [.., width] by a matrix [width, width].
fn product(rows: &[f64], matrix: &[f32], width: usize) -> Vec<f64> {
    let mut result = vec![0.0; rows.len()];
    for (row, sums) in rows.chunks_exact(width).zip(result.chunks_exact_mut(width)) {
        for (value, weights) in row.iter().zip(matrix.chunks_exact(width)) {
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum += value * f64::from(weight);
            }
        }
    }
    result
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn narrow(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}
