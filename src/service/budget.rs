//! The memory budget for decompressed messages, shared by all calls of a server.
//!
//! A small compressed message can decompress to the largest one, so the limit of one message does not limit the memory
//! of many. A message is charged from its first decompressed byte until its recording is answered or its call ends.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Bytes of all calls together. This is enough for two messages of the default largest size (256 MiB), or for a hundred
/// telephone calls of five minutes (4.8 MB each at 8 kHz and 16 bits). The default budget for tensors is as large.
const LIMIT: usize = 512 << 20;
/// Bytes are charged in multiples of a chunk. A wait is for exactly one chunk. Each message that ends gives back at least
/// one chunk, so each end serves at least one wait.
pub(super) const CHUNK: usize = 512 << 10;

/// The budget. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    chunks: Arc<Semaphore>,
}

impl Budget {
    /// Creates the budget of a server on which one message may hold `largest` bytes. One such message always fits.
    pub(super) fn of_server(largest: usize) -> Self {
        Self::of_bytes(LIMIT.max(largest))
    }

    /// Creates a budget of `bytes`, rounded up to whole chunks.
    pub(super) fn of_bytes(bytes: usize) -> Self {
        let chunks = bytes.div_ceil(CHUNK).min(Semaphore::MAX_PERMITS);
        Self {
            chunks: Arc::new(Semaphore::new(chunks)),
        }
    }

    /// Creates an empty charge.
    pub(super) fn charge(&self) -> Charge {
        Charge {
            budget: self.clone(),
            held: None,
        }
    }

    /// Waits for one chunk. Waits are served in their order, and before any other charge.
    pub(super) fn wait(
        &self,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + use<> {
        Arc::clone(&self.chunks).acquire_owned()
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.chunks.available_permits() * CHUNK
    }
}

/// The chunks that one message holds. They are given back when this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Charge {
    /// Returns the charged bytes.
    pub(super) fn bytes(&self) -> usize {
        let held = self.held.as_ref();
        held.map_or(0, OwnedSemaphorePermit::num_permits) * CHUNK
    }

    /// Increases the charge to at least `bytes`. Returns false and charges nothing if the budget has too little left.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        let missing = bytes.saturating_sub(self.bytes()).div_ceil(CHUNK);
        let Ok(missing) = u32::try_from(missing) else {
            return false;
        };
        if missing > 0 {
            let chunks = Arc::clone(&self.budget.chunks);
            let Ok(chunks) = chunks.try_acquire_many_owned(missing) else {
                return false;
            };
            self.add(chunks);
        }
        true
    }

    /// Adds chunks from [`Budget::wait`].
    pub(super) fn add(&mut self, chunks: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(chunks),
            None => self.held = Some(chunks),
        }
    }

    /// Gives back the chunks that `bytes` do not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.div_ceil(CHUNK);
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(needed)));
        }
    }

    /// Returns the budget of this charge.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// The charges of a call's messages that were passed to the transport, by message number. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Charges(Arc<Mutex<Vec<(u64, Charge)>>>);

impl Charges {
    /// Adds the charge of a message. Must be called before its bytes are passed on.
    pub(super) fn push(&self, number: u64, charge: Charge) {
        if charge.bytes() > 0 {
            self.change(|charges| charges.push((number, charge)));
        }
    }

    /// Gives back the charge of a message that is no longer needed.
    pub(super) fn give_back(&self, number: u64) {
        self.change(|charges| charges.retain(|(other, _)| *other != number));
    }

    /// Returns whether the call's messages hold no charge.
    pub(super) fn is_empty(&self) -> bool {
        self.change(|charges| charges.is_empty())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<(u64, Charge)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn charges_never_exceed_the_budget_and_are_all_given_back() {
        let budget = Budget::of_bytes(3 * CHUNK);
        let (mut one, mut other) = (budget.charge(), budget.charge());
        assert!(one.cover(1) && one.cover(CHUNK));
        assert_eq!(one.bytes(), CHUNK);
        assert!(other.cover(2 * CHUNK));
        assert!(!one.cover(CHUNK + 1));
        assert_eq!((one.bytes(), budget.left()), (CHUNK, 0));
        other.shrink(CHUNK);
        assert!(one.cover(CHUNK + 1));
        drop(one);
        other.shrink(0);
        assert_eq!(budget.left(), 3 * CHUNK);
    }

    #[test]
    fn a_server_s_budget_holds_the_largest_message() {
        assert_eq!(Budget::of_server(1).left(), LIMIT);
        let largest = LIMIT + CHUNK / 2;
        assert!(Budget::of_server(largest).charge().cover(largest));
    }

    #[test]
    fn chunks_that_a_message_gives_back_go_to_a_wait_first() {
        let budget = Budget::of_bytes(CHUNK);
        let charges = Charges::default();
        let mut charge = budget.charge();
        assert!(charge.cover(CHUNK));
        charges.push(7, charge);
        charges.push(8, budget.charge());
        let mut wait = Box::pin(budget.wait());
        assert!(wait.as_mut().now_or_never().is_none());
        charges.give_back(8);
        assert!(!charges.is_empty());
        charges.give_back(7);
        assert!(charges.is_empty());
        let mut late = budget.charge();
        assert!(!late.cover(CHUNK));
        late.add(wait.now_or_never().unwrap().unwrap());
        assert_eq!(late.bytes(), CHUNK);
    }
}
