//! Metrics: from predictions to figures with their uncertainty.
//!
//! UA (unweighted accuracy) is the mean recall; systems are compared by it. WA (weighted accuracy) is plain
//! accuracy. [`confusion`] counts predictions. [`calibration`] compares confidence with accuracy. [`selective`]
//! measures what abstaining gains. [`resampling`] computes intervals, and [`comparison`] tests two systems. The
//! number of classes comes from the data; nothing here depends on models or labels.

pub mod calibration;
pub mod comparison;
pub mod confusion;
pub mod resampling;
pub mod selective;

pub use calibration::{
    Reliability, argmax, brier, calibration_error, fit_temperature, negative_log_likelihood,
    reliability, softmax,
};
pub use comparison::{McNemar, holm, mcnemar};
pub use confusion::{Confusion, by_group};
pub use resampling::{Interval, Spread, bootstrap, paired_bootstrap, paired_bootstrap_of_means};
pub use selective::{RiskCoverage, risk_coverage};

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| {
        (sum + value, count + 1)
    });
    sum / count.max(1) as f64
}
