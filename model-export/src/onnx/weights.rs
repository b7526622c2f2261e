//! A trained model as plain numbers, independent of the training framework.
//!
//! [`crate::onnx`] writes graphs from it. Batch normalisations are folded in, and there is no dropout. All
//! arrays are row-major.

/// Values with a shape, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The values; as many as the product of the shape.
    pub data: Vec<f32>,
}

/// The number of values does not fit the shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{values} values do not fit the shape {shape:?}")]
pub struct ShapeError {
    /// The requested shape.
    pub shape: Vec<usize>,
    /// The number of values.
    pub values: usize,
}

impl Array {
    /// Creates an array.
    ///
    /// # Errors
    /// If the number of values does not fit the shape.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, ShapeError> {
        let shape = shape.into();
        if shape.iter().product::<usize>() == data.len() {
            Ok(Self { shape, data })
        } else {
            Err(ShapeError {
                shape,
                values: data.len(),
            })
        }
    }
}

/// A convolution over the frames and bins of a map [N, in, height, width].
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2dWeights {
    /// [out, in / groups, kernel height, kernel width].
    pub weight: Array,
    /// `[out]`.
    pub bias: Vec<f32>,
    /// Down and right.
    pub stride: [usize; 2],
    /// Zeros at the top, left, bottom, right.
    pub padding: [usize; 4],
    /// Number of groups; an output depends only on the inputs of its group.
    pub groups: usize,
}

/// x · weight + bias.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearWeights {
    /// [in, out].
    pub weight: Array,
    /// `[out]`.
    pub bias: Vec<f32>,
}

/// One layer of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub enum EncoderLayer {
    /// A map to a map.
    Conv2d(Conv2dWeights),
    /// max(x, 0).
    Relu,
    /// The largest value of each window, no padding.
    MaxPool {
        /// Window, height and width.
        kernel: [usize; 2],
        /// Down and right.
        stride: [usize; 2],
    },
    /// [N, channels, height, width] to [N, channels · height · width].
    Flatten,
    /// Flat features to flat features.
    Linear(LinearWeights),
}

/// The encoder half of the VQ-VAE with its codebook.
#[derive(Clone, Debug, PartialEq)]
pub struct VqEncoderWeights {
    /// [N, 1, 32, 129] to [N, D, h, w].
    pub layers: Vec<EncoderLayer>,
    /// The codes e_k of eq. 1: [K, D].
    pub codebook: Array,
}

/// A segment [N, 1, 32, 129] to x_t [N, C].
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderWeights {
    /// Segments to R_d [N, F].
    pub cnn: Vec<EncoderLayer>,
    /// Segments to R_l [N, D · h · w], flattened as [N, D, h, w]; without it the system uses R_d alone.
    pub vq: Option<VqEncoderWeights>,
    /// R_f = R_d ‖ R_l to C, ReLU after it: weight [F + D · h · w, C].
    pub fusion: LinearWeights,
}

/// One layer of the TACN: attention among three taps (eq. 4–7), dilated convolution (eq. 3).
#[derive(Clone, Debug, PartialEq)]
pub struct TacnWeights {
    /// Q = S · W_q, all heads side by side: [C, C].
    pub query: LinearWeights,
    /// K: [C, C].
    pub key: LinearWeights,
    /// V: [C, C].
    pub value: LinearWeights,
    /// The joined heads to Ŝ (eq. 6): [C, C].
    pub output: LinearWeights,
    /// The convolution over the attended taps, each [C in, C out]: for t − 2d, t − d and t.
    pub taps: [Array; 3],
    /// Its bias `[C]`.
    pub bias: Vec<f32>,
}

/// One layer of the TCN: the dilated convolution alone (eq. 3).
#[derive(Clone, Debug, PartialEq)]
pub struct TcnWeights {
    /// Each [C in, C out]: for t − 2d, t − d and t.
    pub taps: [Array; 3],
    /// `[C]`.
    pub bias: Vec<f32>,
}

/// One layer of a causal sequence model over three taps.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a model has few of them, and their weights are on the heap"
)]
pub enum SequenceLayer {
    /// With attention.
    Tacn(TacnWeights),
    /// Without.
    Tcn(TcnWeights),
}

/// A sequence model's layers over three taps; layer n has the dilation d = 2ⁿ.
#[derive(Clone, Debug, PartialEq)]
pub struct TapLayers {
    /// Attention heads; C is a multiple of it.
    pub heads: usize,
    /// First to last.
    pub layers: Vec<SequenceLayer>,
}

/// What a recurrent layer computes from its input x and its state h.
///
/// Each gate g has a_g = x · W_g + b_g of the input and u_g = h · U_g + v_g of the state. σ is the
/// logistic function, ∘ the elementwise product. The output is h': there is no residual connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// One gate: h' = tanh(a + u).
    SimpleRnn,
    /// Gates z (update), r (reset), n (new), in this order: z = σ(a_z + u_z), r = σ(a_r + u_r),
    /// n = tanh(a_n + r ∘ u_n), h' = (1 − z) ∘ n + z ∘ h. The reset comes after the product.
    Gru,
    /// Gates i (input), f (forget), o (output), g (cell), in this order: σ of the first three,
    /// g = tanh(a_g + u_g), c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c').
    Lstm,
}

impl CellKind {
    /// Returns the number of gates G of a layer.
    #[must_use]
    pub fn gates(self) -> usize {
        match self {
            Self::SimpleRnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// Returns the number of vectors of width C in a layer's state: h, and c for an LSTM.
    #[must_use]
    pub fn states(self) -> usize {
        match self {
            Self::SimpleRnn | Self::Gru => 1,
            Self::Lstm => 2,
        }
    }
}

/// One recurrent layer: the gates side by side, in the order of its [`CellKind`].
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentWeights {
    /// W and b, applied to the input: [C, G · C].
    pub input: LinearWeights,
    /// U and v, applied to the state: [C, G · C].
    pub state: LinearWeights,
}

/// A sequence model's recurrent layers, all of width C.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentLayers {
    /// What each layer computes.
    pub cell: CellKind,
    /// First to last.
    pub layers: Vec<RecurrentWeights>,
}

/// How a step depends on earlier steps.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceBody {
    /// Through earlier inputs of each layer (TACN, TCN).
    Taps(TapLayers),
    /// Through a state that each step changes (SimpleRNN, GRU, LSTM).
    Recurrent(RecurrentLayers),
}

/// A sequence model: x_0 … x_t to the step evidence of t.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceWeights {
    /// x_0 … x_t to y_t `[C]`.
    pub body: SequenceBody,
    /// y_t to the classes' logits: [C, K].
    pub logits: LinearWeights,
    /// y_t to its attention score: [C, 1].
    pub score: LinearWeights,
}
