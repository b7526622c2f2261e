//! The commands of `model-export`, one file each: arguments, the order of the steps, messages.

pub mod ablate;
pub mod evaluate;
pub mod export;
pub mod pretrain;
pub mod report;
pub mod telephone;
pub mod train;
