//! What a caller holds while its work waits or runs: a future that cancels the work when it is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::core::EntryId;
use super::results::Failure;
use super::shared::Shared;

/// The result of submitted work, once it is there.
///
/// Dropping it cancels the work, so a `select!` in a loop must poll it by `&mut`. Items that wait are dropped at
/// once. A batch that runs is stopped if nobody waits for its other members either; otherwise it runs to its end.
#[derive(Debug)]
pub struct Waiter<T> {
    pub(super) reply: oneshot::Receiver<Result<T, Failure>>,
    pub(super) shared: Arc<Shared>,
    pub(super) id: EntryId,
    pub(super) has_ended: bool,
}

impl<T> Future for Waiter<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = std::task::ready!(Pin::new(&mut self.reply).poll(context));
        self.has_ended = true;
        // The scheduler keeps the sender until it uses it. A sender that is dropped is a fault of the scheduler.
        Poll::Ready(reply.unwrap_or(Err(Failure::Lost)))
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.change(|state, _| {
                state.entries.remove(&self.id);
                state.core.handle_cancel(self.id);
            });
        }
    }
}
