//! Random weights and inputs of given sizes.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use model_export::onnx::weights::{
    Array, CellKind, Conv2dWeights, LinearWeights, RecurrentLayers, RecurrentWeights, SequenceBody,
    SequenceLayer, SequenceWeights, TacnWeights, TapLayers, TcnWeights,
};

pub(crate) struct Random(StdRng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Uniform in ±`scale`.
    pub(crate) fn values(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count)
            .map(|_| self.0.random_range(-scale..scale))
            .collect()
    }

    pub(crate) fn array(&mut self, shape: &[usize], scale: f32) -> Array {
        Array::new(shape, self.values(shape.iter().product(), scale)).unwrap()
    }

    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> LinearWeights {
        let weight = self.array(&[inputs, outputs], 1.7 / (inputs as f32).sqrt());
        LinearWeights {
            weight,
            bias: self.values(outputs, 0.5),
        }
    }

    pub(crate) fn conv(
        &mut self,
        shape: [usize; 4],
        stride: [usize; 2],
        padding: [usize; 4],
        groups: usize,
    ) -> Conv2dWeights {
        let fan_in = (shape[1] * shape[2] * shape[3]) as f32;
        let weight = self.array(&shape, 1.7 / fan_in.sqrt());
        Conv2dWeights {
            weight,
            bias: self.values(shape[0], 0.5),
            stride,
            padding,
            groups,
        }
    }

    /// `attention(n)` is whether layer n has it.
    pub(crate) fn sequence(
        &mut self,
        depth: usize,
        heads: usize,
        width: usize,
        classes: usize,
        attention: impl Fn(usize) -> bool,
    ) -> SequenceWeights {
        let layers = (0..depth)
            .map(|layer| {
                let scale = 1.0 / (width as f32).sqrt();
                let taps = [(); 3].map(|()| self.array(&[width, width], scale));
                let bias = self.values(width, 0.5);
                if attention(layer) {
                    SequenceLayer::Tacn(TacnWeights {
                        query: self.linear(width, width),
                        key: self.linear(width, width),
                        value: self.linear(width, width),
                        output: self.linear(width, width),
                        taps,
                        bias,
                    })
                } else {
                    SequenceLayer::Tcn(TcnWeights { taps, bias })
                }
            })
            .collect();
        self.headed(
            SequenceBody::Taps(TapLayers { heads, layers }),
            width,
            classes,
        )
    }

    pub(crate) fn recurrent(
        &mut self,
        cell: CellKind,
        depth: usize,
        width: usize,
        classes: usize,
    ) -> SequenceWeights {
        let columns = cell.gates() * width;
        let layers = (0..depth)
            .map(|_| RecurrentWeights {
                input: self.linear(width, columns),
                state: self.linear(width, columns),
            })
            .collect();
        self.headed(
            SequenceBody::Recurrent(RecurrentLayers { cell, layers }),
            width,
            classes,
        )
    }

    fn headed(&mut self, body: SequenceBody, width: usize, classes: usize) -> SequenceWeights {
        SequenceWeights {
            body,
            logits: self.linear(width, classes),
            score: self.linear(width, 1),
        }
    }
}
