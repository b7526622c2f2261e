//! Faults that were reported, each with the answer that is right. A case stands in the file of the part
//! that was at fault.

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
