//! Extracts plain weights from a trained network: normalisations are folded in, dropout is left out.

use anyhow::{Context, Result, bail, ensure};
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, GateController, Linear, PaddingConfig2d};

use super::weights::{
    Array, CellKind, Conv2dWeights, EncoderLayer, EncoderWeights, LinearWeights, RecurrentLayers,
    RecurrentWeights, SequenceBody, SequenceLayer, SequenceWeights, TacnWeights, TapLayers,
    TcnWeights, VqEncoderWeights,
};
use crate::model::cnn::Stage;
use crate::model::network::Network;
use crate::model::recurrent::{Recurrent, RecurrentCell, RecurrentLayer};
use crate::model::sequence::SequenceNetwork;
use crate::model::tacn::TacnLayer;
use crate::model::values;
use crate::model::vqvae::VqVae;

/// Extracts the encoder: the part that is applied to each segment.
///
/// # Errors
/// If a module was not built by `Network`.
pub fn encoder(network: &Network, vqvae: Option<&VqVae>) -> Result<EncoderWeights> {
    let mut cnn = Vec::new();
    for stage in &network.cnn.stages {
        cnn.extend(folded(stage)?);
    }
    cnn.extend([
        EncoderLayer::Flatten,
        EncoderLayer::Linear(linear(&network.cnn.linear)?),
        EncoderLayer::Relu,
    ]);
    Ok(EncoderWeights {
        cnn,
        vq: vqvae.map(codes).transpose()?,
        fusion: normalised(&network.norm, &network.fusion)?,
    })
}

/// Extracts the sequence model.
///
/// # Errors
/// If the model is bidirectional, or a module was not built by `Network`.
pub fn sequence(network: &Network, heads: usize) -> Result<SequenceWeights> {
    let body = match &network.sequence {
        SequenceNetwork::Taps(taps) => SequenceBody::Taps(TapLayers {
            heads,
            layers: taps.layers.iter().map(layer).collect::<Result<_>>()?,
        }),
        SequenceNetwork::Recurrent(recurrent) => SequenceBody::Recurrent(cells(recurrent)?),
    };
    Ok(SequenceWeights {
        body,
        logits: linear(&network.logits)?,
        score: linear(&network.score)?,
    })
}

/// Folds a stage's normalisation into its last convolution.
fn folded(stage: &Stage) -> Result<Vec<EncoderLayer>> {
    let mut plain: Vec<Conv2dWeights> = stage
        .convolutions
        .iter()
        .map(conv2d)
        .collect::<Result<_>>()?;
    let last = plain.last_mut().context("a stage has no convolution")?;
    let (scales, shifts) = affine(&stage.norm);
    let each = last.weight.data.len() / scales.len();
    for (kernel, scale) in last.weight.data.chunks_exact_mut(each).zip(&scales) {
        kernel.iter_mut().for_each(|weight| *weight *= scale);
    }
    for ((bias, scale), shift) in last.bias.iter_mut().zip(&scales).zip(&shifts) {
        *bias = *bias * scale + shift;
    }
    let mut layers: Vec<EncoderLayer> = plain.into_iter().map(EncoderLayer::Conv2d).collect();
    layers.push(EncoderLayer::Relu);
    if let Some(pool) = &stage.pool {
        layers.push(EncoderLayer::MaxPool {
            kernel: pool.kernel_size,
            stride: pool.stride,
        });
    }
    Ok(layers)
}

/// Folds the normalisation before a linear layer into it.
fn normalised(norm: &BatchNorm, layer: &Linear) -> Result<LinearWeights> {
    let mut plain = linear(layer)?;
    let (scales, shifts) = affine(norm);
    let width = plain.bias.len();
    for ((row, scale), shift) in plain
        .weight
        .data
        .chunks_exact_mut(width)
        .zip(&scales)
        .zip(&shifts)
    {
        for (weight, bias) in row.iter_mut().zip(&mut plain.bias) {
            *bias += shift * *weight;
            *weight *= scale;
        }
    }
    Ok(plain)
}

/// Returns a trained normalisation as x · scale + shift.
fn affine(norm: &BatchNorm) -> (Vec<f32>, Vec<f32>) {
    let mean = values(norm.running_mean.value_sync());
    let variance = values(norm.running_var.value_sync());
    let scales: Vec<f32> = values(norm.gamma.val())
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| gamma / (variance + norm.epsilon as f32).sqrt())
        .collect();
    let shifts = values(norm.beta.val())
        .iter()
        .zip(&mean)
        .zip(&scales)
        .map(|((beta, mean), scale)| beta - mean * scale)
        .collect();
    (scales, shifts)
}

fn codes(vqvae: &VqVae) -> Result<VqEncoderWeights> {
    let mut layers = Vec::new();
    for layer in &vqvae.encoder {
        layers.extend([EncoderLayer::Conv2d(conv2d(layer)?), EncoderLayer::Relu]);
    }
    layers.push(EncoderLayer::Conv2d(conv2d(&vqvae.to_codes)?));
    let codebook = vqvae.quantiser.codes();
    Ok(VqEncoderWeights {
        layers,
        codebook: Array::new(codebook.dims(), values(codebook))?,
    })
}

fn layer(layer: &TacnLayer) -> Result<SequenceLayer> {
    let bias = values(layer.bias.val());
    let width = bias.len();
    let weights = values(layer.taps.val());
    let mut taps = weights
        .chunks_exact(width * width)
        .map(|tap| Array::new([width, width], tap.to_vec()));
    let mut tap =
        || Ok::<_, anyhow::Error>(taps.next().context("a layer has fewer than three taps")??);
    let taps = [tap()?, tap()?, tap()?];
    let Some(attention) = &layer.attention else {
        return Ok(SequenceLayer::Tcn(TcnWeights { taps, bias }));
    };
    let joint = linear(&attention.joint)?;
    let part = |index: usize| {
        let rows = joint.weight.data.chunks_exact(3 * width);
        let weight = rows.flat_map(|row| &row[index * width..][..width]).copied();
        Ok::<_, anyhow::Error>(LinearWeights {
            weight: Array::new([width, width], weight.collect())?,
            bias: joint.bias[index * width..][..width].to_vec(),
        })
    };
    Ok(SequenceLayer::Tacn(TacnWeights {
        query: part(0)?,
        key: part(1)?,
        value: part(2)?,
        output: linear(&attention.output)?,
        taps,
        bias,
    }))
}

/// Joins the gates of each recurrent layer. A causal graph cannot have a second direction.
fn cells(module: &Recurrent) -> Result<RecurrentLayers> {
    let cell = match module.layers.first().map(|layer| &layer.forward) {
        Some(RecurrentCell::Simple(_)) => CellKind::SimpleRnn,
        Some(RecurrentCell::Gru(_)) => CellKind::Gru,
        Some(RecurrentCell::Lstm(_)) => CellKind::Lstm,
        None => bail!("the recurrent model has no layers"),
    };
    let layer = |layer: &RecurrentLayer| {
        ensure!(
            layer.backward.is_none(),
            "a bidirectional model needs the end of each utterance, so it cannot classify a live stream; \
             a bundle needs a causal model: simple-rnn, gru, lstm, tcn, tacn"
        );
        let gates: Vec<&GateController> = match &layer.forward {
            RecurrentCell::Simple(cell) => vec![&cell.gate],
            RecurrentCell::Gru(cell) => vec![&cell.update_gate, &cell.reset_gate, &cell.new_gate],
            RecurrentCell::Lstm(cell) => {
                let forget = cell.forget_gate.as_ref();
                let forget = forget.context("an LSTM has no forget gate")?;
                vec![&cell.input_gate, forget, &cell.output_gate, &cell.cell_gate]
            }
        };
        let share = |part: fn(&GateController) -> &Linear| {
            let gates = gates.iter().map(|gate| linear(part(gate)));
            joined(&gates.collect::<Result<Vec<_>>>()?)
        };
        Ok(RecurrentWeights {
            input: share(|gate| &gate.input_transform)?,
            state: share(|gate| &gate.hidden_transform)?,
        })
    };
    Ok(RecurrentLayers {
        cell,
        layers: module.layers.iter().map(layer).collect::<Result<_>>()?,
    })
}

/// Joins linear layers of the same input.
fn joined(parts: &[LinearWeights]) -> Result<LinearWeights> {
    let bias: Vec<f32> = parts.iter().flat_map(|part| &part.bias).copied().collect();
    let inputs = parts.first().map_or(0, |part| part.weight.shape[0]);
    let rows = (0..inputs).flat_map(|row| {
        parts.iter().flat_map(move |part| {
            let width = part.bias.len();
            &part.weight.data[row * width..][..width]
        })
    });
    Ok(LinearWeights {
        weight: Array::new([inputs, bias.len()], rows.copied().collect())?,
        bias,
    })
}

fn conv2d(layer: &Conv2d) -> Result<Conv2dWeights> {
    let padding = match layer.padding {
        PaddingConfig2d::Explicit(top, left, bottom, right) => [top, left, bottom, right],
        _ => [0; 4],
    };
    let weight = layer.weight.val();
    let outputs = weight.dims()[0];
    Ok(Conv2dWeights {
        weight: Array::new(weight.dims(), values(weight))?,
        bias: match &layer.bias {
            Some(bias) => values(bias.val()),
            None => vec![0.0; outputs],
        },
        stride: layer.stride,
        padding,
        groups: layer.groups,
    })
}

fn linear(layer: &Linear) -> Result<LinearWeights> {
    let weight = layer.weight.val();
    let outputs = weight.dims()[1];
    Ok(LinearWeights {
        weight: Array::new(weight.dims(), values(weight))?,
        bias: match &layer.bias {
            Some(bias) => values(bias.val()),
            None => vec![0.0; outputs],
        },
    })
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{BatchNormConfig, LinearConfig};
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;

    #[test]
    fn a_folded_normalisation_computes_the_same() {
        let device = Device::flex();
        let norm = BatchNormConfig::new(5).init(&device);
        norm.running_mean
            .update(Tensor::from_floats([0.1, -2.0, 3.0, 0.0, 1.0], &device));
        norm.running_var
            .update(Tensor::from_floats([0.5, 2.0, 9.0, 1.0, 0.01], &device));
        let norm = norm.valid();
        let layer = LinearConfig::new(5, 3).init(&device);
        let plain = normalised(&norm, &layer).unwrap();
        let x = Tensor::<2>::random([7, 5], Distribution::Normal(0.0, 2.0), &device);
        let expected = values(layer.forward(norm.forward(x.clone())));
        for (row, expected) in values(x).chunks_exact(5).zip(expected.chunks_exact(3)) {
            for (output, expected) in expected.iter().enumerate() {
                let weights = plain.weight.data.iter().skip(output).step_by(3);
                let sum: f32 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
                let got = sum + plain.bias[output];
                assert!((got - expected).abs() < 1e-4, "{got} against {expected}");
            }
        }
    }
}
