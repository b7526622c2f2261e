//! Replies to callers: prepared while the scheduler is locked, and sent afterwards.

use tokio::sync::oneshot;

use super::core::End;
use super::results::{EncoderOutput, Failure, SequenceOutput};

/// The way to one caller.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// A reply that is to be sent once no lock is held, because sending wakes the caller's task.
#[derive(Debug)]
pub(super) enum PendingReply {
    Encoder(Reply<EncoderOutput>, Result<EncoderOutput, Failure>),
    Sequence(Reply<SequenceOutput>, Result<SequenceOutput, Failure>),
    Job(oneshot::Sender<End>, End),
}

impl PendingReply {
    /// Sends it. If nobody waits for it any more, it is dropped.
    pub(super) fn send(self) {
        match self {
            Self::Encoder(reply, result) => drop(reply.send(result)),
            Self::Sequence(reply, result) => drop(reply.send(result)),
            Self::Job(reply, end) => drop(reply.send(end)),
        }
    }
}
