//! Every corpus' loader on small trees in that corpus' layout, whole and broken as real copies are.
//!
//! The audio is real: clips of the corpora in `../shared/data`, or of the repository's own
//! recordings where that folder is not there.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod data_folder;
mod iemocap;
mod names;
mod shared;
mod tables;
mod tree;
