//! The bytes of one message as they are inflated, in pieces, within its bound and its charge.

use std::io;

use bytes::Bytes;

use crate::service::budget::Charge;

/// InflatedMessage bytes are held in pieces, each of which is freed once it is read. The first is small, as most messages
/// are.
const FIRST_PIECE: usize = 64 << 10;
/// Further pieces. So large a one goes back to the system when it is freed, and not to the heap: with pieces of
/// 64 KiB the system had twice as much as was charged.
const PIECE: usize = 4 << 20;

/// What was inflated: never more than the bound, and nothing that is not charged.
pub(super) struct InflatedMessage {
    pieces: Vec<Bytes>,
    /// The last piece, which fills.
    open: Vec<u8>,
    bytes: usize,
    limit: usize,
    /// Bytes of the decoder's window, which fills with the first bytes of the message.
    window: usize,
    pub(super) charge: Charge,
    /// Why something was not taken.
    pub(super) refused: Option<InflateLimit>,
}

/// Why inflated bytes are not taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum InflateLimit {
    TooLarge,
    OverBudget,
}

impl InflatedMessage {
    /// Nothing yet of a message that may have `limit` bytes, beside a window that may have `window`.
    pub(super) fn new(limit: usize, window: usize, charge: Charge) -> Self {
        Self {
            pieces: Vec::new(),
            open: Vec::new(),
            bytes: 0,
            limit,
            window,
            charge,
            refused: None,
        }
    }

    /// Charges so many bytes more than are held, if the budget has them.
    pub(super) fn charge_ahead(&mut self, more: usize) -> bool {
        let held = self.bytes.saturating_add(self.bytes.min(self.window));
        self.charge.cover(held.saturating_add(more))
    }

    /// The first bytes, as many as the first piece has.
    pub(super) fn start(&self) -> &[u8] {
        self.pieces.first().map_or(&self.open, |piece| piece)
    }

    /// All that was inflated, in pieces, and what it is charged.
    pub(super) fn take(&mut self) -> (Vec<Bytes>, Charge) {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.push(std::mem::take(&mut self.open).into());
        // The window goes with the decoder.
        self.charge.shrink(self.bytes);
        let nothing = self.charge.budget().charge();
        (pieces, std::mem::replace(&mut self.charge, nothing))
    }

    fn refuse(&mut self, refused: InflateLimit) -> io::Error {
        self.refused = Some(refused);
        io::ErrorKind::FileTooLarge.into()
    }
}

impl io::Write for InflatedMessage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.bytes {
            return Err(self.refuse(InflateLimit::TooLarge));
        }
        let filled = self.window.saturating_sub(self.bytes).min(bytes.len());
        if !self.charge_ahead(bytes.len() + filled) {
            return Err(self.refuse(InflateLimit::OverBudget));
        }
        self.bytes += bytes.len();
        let mut left = bytes;
        while !left.is_empty() {
            let size = match self.pieces.is_empty() {
                true => FIRST_PIECE,
                false => PIECE,
            };
            if self.open.is_empty() {
                self.open = Vec::with_capacity(size);
            }
            let (some, rest) = left.split_at(left.len().min(size - self.open.len()));
            self.open.extend_from_slice(some);
            left = rest;
            if self.open.len() == size {
                self.pieces.push(std::mem::take(&mut self.open).into());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
