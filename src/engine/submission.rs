//! The segments of a recording into the scheduler, from the thread that cuts them, and what comes of them
//! back out.

use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use super::lane::Piece;
use super::{EngineError, PIECES_UNDER_WAY};
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
    under_way: mpsc::Sender<(usize, Submitted)>,
}

/// Where their results come out.
#[derive(Debug)]
pub(super) struct Results(mpsc::Receiver<(usize, Submitted)>);

/// Both ends for one request.
pub(super) fn of(ticket: &Arc<Ticket>) -> (Submitter, Results) {
    // One is waited for, one waits for its place here.
    let (under_way, results) = mpsc::channel(PIECES_UNDER_WAY - 2);
    let ticket = Arc::downgrade(ticket);
    (Submitter { ticket, under_way }, Results(results))
}

impl Submitter {
    /// The request's ticket, if somebody still waits.
    pub(super) fn ticket(&self) -> Result<Arc<Ticket>, EngineError> {
        self.ticket.upgrade().ok_or(EngineError::Cancelled)
    }

    /// Submits a piece; blocks until no more than [`PIECES_UNDER_WAY`] are.
    pub(super) fn submit(&self, piece: Piece) -> Result<(), EngineError> {
        let Piece {
            lane,
            segments,
            starts,
        } = piece;
        let ticket = self.ticket()?;
        let submitted = match starts {
            None => Submitted::Piece(ticket.encode(segments)?),
            Some(starts) => Submitted::Whole(ticket.lane(lane, segments, starts)?),
        };
        drop(ticket);
        self.under_way
            .blocking_send((lane, submitted))
            .map_err(|_| EngineError::Cancelled)
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
