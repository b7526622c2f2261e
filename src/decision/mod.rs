//! Step evidence to predictions of spans. It is arithmetic alone, without a model or a clock.
//!
//! The sequence outputs, for each step t, a vector of K logits ℓ_t and one attention score a_t. The
//! probabilities of a span are softmax(Σ softmax(a)_t · ℓ_t / temperature) over its steps. The sum is linear
//! in the logits, so any span is predicted without another run of the model. Depends on no other module.

mod evidence;
mod prediction;
mod timeline;

pub use evidence::Evidence;
pub use prediction::{Abstention, Prediction, PredictionRule};
pub use timeline::{SHORTEST_WINDOW, Span, SpanClassifier, StepTime, StepTimes, Turn};
