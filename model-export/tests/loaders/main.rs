//! Every corpus' loader on small folders in that corpus' layout, whole, and broken as in real copies.
//!
//! The audio is real: clips of the corpora in `../shared/data`, or of the repository's own recordings if that folder
//! does not exist.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod data_folder;
mod iemocap;
mod names;
mod shared;
mod tables;
mod tree;
