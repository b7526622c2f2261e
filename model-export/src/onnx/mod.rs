//! ONNX: from a trained network to serialised graphs.
//!
//! - [`extract`] takes plain [`weights`] out of a trained network.
//! - [`encoder()`]: segments to features and, with a codebook, codes and their distance.
//! - [`sequence()`]: chunks of T steps to step evidence. [`step()`]: the same weights for one live step.
//! - `taps`: the graphs of layers over three taps, with `layers`, `sizes`, and weights from `fold`. `recurrent`: the
//!   graphs of layers with a state. All end in `heads`.
//! - `graph` builds a graph, `proto` is the file format, `error` has the checks of weights.
//!
//! The server depends on the names, types and shapes of inputs and outputs. On a CPU the time of these graphs
//! depends on the number of nodes rather than on arithmetic, so weights are folded wherever that saves a node.

mod encoder;
mod error;
pub mod extract;
mod fold;
mod graph;
mod heads;
mod layers;
mod proto;
mod recurrent;
mod sequence;
mod sizes;
mod taps;
pub mod weights;

pub use encoder::encoder;
pub use error::OnnxError;
pub use sequence::{sequence, step};
