//! Corpora to normalisable frames: everything before the first random number.
//!
//! [`dataset`] reads the corpora of a command line. It uses [`corpus`] for recordings with speaker and
//! emotion, [`labels`] for their classes, and [`features`] for their frames. [`split`] cuts a data set into
//! folds. [`mod@line`] simulates telephone lines.

pub mod corpus;
pub mod dataset;
pub mod features;
pub mod labels;
pub mod line;
pub mod split;
