//! The models in f64 by plain loops, from the paper's equations: no folding, no batches, no chunks.

use model_export::onnx::weights::{
    Array, CellKind, Conv2dWeights, EncoderLayer, EncoderWeights, LinearWeights, RecurrentWeights,
    SequenceBody, SequenceLayer, SequenceWeights, TacnWeights,
};

/// x · W + b.
pub(crate) fn linear(x: &[f64], linear: &LinearWeights) -> Vec<f64> {
    let mut y = matrix(x, &linear.weight);
    y.iter_mut()
        .zip(&linear.bias)
        .for_each(|(y, &bias)| *y += f64::from(bias));
    y
}

fn matrix(x: &[f64], weight: &Array) -> Vec<f64> {
    let columns = weight.shape[1];
    (0..columns)
        .map(|column| {
            let term = |row: usize| x[row] * f64::from(weight.data[row * columns + column]);
            (0..x.len()).map(term).sum()
        })
        .collect()
}

/// The results of a whole stream, step by step.
pub(crate) struct Evidence {
    /// [T][K].
    pub(crate) logits: Vec<Vec<f64>>,
    /// [T].
    pub(crate) scores: Vec<f64>,
    /// [L][T][C], each layer's inputs.
    pub(crate) layers: Vec<Vec<Vec<f64>>>,
    /// `[S]`, the state after the last step; empty without one.
    pub(crate) state: Vec<f64>,
}

pub(crate) fn sequence(sequence: &SequenceWeights, features: &[Vec<f64>]) -> Evidence {
    let mut x = features.to_vec();
    let (mut layers, mut state) = (Vec::new(), Vec::new());
    match &sequence.body {
        SequenceBody::Taps(taps) => {
            for (index, layer) in taps.layers.iter().enumerate() {
                let y = (0..x.len())
                    .map(|t| one_step(layer, taps.heads, &x, t, 1 << index))
                    .collect();
                layers.push(std::mem::replace(&mut x, y));
            }
        }
        SequenceBody::Recurrent(recurrent) => {
            for layer in &recurrent.layers {
                let mut now = vec![vec![0.0; x[0].len()]; recurrent.cell.states()];
                let y = x
                    .iter()
                    .map(|x| recur(recurrent.cell, layer, x, &mut now))
                    .collect();
                layers.push(std::mem::replace(&mut x, y));
                state.extend(now.concat());
            }
        }
    }
    Evidence {
        logits: x.iter().map(|x| linear(x, &sequence.logits)).collect(),
        scores: x.iter().map(|x| linear(x, &sequence.score)[0]).collect(),
        layers,
        state,
    }
}

/// Computes one step of a recurrent layer: replaces `state` (h, and c of an LSTM) by the next; returns h'.
fn recur(cell: CellKind, layer: &RecurrentWeights, x: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let width = x.len();
    let (from_input, from_state) = (linear(x, &layer.input), linear(&state[0], &layer.state));
    let sigmoid = |value: f64| 1.0 / (1.0 + (-value).exp());
    for channel in 0..width {
        let (a, u) = (
            |gate: usize| from_input[gate * width + channel],
            |gate: usize| from_state[gate * width + channel],
        );
        let open = |gate: usize| sigmoid(a(gate) + u(gate));
        state[0][channel] = match cell {
            CellKind::SimpleRnn => (a(0) + u(0)).tanh(),
            CellKind::Gru => {
                let new = (a(2) + open(1) * u(2)).tanh();
                (1.0 - open(0)) * new + open(0) * state[0][channel]
            }
            CellKind::Lstm => {
                let kept = open(1) * state[1][channel] + open(0) * (a(3) + u(3)).tanh();
                state[1][channel] = kept;
                open(2) * kept.tanh()
            }
        };
    }
    state[0].clone()
}

fn one_step(
    layer: &SequenceLayer,
    heads: usize,
    x: &[Vec<f64>],
    t: usize,
    dilation: usize,
) -> Vec<f64> {
    // Tap i of three is 2 − i dilations back; taps before the start do not exist.
    let real: Vec<usize> = (0..3).filter(|tap| t >= (2 - tap) * dilation).collect();
    let inputs: Vec<&[f64]> = real
        .iter()
        .map(|tap| &x[t - (2 - tap) * dilation][..])
        .collect();
    let (attended, taps, bias) = match layer {
        SequenceLayer::Tacn(layer) => (attend(layer, heads, &inputs), &layer.taps, &layer.bias),
        SequenceLayer::Tcn(layer) => (
            inputs.iter().map(|input| input.to_vec()).collect(),
            &layer.taps,
            &layer.bias,
        ),
    };
    let mut y: Vec<f64> = bias.iter().map(|&bias| f64::from(bias)).collect();
    for (tap, attended) in real.into_iter().zip(&attended) {
        y.iter_mut()
            .zip(matrix(attended, &taps[tap]))
            .for_each(|(y, part)| *y += part);
    }
    x[t].iter().zip(y).map(|(x, y)| x + y.max(0.0)).collect()
}

fn attend(layer: &TacnWeights, heads: usize, inputs: &[&[f64]]) -> Vec<Vec<f64>> {
    let project = |with: &LinearWeights| -> Vec<Vec<f64>> {
        inputs.iter().map(|input| linear(input, with)).collect()
    };
    let (queries, keys, values) = (
        project(&layer.query),
        project(&layer.key),
        project(&layer.value),
    );
    let size = inputs[0].len() / heads;
    queries
        .iter()
        .map(|query| {
            let mut joined = Vec::new();
            for head in 0..heads {
                let span = head * size..(head + 1) * size;
                let score = |key: &Vec<f64>| -> f64 {
                    let products = query[span.clone()].iter().zip(&key[span.clone()]);
                    products.map(|(q, k)| q * k).sum::<f64>() / (size as f64).sqrt()
                };
                let scores: Vec<f64> = keys.iter().map(score).collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let shares: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
                let total: f64 = shares.iter().sum();
                joined.extend(span.map(|channel| {
                    let parts = shares.iter().zip(&values);
                    parts
                        .map(|(share, value)| share / total * value[channel])
                        .sum::<f64>()
                }));
            }
            linear(&joined, &layer.output)
        })
        .collect()
}

/// The result of one segment.
pub(crate) struct Encoded {
    /// [C].
    pub(crate) features: Vec<f64>,
    /// [P].
    pub(crate) codes: Vec<i64>,
    pub(crate) distance: f64,
}

/// A map [channels, height, width]; flat features are [F, 1, 1].
#[derive(Clone)]
struct Map {
    shape: [usize; 3],
    data: Vec<f64>,
}

impl Map {
    fn at(&self, channel: usize, row: usize, column: usize) -> f64 {
        self.data[(channel * self.shape[1] + row) * self.shape[2] + column]
    }

    fn build(shape: [usize; 3], value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let mut data = Vec::new();
        for channel in 0..shape[0] {
            for row in 0..shape[1] {
                data.extend((0..shape[2]).map(|column| value(channel, row, column)));
            }
        }
        Self { shape, data }
    }
}

pub(crate) fn encoder(encoder: &EncoderWeights, segment: &[f32]) -> Encoded {
    let segment = Map {
        shape: [1, 32, 129],
        data: segment.iter().map(|&value| f64::from(value)).collect(),
    };
    let mut joined = encoder.cnn.iter().fold(segment.clone(), apply).data;
    let (mut codes, mut distance) = (Vec::new(), 0.0);
    if let Some(vq) = &encoder.vq {
        let map = vq.layers.iter().fold(segment, apply);
        let [width, rows, columns] = map.shape;
        let code = |code: i64, channel: usize| {
            f64::from(vq.codebook.data[code as usize * width + channel])
        };
        for position in 0..rows * columns {
            let (row, column) = (position / columns, position % columns);
            let away = |candidate: i64| -> f64 {
                let term =
                    |channel| (map.at(channel, row, column) - code(candidate, channel)).powi(2);
                (0..width).map(term).sum()
            };
            let candidates = 0..vq.codebook.shape[0] as i64;
            let nearest = candidates
                .min_by(|&a, &b| away(a).total_cmp(&away(b)))
                .unwrap();
            codes.push(nearest);
            distance += away(nearest) / (rows * columns) as f64;
        }
        let quantised = Map::build(map.shape, |channel, row, column| {
            code(codes[row * columns + column], channel)
        });
        joined.extend(quantised.data);
    }
    let features = linear(&joined, &encoder.fusion)
        .into_iter()
        .map(|y| y.max(0.0))
        .collect();
    Encoded {
        features,
        codes,
        distance,
    }
}

fn apply(map: Map, layer: &EncoderLayer) -> Map {
    match layer {
        EncoderLayer::Conv2d(conv) => convolve(&map, conv),
        EncoderLayer::Relu => Map {
            data: map.data.iter().map(|x| x.max(0.0)).collect(),
            ..map
        },
        EncoderLayer::MaxPool { kernel, stride } => {
            let [channels, height, width] = map.shape;
            let size = [
                (height - kernel[0]) / stride[0] + 1,
                (width - kernel[1]) / stride[1] + 1,
            ];
            Map::build([channels, size[0], size[1]], |channel, row, column| {
                let (top, left) = (row * stride[0], column * stride[1]);
                (0..kernel[0])
                    .flat_map(|i| (0..kernel[1]).map(move |j| (i, j)))
                    .map(|(i, j)| map.at(channel, top + i, left + j))
                    .fold(f64::NEG_INFINITY, f64::max)
            })
        }
        EncoderLayer::Flatten => Map {
            shape: [map.data.len(), 1, 1],
            ..map
        },
        EncoderLayer::Linear(with) => {
            let data = linear(&map.data, with);
            Map {
                shape: [data.len(), 1, 1],
                data,
            }
        }
    }
}

fn convolve(map: &Map, conv: &Conv2dWeights) -> Map {
    let [channels, height, width] = map.shape;
    let &[outputs, inputs, kernel_rows, kernel_columns] = conv.weight.shape.as_slice() else {
        panic!("four axes")
    };
    assert_eq!(channels, inputs * conv.groups);
    let [top, left, bottom, right] = conv.padding;
    let size = [
        (height + top + bottom - kernel_rows) / conv.stride[0] + 1,
        (width + left + right - kernel_columns) / conv.stride[1] + 1,
    ];
    Map::build([outputs, size[0], size[1]], |output, row, column| {
        let group = output / (outputs / conv.groups);
        let mut sum = f64::from(conv.bias[output]);
        for input in 0..inputs {
            for i in 0..kernel_rows {
                for j in 0..kernel_columns {
                    let (y, x) = (row * conv.stride[0] + i, column * conv.stride[1] + j);
                    if (top..top + height).contains(&y) && (left..left + width).contains(&x) {
                        let index =
                            ((output * inputs + input) * kernel_rows + i) * kernel_columns + j;
                        let weight = f64::from(conv.weight.data[index]);
                        sum += weight * map.at(group * inputs + input, y - top, x - left);
                    }
                }
            }
        }
        sum
    })
}
