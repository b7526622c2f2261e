//! The real binary on real speech: the files that its commands write, killed or not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod ablation;
mod command;
mod kill;
mod small;
mod smoke;
