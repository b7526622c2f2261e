//! The decompressed bytes of one message, in pieces, within its size limit and its charge.

use std::io;

use bytes::Bytes;

use crate::service::budget::Charge;

/// Bytes of the first piece. Decompressed bytes are held in pieces, and each piece is freed as soon as it is read. The
/// first piece is small because most messages are small.
const FIRST_PIECE: usize = 64 << 10;
/// Bytes of a further piece. A piece of this size returns to the system and not to the heap when it is freed. With
/// pieces of 64 KiB, the process held twice the memory that was charged.
const PIECE: usize = 4 << 20;

/// The decompressed bytes: never more than the limit, and all of them charged.
pub(super) struct InflatedMessage {
    pieces: Vec<Bytes>,
    /// The last piece, which is being filled.
    open: Vec<u8>,
    bytes: usize,
    limit: usize,
    /// Bytes of the decoder's window. The first bytes of the message fill it.
    window: usize,
    pub(super) charge: Charge,
    /// Why a write was refused.
    pub(super) refused: Option<InflateLimit>,
}

/// The limit that a write exceeds.
#[derive(Clone, Copy, Debug)]
pub(super) enum InflateLimit {
    TooLarge,
    OverBudget,
}

impl InflatedMessage {
    /// Creates an empty message that may have `limit` bytes, for a decoder with a window of `window` bytes.
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

    /// Charges `more` bytes beyond those that are held. Returns false if the budget has too little left.
    pub(super) fn charge_ahead(&mut self, more: usize) -> bool {
        let held = self.bytes.saturating_add(self.bytes.min(self.window));
        self.charge.cover(held.saturating_add(more))
    }

    /// Returns the bytes of the first piece.
    pub(super) fn start(&self) -> &[u8] {
        self.pieces.first().map_or(&self.open, |piece| piece)
    }

    /// Takes all bytes in pieces, and their charge.
    pub(super) fn take(&mut self) -> (Vec<Bytes>, Charge) {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.push(std::mem::take(&mut self.open).into());
        // The window is freed with the decoder.
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
            let size = if self.pieces.is_empty() {
                FIRST_PIECE
            } else {
                PIECE
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
