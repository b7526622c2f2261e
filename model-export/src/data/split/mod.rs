//! Splits: from utterances to folds, by one of several protocols.
//!
//! Folds are normally by speaker: no speaker is in two parts of a fold. Random folds over utterances, the paper's
//! protocol, make every figure six to ten points too high; they exist to compare with the paper.
//! [`Protocol::guard`] checks the finished split by speaker and by content.

mod fold;
mod protocol;
mod random;
mod speakers;
#[cfg(test)]
mod tests;

pub use fold::{Fold, guard};
pub use protocol::Protocol;
pub use speakers::{all, by_speaker, by_speaker_fit};
