//! Metrics: judgements in, figures with their uncertainty out.
//!
//! UA (unweighted accuracy, mean recall) is the figure to compare by; WA (weighted accuracy) is
//! plain accuracy. [`confusion`] counts, [`calibration`] judges confidence, [`selective`] asks what
//! declining to answer buys, [`resampling`] gives intervals and [`comparison`] sets two systems side
//! by side. The number of classes is the data's own; nothing here knows of models or of labels.

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
