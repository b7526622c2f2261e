//! Splits: utterances in, folds out, by one of several protocols.
//!
//! By speaker is the rule: no speaker is ever in two parts of a fold. Random folds over utterances
//! flatter every figure by six to ten points (the paper's protocol does) and are there to compare
//! with it. [`Protocol::guard`] checks the promise on the finished split, by speaker and by
//! content.

mod fold;
mod protocol;
mod random;
mod speakers;
#[cfg(test)]
mod tests;

pub use fold::{Fold, guard};
pub use protocol::Protocol;
pub use speakers::{all, by_speaker, by_speaker_fit};
