//! The messages of a stream that were refused before they were decoded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

/// Refused messages by their number in the stream, counted from 0. The decoder receives a substitute for each, so that
/// its numbers stay correct. Clones share the messages. Each message is taken once, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedMessages(Arc<Mutex<VecDeque<(u64, Status)>>>);

impl RefusedMessages {
    /// Adds a refused message. Must be called before its substitute is decoded.
    pub(super) fn push(&self, number: u64, status: Status) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push_back((number, status));
    }

    /// Takes the reason for which a message was refused. Returns `None` for a message that was not refused.
    pub(super) fn take(&self, number: u64) -> Option<Status> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, _) = refused.front()?;
        if *next != number {
            return None;
        }
        refused.pop_front().map(|(_, status)| status)
    }
}
