//! Checks, on the device that will serve, that the graphs compute what the trainer computed.
//!
//! The golden utterance runs through the encoder. Its features then run through the sequence in three
//! ways: as one chunk, as two chunks with history between them, and step by step. Each must reproduce
//! the golden evidence.

use ndarray::{Array, ArrayView1, ArrayView3, Axis, Dimension};

use super::device::{Device, SequenceBatch, StepBatch, segments_view};
use super::error::{GoldenMismatch, RuntimeError};
use super::history::History;
use super::instance::Instance;
use super::sizes::Sizes;
use crate::bundle::{Bundle, Golden};

/// Largest difference that a server allows, relative to the largest golden value. The trainer uses a
/// smaller tolerance, because it runs on the processor that computed the golden vectors.
pub const TOLERANCE: f32 = 1e-3;

/// Runs the golden utterance in every way and compares the results. Returns the largest difference,
/// relative to the largest golden value of its tensor.
///
/// # Errors
/// [`RuntimeError::Golden`] with the first tensor that differs by more than `tolerance`, or a failed
/// run.
pub fn verify(
    instance: &mut Instance,
    bundle: &Bundle,
    tolerance: f32,
) -> Result<f32, RuntimeError> {
    let (golden, sizes) = (&bundle.golden, Sizes::of(&bundle.manifest));
    let mut worst: f32 = 0.0;
    let mut check = |tensor, found: &[f32], expected: &[f32]| {
        compare(tensor, found, expected, tolerance).map(|difference| worst = worst.max(difference))
    };
    let encoded = instance.encode(segments_view(&golden.segments)?)?;
    check("features", values(&encoded.features), &golden.features)?;
    if let (Some(found), Some(distance)) = (&encoded.distance, &golden.distance) {
        check("distance", values(found), distance)?;
    }
    // Codes are not compared, because rounding decides between two codes at equal distance. The features
    // depend on the codes and are compared.
    for (name, split) in [
        ("logits of one chunk", golden.len()),
        ("logits of two chunks", golden.len().div_ceil(2)),
    ] {
        let (logits, scores) = by_chunks(instance, sizes, golden, split)?;
        check(name, &logits, &golden.logits)?;
        check("scores", &scores, &golden.scores)?;
    }
    let (logits, scores) = by_steps(instance, sizes, golden)?;
    check("logits step by step", &logits, &golden.logits)?;
    check("scores step by step", &scores, &golden.scores)?;
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
            real: &[steps],
            features: ArrayView3::from_shape((1, steps, width), features)?,
            history: ArrayView1::from(history.values()).insert_axis(Axis(0)),
            valid: ArrayView1::from(&valid),
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
            features: ArrayView1::from(features).insert_axis(Axis(0)),
            history: ArrayView1::from(&earlier).insert_axis(Axis(0)),
            valid: ArrayView1::from(&valid),
        })?;
        history.extend(&evidence.carried, 1, 1);
        logits.extend(evidence.logits);
        scores.extend(evidence.scores);
    }
    Ok((logits, scores))
}

/// Returns the values of an array that a run returned, row after row.
fn values<D: Dimension>(array: &Array<f32, D>) -> &[f32] {
    array.as_slice().unwrap_or_default()
}

fn compare(
    tensor: &'static str,
    found: &[f32],
    expected: &[f32],
    tolerance: f32,
) -> Result<f32, GoldenMismatch> {
    if found.len() != expected.len() {
        return Err(GoldenMismatch::Length {
            tensor,
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
    let difference = if found.iter().all(|value| value.is_finite()) {
        largest(&mut differences) / scale
    } else {
        f32::INFINITY
    };
    if difference <= tolerance {
        return Ok(difference);
    }
    Err(GoldenMismatch::Value {
        tensor,
        difference,
        tolerance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_relative_to_the_largest_value() {
        let compare = |found: &[f32], expected: &[f32]| compare("x", found, expected, 1e-3);
        assert_eq!(compare(&[1000.5, 0.0], &[1000.0, 0.0]), Ok(5e-4));
        assert!(compare(&[1.5, 0.0], &[1.0, 0.0]).is_err());
        assert!(compare(&[f32::NAN, 0.0], &[1.0, 0.0]).is_err());
        assert!(compare(&[0.0, f32::NAN, 0.0], &[1.0, 0.0, 0.0]).is_err());
        assert!(compare(&[1.0], &[1.0, 0.0]).is_err());
    }
}
