//! Messages of a stream that were refused before they were decoded, for whoever decodes the rest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

/// Refused messages by their number in the stream, counted from 0. The decoder gets an empty message in
/// the place of each, so that it stays in step. Clones are one; each is taken once, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedMessages(Arc<Mutex<VecDeque<(u64, Status)>>>);

impl RefusedMessages {
    /// A message was refused. Comes before its substitute is decoded.
    pub(super) fn push(&self, number: u64, status: Status) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push_back((number, status));
    }

    /// Why this message was refused, if it was.
    pub(super) fn take(&self, number: u64) -> Option<Status> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, _) = refused.front()?;
        if *next != number {
            return None;
        }
        refused.pop_front().map(|(_, status)| status)
    }
}
