//! The segments of a recording into the scheduler, from the thread that cuts them, and what comes of them
//! back out.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::lane::Piece;
use super::{EngineError, PIECES_UNDER_WAY, refused};
use crate::scheduler::core::{Class, Work};
use crate::scheduler::{self, Spent, Ticket, Waiter};

/// What is under way of a lane.
#[derive(Debug)]
enum Submitted {
    /// A part of it, through the encoder.
    Piece(Waiter<scheduler::Encoding>),
    /// All of it, through both graphs.
    Whole(Waiter<scheduler::Evidence>),
}

/// What is known of a lane.
#[derive(Debug)]
pub(super) enum Known {
    /// `[T, C]`.
    Features(Vec<f32>),
    /// What the sequence said of all steps.
    Evidence(scheduler::Evidence),
}

/// Where pieces are submitted.
#[derive(Debug)]
pub(super) struct Submitter {
    /// Not to keep the request's place once nobody waits any more.
    ticket: Weak<Ticket>,
    class: Class,
    runtime: Handle,
    under_way: mpsc::Sender<(usize, Submitted)>,
}

/// Where their results come out.
#[derive(Debug)]
pub(super) struct Results(mpsc::Receiver<(usize, Submitted)>);

/// Both ends for one request. Call it within the runtime.
pub(super) fn of(ticket: &Arc<Ticket>, class: Class) -> (Submitter, Results) {
    // One is waited for, one waits for its place here.
    let (under_way, results) = mpsc::channel(PIECES_UNDER_WAY - 2);
    let submitter = Submitter {
        ticket: Arc::downgrade(ticket),
        class,
        runtime: Handle::current(),
        under_way,
    };
    (submitter, Results(results))
}

impl Submitter {
    /// More is known of what will be submitted: this much, and so many bytes at a time.
    pub(super) fn measured(&self, work: Work, bytes: usize) -> Result<(), EngineError> {
        let measured = self.with_ticket(move |ticket| ticket.measured(work, bytes))?;
        Ok(measured.inspect_err(|refusal| refused(refusal, self.class))?)
    }

    /// Submits a piece; blocks until no more than [`PIECES_UNDER_WAY`] are.
    pub(super) fn submit(&self, piece: Piece) -> Result<(), EngineError> {
        let lane = piece.lane;
        let submitted = self.with_ticket(move |ticket| match piece.starts {
            None => ticket.encode(piece.segments).map(Submitted::Piece),
            Some(starts) => ticket
                .lane(lane, piece.segments, starts)
                .map(Submitted::Whole),
        })??;
        self.under_way
            .blocking_send((lane, submitted))
            .map_err(|_| EngineError::Cancelled)
    }

    /// Does something with the request's ticket, if somebody still waits. Not on a thread for bulk: one
    /// that runs on idle processors alone may be halted with the scheduler's lock in hand, and everybody
    /// with it.
    fn with_ticket<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ticket) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let ticket = self.ticket.upgrade().ok_or(EngineError::Cancelled)?;
        match self.class {
            Class::Interactive => Ok(work(&ticket)),
            Class::Bulk => {
                let done = self.runtime.spawn_blocking(move || work(&ticket));
                let done = self.runtime.block_on(done);
                // It did not run: the runtime is ending.
                done.map_err(|_| EngineError::Cancelled)
            }
        }
    }
}

impl Results {
    /// Waits for all of them; what is known then, a lane each.
    pub(super) async fn collect(mut self) -> Result<(Vec<Known>, Spent), EngineError> {
        let mut lanes = Vec::new();
        let mut spent = Spent::default();
        while let Some((lane, submitted)) = self.0.recv().await {
            lanes.resize_with(lanes.len().max(lane + 1), || Known::Features(Vec::new()));
            match submitted {
                Submitted::Piece(waiter) => {
                    let encoding = waiter.await?;
                    spent += encoding.spent;
                    if let Known::Features(features) = &mut lanes[lane] {
                        features.extend_from_slice(&encoding.features);
                    }
                }
                Submitted::Whole(waiter) => {
                    let evidence = waiter.await?;
                    spent += evidence.spent;
                    lanes[lane] = Known::Evidence(evidence);
                }
            }
        }
        Ok((lanes, spent))
    }
}
