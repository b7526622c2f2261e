//! What a caller holds while its work waits or runs: a future whose drop cancels the work.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::core::EntryId;
use super::shell::{Failure, Shared, Spent};
use crate::runtime::History;

/// Features of a run of segments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncoderOutput {
    /// `[N, C]`, in the order of the segments.
    pub features: Vec<f32>,
    /// Mean squared distance to the chosen codes, `[N]`; empty without a codebook.
    pub distance: Vec<f32>,
    /// Where the time went.
    pub spent: Spent,
}

/// The next steps of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// `[T, C]`.
    pub features: Vec<f32>,
    /// The stream's state before these steps.
    pub history: History,
}

impl Chunk {
    /// Memory that its tensors hold.
    pub(super) fn bytes(&self) -> usize {
        (self.features.len() + self.history.values().len()) * size_of::<f32>()
    }
}

/// What the sequence says of a run of steps: a chunk's, or a lane's.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceOutput {
    /// `[T, K]`.
    pub logits: Vec<f32>,
    /// Attention scores, `[T]`.
    pub scores: Vec<f32>,
    /// The stream's state after these steps.
    pub history: History,
    /// Where the time went.
    pub spent: Spent,
}

/// A result to come. Dropping it cancels the work: what waits is dropped at once, what runs is
/// stopped if nobody waits for its companions either, and else let run out.
#[derive(Debug)]
pub struct Waiter<T> {
    pub(super) reply: oneshot::Receiver<Result<T, Failure>>,
    pub(super) shared: Arc<Shared>,
    pub(super) id: EntryId,
    pub(super) ended: bool,
}

impl<T> Future for Waiter<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = std::task::ready!(Pin::new(&mut self.reply).poll(context));
        self.ended = true;
        // The sender is kept until it is used; that it was not would be a fault of ours.
        Poll::Ready(reply.unwrap_or(Err(Failure::Lost)))
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.change(|state, _| {
                state.work.remove(&self.id);
                state.core.handle_cancel(self.id);
            });
        }
    }
}
