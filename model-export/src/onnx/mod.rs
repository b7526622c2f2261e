//! Models to ONNX: plain weights in, serialised graphs out.
//!
//! - [`encoder()`]: segments to features and, with a codebook, codes and novelty.
//! - [`sequence()`]: chunks of T steps to step evidence; [`step()`]: the same weights, one live step.
//! - `taps`: both for layers that see three taps; `layers` is what the two share, of weights that
//!   `fold` multiplied out. `recurrent`: layers with a state, by ONNX's operators.
//! - `graph` builds, `proto` is the file format.
//!
//! Names, types and shapes of inputs and outputs are the server's contract (design, section 3). On a
//! CPU these graphs cost nodes rather than arithmetic, so weights are folded wherever that saves a node.

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
