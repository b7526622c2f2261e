//! Reported faults, each with the correct result. A case is in the file of the part that had the fault.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/data.rs"]
mod data;

mod audio;
mod cli;
mod operation;
mod scheduling;
mod service;
mod speech;
