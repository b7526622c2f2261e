//! The real binary on real speech: what its commands leave, killed or not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod ablation;
mod command;
mod kill;
mod small;
mod smoke;
