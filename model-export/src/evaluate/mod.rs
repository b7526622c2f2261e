//! Finished runs to figures.
//!
//! [`tested`] reads the test predictions of a run, [`metrics`] has the formulas, and [`figures`] applies them to
//! groups of utterances. [`systems`] lists the fourteen systems that an ablation compares.

pub mod figures;
pub mod metrics;
pub mod systems;
pub mod tested;
