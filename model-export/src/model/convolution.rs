//! Hand-written convolutions, forward and backward, on plain values in the order [N, H, W, C].
//!
//! A training step of the default preset takes about a sixth of its time with burn's CPU backend. With the
//! channels innermost, a dense convolution is one matrix product over patches, and a depthwise one is a sum of
//! nine products of contiguous rows. burn's modules hold the weights, and the tests compare with them.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use undertone::frontend::{BINS, SEGMENT_FRAMES, SEGMENT_VALUES};

/// A batch of maps, `[count, height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    /// Row-major, channels innermost.
    pub values: Vec<f32>,
    /// Number of maps.
    pub count: usize,
    /// Rows and columns of each.
    pub size: [usize; 2],
    /// Channels per place.
    pub channels: usize,
}

impl Maps {
    /// Makes maps of one channel from segments [N, 32, 129].
    pub fn segments(values: Vec<f32>) -> Self {
        Self {
            count: values.len() / SEGMENT_VALUES,
            values,
            size: [SEGMENT_FRAMES, BINS],
            channels: 1,
        }
    }

    fn zeros(count: usize, size: [usize; 2], channels: usize) -> Self {
        let values = vec![0.0; count * size[0] * size[1] * channels];
        Self {
            values,
            count,
            size,
            channels,
        }
    }

    /// Returns the number of places in all maps: the rows of the matrix [places, channels].
    pub fn places(&self) -> usize {
        self.count * self.size[0] * self.size[1]
    }

    /// Returns the maps as [count, channels · height · width], the input of a linear layer.
    pub fn flattened(&self) -> Vec<f32> {
        let area = self.size[0] * self.size[1];
        let mut flat = vec![0.0; self.values.len()];
        let each = area * self.channels;
        for (flat, map) in flat
            .chunks_exact_mut(each)
            .zip(self.values.chunks_exact(each))
        {
            for (place, values) in map.chunks_exact(self.channels).enumerate() {
                for (channel, value) in values.iter().enumerate() {
                    flat[channel * area + place] = *value;
                }
            }
        }
        flat
    }

    /// Reverses [`Maps::flattened`] for maps of the same shape.
    pub fn unflattened(&self, flat: &[f32]) -> Self {
        let area = self.size[0] * self.size[1];
        let mut maps = Self::zeros(self.count, self.size, self.channels);
        let each = area * self.channels;
        for (flat, map) in flat
            .chunks_exact(each)
            .zip(maps.values.chunks_exact_mut(each))
        {
            for (place, values) in map.chunks_exact_mut(self.channels).enumerate() {
                for (channel, value) in values.iter_mut().enumerate() {
                    *value = flat[channel * area + place];
                }
            }
        }
        maps
    }
}

/// A convolution's geometry and weights.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Dense: `[kh, kw, in, out]`; depthwise: `[kh, kw, channels]`.
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    size: [usize; 2],
    stride: [usize; 2],
    /// Rows above and columns left of the map.
    padding: [usize; 2],
    inputs: usize,
    outputs: usize,
    depthwise: bool,
}

/// What a convolution's backward pass needs from its forward pass.
#[derive(Debug)]
pub struct Taken {
    /// Dense: patches `[places, kh · kw · in]`; depthwise and pointwise: the input itself.
    values: Vec<f32>,
    count: usize,
    size: [usize; 2],
}

impl Kernel {
    /// Creates a kernel from weights in burn's order `[out, in / groups, kh, kw]`.
    pub fn new(
        weights: &[f32],
        [outputs, inputs, height, width]: [usize; 4],
        bias: Option<Vec<f32>>,
        stride: [usize; 2],
        padding: [usize; 2],
        depthwise: bool,
    ) -> Self {
        let inputs = if depthwise { outputs } else { inputs };
        let kernel = Self {
            weights: Vec::new(),
            bias,
            size: [height, width],
            stride,
            padding,
            inputs,
            outputs,
            depthwise,
        };
        let weights = kernel.order().map(|index| weights[index]).collect();
        Self { weights, ..kernel }
    }

    /// Returns, for each weight in this module's order, its place in burn's order.
    fn order(&self) -> impl Iterator<Item = usize> {
        let area = self.size[0] * self.size[1];
        let (inputs, outputs, depthwise) = (self.inputs, self.outputs, self.depthwise);
        (0..area).flat_map(move |place| {
            let inputs = if depthwise { 1 } else { inputs };
            (0..inputs).flat_map(move |input| {
                (0..outputs).map(move |output| (output * inputs + input) * area + place)
            })
        })
    }

    fn output_size(&self, size: [usize; 2]) -> [usize; 2] {
        super::output_size(size, self.stride)
    }

    fn pointwise(&self) -> bool {
        self.size == [1, 1] && self.stride == [1, 1] && !self.depthwise
    }

    /// Computes the convolution, and what its backward pass needs.
    pub fn forward(&self, input: Maps) -> (Maps, Taken) {
        let size = self.output_size(input.size);
        let mut output = Maps::zeros(input.count, size, self.outputs);
        if let Some(bias) = &self.bias {
            for place in output.values.chunks_exact_mut(self.outputs) {
                place.copy_from_slice(bias);
            }
        }
        let (count, input_size) = (input.count, input.size);
        let values = if self.depthwise {
            self.depthwise_forward(&input, &mut output);
            input.values
        } else {
            let patches = if self.pointwise() {
                input.values
            } else {
                self.patches(&input)
            };
            let rows = output.places();
            product(
                &view(&patches, rows),
                &view(&self.weights, self.weights.len() / self.outputs),
                &mut output.values,
                self.outputs,
                1.0,
            );
            patches
        };
        let taken = Taken {
            values,
            count,
            size: input_size,
        };
        (output, taken)
    }

    /// Computes the weights' gradient in burn's order and, on request, the input's gradient.
    pub fn backward(
        &self,
        taken: &Taken,
        gradient: &Maps,
        input: bool,
    ) -> (Vec<f32>, Option<Maps>) {
        let mut weights = vec![0.0; self.weights.len()];
        let mut back = input.then(|| Maps::zeros(taken.count, taken.size, self.inputs));
        if self.depthwise {
            self.depthwise_backward(taken, gradient, &mut weights, back.as_mut());
        } else {
            let rows = gradient.places();
            let patches = view(&taken.values, rows);
            let gradients = view(&gradient.values, rows);
            product(&patches.t(), &gradients, &mut weights, self.outputs, 0.0);
            if let Some(back) = &mut back {
                let width = self.weights.len() / self.outputs;
                let kernel = view(&self.weights, width);
                if self.pointwise() {
                    product(&gradients, &kernel.t(), &mut back.values, width, 0.0);
                } else {
                    let mut patches = vec![0.0; rows * width];
                    product(&gradients, &kernel.t(), &mut patches, width, 0.0);
                    self.scatter(&patches, back);
                }
            }
        }
        let mut ordered = vec![0.0; weights.len()];
        for (place, value) in self.order().zip(weights) {
            ordered[place] = value;
        }
        (ordered, back)
    }

    /// Returns the parts of the kernel that are inside a map: for an output place, (kernel row, input row).
    fn inside(
        &self,
        axis: usize,
        output: usize,
        size: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let start = output * self.stride[axis];
        let padding = self.padding[axis];
        (0..self.size[axis]).filter_map(move |k| {
            let position = (start + k).checked_sub(padding)?;
            (position < size).then_some((k, position))
        })
    }

    /// Copies patches `[places, kh · kw · in]`, with zeros outside the map.
    fn patches(&self, input: &Maps) -> Vec<f32> {
        let size = self.output_size(input.size);
        let width = self.size[0] * self.size[1] * self.inputs;
        let mut patches = vec![0.0; input.count * size[0] * size[1] * width];
        self.each_run(input.count, input.size, |patch, place, length| {
            patches[patch..patch + length].copy_from_slice(&input.values[place..place + length]);
        });
        patches
    }

    /// Adds patches to the places that they were copied from.
    fn scatter(&self, patches: &[f32], maps: &mut Maps) {
        self.each_run(maps.count, maps.size, |patch, place, length| {
            let run = &patches[patch..patch + length];
            for (value, patch) in maps.values[place..place + length].iter_mut().zip(run) {
                *value += patch;
            }
        });
    }

    /// Calls `run(offset in the patches, offset in the maps, length)` for every row of every patch.
    fn each_run(&self, count: usize, from: [usize; 2], mut run: impl FnMut(usize, usize, usize)) {
        let size = self.output_size(from);
        let inputs = self.inputs;
        let row = self.size[1] * inputs;
        let width = self.size[0] * row;
        let columns: Vec<Option<(usize, usize, usize)>> = (0..size[1])
            .map(|column| {
                let mut inside = self.inside(1, column, from[1]);
                let (first, position) = inside.next()?;
                Some((
                    first * inputs,
                    position * inputs,
                    (1 + inside.count()) * inputs,
                ))
            })
            .collect();
        for map in 0..count {
            for r in 0..size[0] {
                for (kernel, position) in self.inside(0, r, from[0]) {
                    let source = (map * from[0] + position) * from[1] * inputs;
                    for (c, column) in columns.iter().enumerate() {
                        let Some((first, place, length)) = *column else {
                            continue;
                        };
                        let patch =
                            ((map * size[0] + r) * size[1] + c) * width + kernel * row + first;
                        run(patch, source + place, length);
                    }
                }
            }
        }
    }

    fn depthwise_forward(&self, input: &Maps, output: &mut Maps) {
        let channels = self.inputs;
        self.each_tap(input.count, input.size, |place, from, weight| {
            let output = &mut output.values[place..place + channels];
            let input = &input.values[from..from + channels];
            let weights = &self.weights[weight..weight + channels];
            for ((output, input), weight) in output.iter_mut().zip(input).zip(weights) {
                *output += input * weight;
            }
        });
    }

    fn depthwise_backward(
        &self,
        taken: &Taken,
        gradient: &Maps,
        weights: &mut [f32],
        back: Option<&mut Maps>,
    ) {
        let channels = self.inputs;
        self.each_tap(taken.count, taken.size, |place, from, weight| {
            let gradient = &gradient.values[place..place + channels];
            let input = &taken.values[from..from + channels];
            let weights = &mut weights[weight..weight + channels];
            for ((weight, gradient), input) in weights.iter_mut().zip(gradient).zip(input) {
                *weight += gradient * input;
            }
        });
        let Some(back) = back else { return };
        self.each_tap(taken.count, taken.size, |place, from, weight| {
            let gradient = &gradient.values[place..place + channels];
            let back = &mut back.values[from..from + channels];
            let weights = &self.weights[weight..weight + channels];
            for ((back, gradient), weight) in back.iter_mut().zip(gradient).zip(weights) {
                *back += gradient * weight;
            }
        });
    }

    /// Calls `tap(offset of an output place, of the input place, of the weights)` for every tap.
    fn each_tap(&self, count: usize, from: [usize; 2], mut tap: impl FnMut(usize, usize, usize)) {
        let size = self.output_size(from);
        let channels = self.inputs;
        let columns: Vec<Vec<(usize, usize)>> = (0..size[1])
            .map(|column| self.inside(1, column, from[1]).collect())
            .collect();
        for map in 0..count {
            for r in 0..size[0] {
                for (kernel, row) in self.inside(0, r, from[0]) {
                    let source = (map * from[0] + row) * from[1];
                    let target = (map * size[0] + r) * size[1];
                    for (c, column) in columns.iter().enumerate() {
                        for (k, position) in column {
                            tap(
                                (target + c) * channels,
                                (source + position) * channels,
                                (kernel * self.size[1] + k) * channels,
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Views values as a matrix with this many rows.
pub(super) fn view(values: &[f32], rows: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, values.len() / rows), values)
        .unwrap_or_else(|error| unreachable!("a matrix of whole rows: {error}"))
}

/// Computes `output` [rows of a, columns] = a · b + `keep` · `output`.
pub(super) fn product(
    a: &ArrayView2<'_, f32>,
    b: &ArrayView2<'_, f32>,
    output: &mut [f32],
    columns: usize,
    keep: f32,
) {
    let rows = a.nrows();
    let mut output = ArrayViewMut2::from_shape((rows, columns), output)
        .unwrap_or_else(|error| unreachable!("a product's shape: {error}"));
    general_mat_mul(1.0, a, b, keep, &mut output);
}
