//! What is let in: bounds on what is held, whatever arrives.

use super::Entry;

/// Bounds on what the scheduler holds, waiting or under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries: usize,
    /// Bytes of tensors.
    pub bytes: usize,
}

/// Why an entry is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bound on entries is reached.
    #[error("the scheduler holds {0} entries, its bound")]
    Entries(usize),
    /// The bound on bytes would be exceeded.
    #[error("the scheduler may hold {0} bytes, and this entry would exceed them")]
    Bytes(usize),
    /// The entry has nothing to run.
    #[error("an entry without items has nothing to run")]
    Empty,
    /// A chunk longer than the largest shape.
    #[error("a chunk of {steps} steps is longer than the largest shape, {most}")]
    TooLong {
        /// Steps of the chunk.
        steps: usize,
        /// Steps of the largest shape.
        most: usize,
    },
    /// The server is shutting down.
    #[error("the scheduler is draining")]
    Draining,
}

impl Bounds {
    pub(super) fn admit(&self, entries: usize, bytes: usize, entry: &Entry) -> Result<(), Refusal> {
        if entry.items == 0 {
            return Err(Refusal::Empty);
        }
        if entries >= self.entries {
            return Err(Refusal::Entries(self.entries));
        }
        if entry.bytes > self.bytes.saturating_sub(bytes) {
            return Err(Refusal::Bytes(self.bytes));
        }
        Ok(())
    }
}
