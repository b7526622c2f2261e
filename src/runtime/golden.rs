//! Proves, on the device that will serve, that the graphs compute what the trainer computed.
//!
//! The golden utterance goes through the encoder, then as one chunk, as two chunks with history
//! carried between them, and step by step; all must give the golden evidence.

use super::{Device, History, Instance, RuntimeError, SequenceBatch, Sizes, StepBatch};
use crate::bundle::{Bundle, Golden};

/// Largest difference that a server allows, relative to the largest golden value; a trainer, on the
/// processor that made the golden vectors, asks for less.
pub const TOLERANCE: f32 = 1e-3;

/// A result that is not the golden one.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Mismatch {
    /// Values differ by more than is allowed.
    #[error(
        "`{what}` differs from this runtime's by {difference:.1e} of the largest value; \
         {tolerance:.0e} is allowed"
    )]
    Value {
        /// The tensor, and the path it was computed on.
        what: &'static str,
        /// Largest difference over largest golden value.
        difference: f32,
        /// What is allowed.
        tolerance: f32,
    },
    /// A graph gave another number of values.
    #[error("`{what}` has {found} values in this runtime, {expected} in the file")]
    Length {
        /// The tensor, and the path it was computed on.
        what: &'static str,
        /// How many the graph gave.
        found: usize,
        /// How many the file holds.
        expected: usize,
    },
}

/// Runs the golden utterance on every path and compares. Gives the largest difference, relative to
/// the largest golden value of its tensor.
///
/// # Errors
/// [`RuntimeError::Golden`] naming the first tensor that differs by more than `tolerance`, or a
/// failed run.
pub fn verify(
    instance: &mut Instance,
    bundle: &Bundle,
    tolerance: f32,
) -> Result<f32, RuntimeError> {
    let (golden, sizes) = (&bundle.golden, Sizes::of(&bundle.manifest));
    let mut worst: f32 = 0.0;
    let mut hold = |what, found: &[f32], expected: &[f32]| {
        compare(what, found, expected, tolerance).map(|difference| worst = worst.max(difference))
    };
    let encoded = instance.encode(&golden.segments)?;
    hold("features", &encoded.features, &golden.features)?;
    if let Some(distance) = &golden.distance {
        hold("distance", &encoded.distance, distance)?;
    }
    // Codes are compared through the features: a tie between two codes may fall either way.
    for (name, split) in [
        ("logits of one chunk", golden.len()),
        ("logits of two chunks", golden.len().div_ceil(2)),
    ] {
        let (logits, scores) = by_chunks(instance, sizes, golden, split)?;
        hold(name, &logits, &golden.logits)?;
        hold("scores", &scores, &golden.scores)?;
    }
    let (logits, scores) = by_steps(instance, sizes, golden)?;
    hold("logits step by step", &logits, &golden.logits)?;
    hold("scores step by step", &scores, &golden.scores)?;
    Ok(worst)
}

fn by_chunks(
    instance: &mut Instance,
    sizes: Sizes,
    golden: &Golden,
    chunk: usize,
) -> Result<(Vec<f32>, Vec<f32>), RuntimeError> {
    let width = sizes.features;
    let mut history = History::new(sizes);
    let (mut logits, mut scores) = (Vec::new(), Vec::new());
    for features in golden.features.chunks(chunk * width) {
        let steps = features.len() / width;
        let valid = [history.valid()];
        let evidence = instance.sequence(SequenceBatch {
            steps,
            real: &[steps],
            features,
            history: history.values(),
            valid: &valid,
        })?;
        history.extend(&evidence.carried, steps, steps);
        logits.extend(evidence.logits);
        scores.extend(evidence.scores);
    }
    Ok((logits, scores))
}

fn by_steps(
    instance: &mut Instance,
    sizes: Sizes,
    golden: &Golden,
) -> Result<(Vec<f32>, Vec<f32>), RuntimeError> {
    let width = sizes.features;
    let mut history = History::new(sizes);
    let (mut logits, mut scores) = (Vec::new(), Vec::new());
    for features in golden.features.chunks(width) {
        let (earlier, valid) = (history.for_step(), [history.valid()]);
        let evidence = instance.step(StepBatch {
            features,
            history: &earlier,
            valid: &valid,
        })?;
        history.extend(&evidence.carried, 1, 1);
        logits.extend(evidence.logits);
        scores.extend(evidence.scores);
    }
    Ok((logits, scores))
}

fn compare(
    what: &'static str,
    found: &[f32],
    expected: &[f32],
    tolerance: f32,
) -> Result<f32, Mismatch> {
    if found.len() != expected.len() {
        return Err(Mismatch::Length {
            what,
            found: found.len(),
            expected: expected.len(),
        });
    }
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
    let scale = largest(&mut expected.iter().map(|value| value.abs())).max(f32::MIN_POSITIVE);
    let mut differences = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs());
    let difference = match found.iter().all(|value| value.is_finite()) {
        true => largest(&mut differences) / scale,
        false => f32::INFINITY,
    };
    if difference <= tolerance {
        return Ok(difference);
    }
    Err(Mismatch::Value {
        what,
        difference,
        tolerance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_relative_to_the_largest_value() {
        let compare = |found: &[f32], expected: &[f32]| compare("x", found, expected, 1e-3);
        assert_eq!(compare(&[1000.5, 0.0], &[1000.0, 0.0]), Ok(5e-4));
        assert!(compare(&[1.5, 0.0], &[1.0, 0.0]).is_err());
        assert!(compare(&[f32::NAN, 0.0], &[1.0, 0.0]).is_err());
        assert!(compare(&[0.0, f32::NAN, 0.0], &[1.0, 0.0, 0.0]).is_err());
        assert!(compare(&[1.0], &[1.0, 0.0]).is_err());
    }
}
