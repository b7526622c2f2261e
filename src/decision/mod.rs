//! StepTime evidence to predictions of spans: pure arithmetic, no model, no clock.
//!
//! The sequence gives each step t a vector of K logits ℓ_t and one attention score a_t. A span's
//! prediction is softmax(Σ softmax(a)_t · ℓ_t / temperature) over its steps (design, section 3). It
//! is linear in the evidence, so any span of what was heard is judged without another run.

mod evidence;
mod prediction;
mod timeline;

pub use evidence::Evidence;
pub use prediction::{Abstention, Prediction, PredictionRule};
pub use timeline::{SHORTEST_WINDOW, Span, SpanClassifier, StepTime, StepTimes, Turn};
