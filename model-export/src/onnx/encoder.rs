//! `encoder.onnx`: `segments` [N, 1, 32, 129] to `features` [N, C]; with a codebook also `codes` [N, P]
//! and `distance` `[N]`.

use super::error::{OnnxError, check, check_linear, check_shape};
use super::graph::{Attribute, Dim, Element, Graph, Value};
use super::weights::{Conv2dWeights, EncoderLayer, EncoderWeights, VqEncoderWeights};

/// Frames and bins of a segment.
const SEGMENT: [usize; 2] = [32, 129];
/// Largest number of runs in the search for a code. With 256 codes, 8 is the fastest of 8, 16 and 32.
const MOST_RUNS: usize = 8;

/// Writes the encoder's graph.
///
/// Input: `segments` f32 [N, 1, 32, 129]. Outputs: `features` f32 [N, C] = ReLU(R_f · W + b) with
/// R_f = R_d ‖ R_l; with a codebook also `codes` i64 [N, P], the nearest code (eq. 1) of each of the
/// P = h · w positions, row by row, and `distance` f32 `[N]`, the squared distance to it (summed over
/// the code's D values), averaged over the positions.
///
/// # Errors
/// If a weight's shape does not fit its input, or a network's output has the wrong form.
pub fn encoder(encoder: &EncoderWeights) -> Result<Vec<u8>, OnnxError> {
    let mut graph = Graph::new("encoder");
    let batch = Dim::Named("N");
    let input_dims = [
        batch,
        Dim::Fixed(1),
        Dim::Fixed(SEGMENT[0]),
        Dim::Fixed(SEGMENT[1]),
    ];
    let segments = graph.input("segments", Element::F32, &input_dims);

    let (deep, size) = layers(&mut graph, "cnn", &encoder.cnn, &segments)?;
    let Size::Flat(deep_size) = size else {
        return Err(OnnxError::Layer {
            layer: "cnn".into(),
            reason: "must end flat".into(),
        });
    };
    let quantised = match &encoder.vq {
        Some(vq) => Some(quantise(&mut graph, vq, &segments)?),
        None => None,
    };
    let latent_size = quantised.as_ref().map_or(0, |q| q.positions * q.width);
    let width = encoder.fusion.bias.len();
    check_linear("fusion", &encoder.fusion, deep_size + latent_size, width)?;

    let (deep_rows, latent_rows) = encoder.fusion.weight.data.split_at(deep_size * width);
    let weight = graph.floats(&[deep_size, width], deep_rows);
    let bias = graph.floats(&[width], &encoder.fusion.bias);
    let mut fused = graph.node("Gemm", &[&deep, &weight, &bias], []);
    if let Some(quantised) = &quantised {
        // A second product is added to the first instead of a concatenation. The map stays channels last, as
        // the search returns it: the rows of the weight are reordered, not the data.
        let rows = channels_last(latent_rows, quantised, width);
        let weight = graph.floats(&[latent_size, width], &rows);
        let flat = graph.reshape(&quantised.vectors, &[-1, latent_size as i64]);
        fused = graph.node("Gemm", &[&flat, &weight, &fused], []);
    }
    let features = graph.node("Relu", &[&fused], []);
    graph.output(
        &features,
        "features",
        Element::F32,
        &[batch, Dim::Fixed(width)],
    );
    if let Some(quantised) = &quantised {
        let dims = [batch, Dim::Fixed(quantised.positions)];
        graph.output(&quantised.codes, "codes", Element::I64, &dims);
        graph.output(&quantised.distance, "distance", Element::F32, &[batch]);
    }
    Ok(graph.finish())
}

/// The shape of a value without its batch axis.
#[derive(Clone, Copy, Debug)]
enum Size {
    Map { channels: usize, size: [usize; 2] },
    Flat(usize),
}

/// Appends `stack` to the graph; returns the result and its size.
fn layers(
    graph: &mut Graph,
    name: &str,
    stack: &[EncoderLayer],
    segments: &Value,
) -> Result<(Value, Size), OnnxError> {
    let mut value = segments.clone();
    let mut size = Size::Map {
        channels: 1,
        size: SEGMENT,
    };
    for (index, layer) in stack.iter().enumerate() {
        let name = format!("{name}.{index}");
        (value, size) = match (layer, size) {
            (EncoderLayer::Conv2d(conv), Size::Map { channels, size }) => {
                convolution(graph, &name, conv, &value, channels, size)?
            }
            (EncoderLayer::Relu, size) => (graph.node("Relu", &[&value], []), size),
            (EncoderLayer::MaxPool { kernel, stride }, Size::Map { channels, size }) => {
                let size = windows(&name, size, [0; 4], *kernel, *stride)?;
                let attributes = [ints("kernel_shape", kernel), ints("strides", stride)];
                (
                    graph.node("MaxPool", &[&value], attributes),
                    Size::Map { channels, size },
                )
            }
            (EncoderLayer::Flatten, Size::Map { channels, size }) => {
                let flat = graph.node("Flatten", &[&value], [Attribute::Int("axis", 1)]);
                (flat, Size::Flat(channels * size[0] * size[1]))
            }
            (EncoderLayer::Linear(linear), Size::Flat(inputs)) => {
                let outputs = linear.bias.len();
                check_linear(&name, linear, inputs, outputs)?;
                let weight = graph.floats(&[inputs, outputs], &linear.weight.data);
                let bias = graph.floats(&[outputs], &linear.bias);
                (
                    graph.node("Gemm", &[&value, &weight, &bias], []),
                    Size::Flat(outputs),
                )
            }
            (
                EncoderLayer::Conv2d(_) | EncoderLayer::MaxPool { .. } | EncoderLayer::Flatten,
                Size::Flat(_),
            ) => {
                let reason = "needs a map, but its input is flat".into();
                return Err(OnnxError::Layer {
                    layer: name,
                    reason,
                });
            }
            (EncoderLayer::Linear(_), Size::Map { .. }) => {
                let reason = "needs a flat input, but its input is a map".into();
                return Err(OnnxError::Layer {
                    layer: name,
                    reason,
                });
            }
        };
    }
    Ok((value, size))
}

fn convolution(
    graph: &mut Graph,
    name: &str,
    conv: &Conv2dWeights,
    value: &Value,
    channels: usize,
    size: [usize; 2],
) -> Result<(Value, Size), OnnxError> {
    let &[outputs, _, height, width] = conv.weight.shape.as_slice() else {
        let reason = format!(
            "weight has shape {:?}, expected four axes",
            conv.weight.shape
        );
        return Err(OnnxError::Layer {
            layer: name.into(),
            reason,
        });
    };
    if conv.groups == 0
        || !channels.is_multiple_of(conv.groups)
        || !outputs.is_multiple_of(conv.groups)
    {
        let reason = format!(
            "{channels} input and {outputs} output channels do not divide into {} groups",
            conv.groups
        );
        return Err(OnnxError::Layer {
            layer: name.into(),
            reason,
        });
    }
    let expected = [outputs, channels / conv.groups, height, width];
    check(&format!("{name}.weight"), &conv.weight, &expected)?;
    check_shape(&format!("{name}.bias"), &[conv.bias.len()], &[outputs])?;
    let size = windows(name, size, conv.padding, [height, width], conv.stride)?;

    let weight = graph.floats(&expected, &conv.weight.data);
    let bias = graph.floats(&[outputs], &conv.bias);
    let attributes = [
        ints("kernel_shape", &[height, width]),
        ints("strides", &conv.stride),
        ints("pads", &conv.padding),
        Attribute::Int("group", conv.groups as i64),
    ];
    let result = graph.node("Conv", &[value, &weight, &bias], attributes);
    Ok((
        result,
        Size::Map {
            channels: outputs,
            size,
        },
    ))
}

/// Returns how many windows fit, down and right.
fn windows(
    name: &str,
    size: [usize; 2],
    [top, left, bottom, right]: [usize; 4],
    kernel: [usize; 2],
    stride: [usize; 2],
) -> Result<[usize; 2], OnnxError> {
    let padded = [size[0] + top + bottom, size[1] + left + right];
    let fits = (0..2).all(|axis| (1..=padded[axis]).contains(&kernel[axis]) && stride[axis] > 0);
    if !fits {
        let reason =
            format!("kernel {kernel:?} with stride {stride:?} does not fit a map of {padded:?}");
        return Err(OnnxError::Layer {
            layer: name.into(),
            reason,
        });
    }
    Ok([
        (padded[0] - kernel[0]) / stride[0] + 1,
        (padded[1] - kernel[1]) / stride[1] + 1,
    ])
}

/// The result of the search in the codebook.
struct Quantised {
    /// The chosen codes' vectors [N, P, D].
    vectors: Value,
    /// [N, P].
    codes: Value,
    /// `[N]`.
    distance: Value,
    /// P.
    positions: usize,
    /// D.
    width: usize,
}

/// Appends eq. 1: the nearest code of each vector of the encoder's map.
fn quantise(
    graph: &mut Graph,
    vq: &VqEncoderWeights,
    segments: &Value,
) -> Result<Quantised, OnnxError> {
    let (map, size) = layers(graph, "vq", &vq.layers, segments)?;
    let Size::Map {
        channels: width,
        size,
    } = size
    else {
        return Err(OnnxError::Layer {
            layer: "vq".into(),
            reason: "must end in a map".into(),
        });
    };
    let positions = size[0] * size[1];
    let codes = vq.codebook.shape.first().copied().unwrap_or(0);
    check("vq.codebook", &vq.codebook, &[codes, width])?;
    if codes == 0 {
        let reason = "the codebook is empty".into();
        return Err(OnnxError::Layer {
            layer: "vq".into(),
            reason,
        });
    }

    let last = graph.transpose(&map, &[0, 2, 3, 1]);
    let vectors = graph.reshape(&last, &[-1, width as i64]);
    // |z − e|² = |z|² − 2 z·e + |e|², and |z|² is the same for every code.
    let mut products = vec![0.0; width * codes];
    let mut squares = vec![0.0; codes];
    for (code, vector) in vq.codebook.data.chunks_exact(width).enumerate() {
        for (axis, &value) in vector.iter().enumerate() {
            products[axis * codes + code] = -2.0 * value;
        }
        squares[code] = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() as f32;
    }
    let products = graph.floats(&[width, codes], &products);
    let squares = graph.floats(&[codes], &squares);
    let distances = graph.node("Gemm", &[&vectors, &products, &squares], []);
    let nearest = smallest(graph, &distances, codes);
    let nearest = graph.reshape(&nearest, &[-1, positions as i64]);
    let codebook = graph.floats(&[codes, width], &vq.codebook.data);
    let chosen = graph.node(
        "Gather",
        &[&codebook, &nearest],
        [Attribute::Int("axis", 0)],
    );

    // Computed from the difference, because the search's products cancel if a code is close.
    let vectors = graph.reshape(&vectors, &[-1, positions as i64, width as i64]);
    let difference = graph.node("Sub", &[&vectors, &chosen], []);
    let axes = graph.ints(&[1, 2]);
    let sum = graph.node(
        "ReduceSumSquare",
        &[&difference, &axes],
        [Attribute::Int("keepdims", 0)],
    );
    let share = graph.floats(&[1], &[1.0 / positions as f32]);
    let distance = graph.node("Mul", &[&sum, &share], []);
    Ok(Quantised {
        vectors: chosen,
        codes: nearest,
        distance,
        positions,
        width,
    })
}

/// Appends the index of the smallest of each row's `count` values [M, count]; the first of equal ones.
///
/// ArgMin over the whole row is sequential and would take a quarter of the encoder's time. Instead the row is
/// divided into a few runs, and their minima are computed in parallel. Two ArgMin then find the run and the place
/// in it.
fn smallest(graph: &mut Graph, values: &Value, count: usize) -> Value {
    let runs = (1..=MOST_RUNS)
        .rev()
        .find(|&runs| count.is_multiple_of(runs));
    let runs = runs.unwrap_or(1);
    let length = (count / runs) as i64;
    let in_runs = graph.reshape(values, &[-1, runs as i64, length]);
    let axis = graph.ints(&[2]);
    let keep = |keep| Attribute::Int("keepdims", keep);
    let minima = graph.node("ReduceMin", &[&in_runs, &axis], [keep(0)]);
    let first = |graph: &mut Graph, values| {
        graph.node("ArgMin", &[values], [Attribute::Int("axis", 1), keep(1)])
    };
    let run = first(graph, &minima);
    let chosen = graph.node(
        "GatherND",
        &[&in_runs, &run],
        [Attribute::Int("batch_dims", 1)],
    );
    let place = first(graph, &chosen);
    let length = graph.int(length);
    let before = graph.node("Mul", &[&run, &length], []);
    graph.node("Add", &[&before, &place], [])
}

/// Reorders rows from [D, P] to [P, D].
fn channels_last(rows: &[f32], quantised: &Quantised, outputs: usize) -> Vec<f32> {
    let Quantised {
        positions, width, ..
    } = *quantised;
    let mut reordered = Vec::with_capacity(rows.len());
    for position in 0..positions {
        for axis in 0..width {
            let row = axis * positions + position;
            reordered.extend_from_slice(&rows[row * outputs..][..outputs]);
        }
    }
    reordered
}

fn ints(name: &'static str, values: &[usize]) -> Attribute {
    Attribute::Ints(name, values.iter().map(|&value| value as i64).collect())
}
