//! Compares exported graphs in the real ONNX Runtime with plain loops in f64.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bundle;
mod encoder;
mod random;
mod recurrent;
mod reference;
mod runtime;
mod stream;
mod taps;

/// Largest difference, as a share of the largest value (or of 1).
fn difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|value| value.is_finite()), "not finite");
    let largest = expected
        .iter()
        .fold(1.0, |largest: f64, value| largest.max(value.abs()));
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(&found, expected)| (f64::from(found) - expected).abs())
        .fold(0.0, f64::max)
        / largest
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Writes a graph to the folder in `ONNX_KEEP`, if it is set, for other tools.
fn keep(name: &str, model: &[u8]) {
    if let Some(folder) = std::env::var_os("ONNX_KEEP") {
        std::fs::write(std::path::Path::new(&folder).join(name), model).unwrap();
    }
}
