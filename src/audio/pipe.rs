//! The channels between a caller that pushes bytes and the thread that decodes them.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};

use super::timer::DecodeTimer;
use super::{AudioError, Ending};

/// A message to the decoder thread.
pub(super) enum PipeMessage {
    Bytes(Vec<u8>),
    End,
}

/// A message from the decoder thread.
pub(super) enum DecodeEvent {
    Samples(Vec<Vec<f32>>),
    /// The last piece of bytes is used up.
    NeedsBytes,
    Ended(Result<Ending, AudioError>),
}

/// The pushed bytes, as the decoder thread reads them.
pub(super) struct BytePipe {
    /// A mutex only because symphonia requires `Sync` of its sources. It is never locked.
    messages: Mutex<Receiver<PipeMessage>>,
    events: SyncSender<DecodeEvent>,
    piece: Vec<u8>,
    /// Bytes consumed of `piece`.
    consumed: usize,
    /// A piece was received, and the caller that pushed it waits until it is used up.
    caller_waits: bool,
    ended: bool,
    timer: DecodeTimer,
}

impl BytePipe {
    pub(super) fn new(
        messages: Receiver<PipeMessage>,
        events: SyncSender<DecodeEvent>,
        timer: DecodeTimer,
    ) -> Self {
        Self {
            messages: Mutex::new(messages),
            events,
            piece: Vec::new(),
            consumed: 0,
            caller_waits: false,
            ended: false,
            timer,
        }
    }

    /// Returns the rest of the piece, or the next piece. It is empty only at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], AudioError> {
        if self.consumed == self.piece.len() && !self.ended {
            let (messages, events, caller_waits) =
                (&mut self.messages, &self.events, self.caller_waits);
            let message = self.timer.pause_during(|| {
                if caller_waits && events.send(DecodeEvent::NeedsBytes).is_err() {
                    return None;
                }
                let messages = messages.get_mut().unwrap_or_else(PoisonError::into_inner);
                messages.recv().ok()
            });
            match message {
                Some(PipeMessage::Bytes(piece)) => {
                    (self.piece, self.consumed, self.caller_waits) = (piece, 0, true);
                }
                Some(PipeMessage::End) => self.ended = true,
                None => return Err(AudioError::Stopped),
            }
        }
        Ok(&self.piece[self.consumed..])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.consumed += count;
    }
}
