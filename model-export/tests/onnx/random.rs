//! Random weights and inputs of given sizes.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use model_export::weights::{
    Array, Body, Cell, Conv2d, Linear, Recurrent, RecurrentLayer, Sequence, SequenceLayer,
    TacnLayer, Taps, TcnLayer,
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

    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.array(&[inputs, outputs], 1.7 / (inputs as f32).sqrt());
        Linear {
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
    ) -> Conv2d {
        let fan_in = (shape[1] * shape[2] * shape[3]) as f32;
        let weight = self.array(&shape, 1.7 / fan_in.sqrt());
        Conv2d {
            weight,
            bias: self.values(shape[0], 0.5),
            stride,
            padding,
            groups,
        }
    }

    /// `attention(n)` says whether layer n has it.
    pub(crate) fn sequence(
        &mut self,
        depth: usize,
        heads: usize,
        width: usize,
        classes: usize,
        attention: impl Fn(usize) -> bool,
    ) -> Sequence {
        let layers = (0..depth)
            .map(|layer| {
                let scale = 1.0 / (width as f32).sqrt();
                let taps = [(); 3].map(|()| self.array(&[width, width], scale));
                let bias = self.values(width, 0.5);
                if attention(layer) {
                    SequenceLayer::Tacn(TacnLayer {
                        query: self.linear(width, width),
                        key: self.linear(width, width),
                        value: self.linear(width, width),
                        output: self.linear(width, width),
                        taps,
                        bias,
                    })
                } else {
                    SequenceLayer::Tcn(TcnLayer { taps, bias })
                }
            })
            .collect();
        self.headed(Body::Taps(Taps { heads, layers }), width, classes)
    }

    pub(crate) fn recurrent(
        &mut self,
        cell: Cell,
        depth: usize,
        width: usize,
        classes: usize,
    ) -> Sequence {
        let columns = cell.gates() * width;
        let layers = (0..depth)
            .map(|_| RecurrentLayer {
                input: self.linear(width, columns),
                state: self.linear(width, columns),
            })
            .collect();
        self.headed(Body::Recurrent(Recurrent { cell, layers }), width, classes)
    }

    fn headed(&mut self, body: Body, width: usize, classes: usize) -> Sequence {
        Sequence {
            body,
            logits: self.linear(width, classes),
            score: self.linear(width, 1),
        }
    }
}
