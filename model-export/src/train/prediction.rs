//! A model's output on one utterance, beside the true label.

use serde::{Deserialize, Serialize};

use crate::evaluate::metrics::{Confusion, argmax};

/// The model's output on one utterance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Path of the file, with the span if the utterance is a part of it.
    pub path: String,
    /// Its corpus.
    pub corpus: String,
    /// Its speaker.
    pub speaker: String,
    /// The true class, an index in the labels.
    pub label: usize,
    /// Pooled logits `[K]`, before any temperature.
    pub logits: Vec<f32>,
}

/// Counts predictions by true and predicted class.
#[must_use]
pub fn confusion(predictions: &[Prediction]) -> Confusion {
    let classes = predictions.first().map_or(0, |p| p.logits.len());
    Confusion::of(
        classes,
        predictions.iter().map(|p| (p.label, argmax(&p.logits))),
    )
}

/// Returns the unweighted accuracy (UA, the mean recall).
#[must_use]
pub fn unweighted_accuracy(predictions: &[Prediction]) -> f64 {
    confusion(predictions).unweighted_accuracy()
}
