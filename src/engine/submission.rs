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
    Piece(Waiter<scheduler::EncoderOutput>),
    /// All of it, through both graphs.
    Whole(Waiter<scheduler::SequenceOutput>),
}

/// What is known of a lane.
#[derive(Debug)]
pub(super) enum Known {
    /// `[T, C]`.
    Features(Vec<f32>),
    /// What the sequence said of all steps.
    Evidence(scheduler::SequenceOutput),
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
    pub(super) fn measured(
        &self,
        class: Class,
        work: Work,
        bytes: usize,
    ) -> Result<(), EngineError> {
        let measured = self.with_ticket(move |ticket| ticket.measured(class, work, bytes))?;
        Ok(measured.inspect_err(|refusal| refused(refusal, class))?)
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
        let Err(unsent) = self.under_way.blocking_send((lane, submitted)) else {
            return Ok(());
        };
        self.on_usual_thread(move || drop(unsent))?;
        Err(EngineError::Cancelled)
    }

    /// Does something with the request's ticket, if somebody still waits.
    fn with_ticket<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ticket) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let ticket = self.ticket.upgrade().ok_or(EngineError::Cancelled)?;
        self.on_usual_thread(move || work(&ticket))
    }

    /// Does what takes the scheduler's lock. Not on a thread for bulk: one that runs on idle processors
    /// alone may be halted with the lock in hand, and everybody with it. Nor may such a thread ask for a
    /// blocking one, which would be as it is.
    fn on_usual_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        match self.class {
            Class::Interactive => Ok(work()),
            Class::Bulk => {
                let done = self.runtime.spawn(async { work() });
                self.runtime
                    .block_on(done)
                    .map_err(|error| match error.is_panic() {
                        true => EngineError::Internal(error.to_string()),
                        // The runtime is ending, and with it whoever waits.
                        false => EngineError::Cancelled,
                    })
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::decoders::Decoders;
    use super::*;
    use crate::bundle::Sequence;
    use crate::frontend::SEGMENT_VALUES;
    use crate::runtime::{
        Device, Encoded, RuntimeError, SequenceBatch, Sizes, StepEvidence, StopHandle,
    };
    use crate::scheduler::core::{Bounds, CostTable, Policy, Shapes};
    use crate::scheduler::{Clock, Scheduler, Terms};

    /// Ends a batch of segments when it is told to.
    struct Told(mpsc::Receiver<()>);

    #[derive(Debug)]
    struct Unstoppable;

    impl StopHandle for Unstoppable {
        fn stop(&self) {}
        fn clear(&self) {}
    }

    impl Device for Told {
        fn stopper(&self) -> Arc<dyn StopHandle> {
            Arc::new(Unstoppable)
        }

        fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError> {
            self.0.recv().map_err(|_| RuntimeError::Panicked)?;
            Ok(Encoded {
                features: vec![0.0; segments.len() / SEGMENT_VALUES],
                codes: Vec::new(),
                distance: Vec::new(),
            })
        }

        fn sequence(&mut self, _: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
            Err(RuntimeError::Panicked)
        }
    }

    /// A request's ticket, and what ends batches.
    fn ticket(class: Class) -> (Scheduler, Arc<Ticket>, mpsc::Sender<()>) {
        let (end, ends) = mpsc::channel();
        let sizes = Sizes {
            features: 1,
            sequence: Sequence::Recurrent {
                layers: 1,
                state: 1,
            },
            labels: 1,
            codes: None,
        };
        let policy = Policy {
            instances: 1,
            bounds: Bounds {
                jobs: 1,
                bytes: 1 << 30,
                backlog: [Duration::from_secs(60); 2],
            },
            max_batch_time: Duration::from_millis(1),
            max_queue_delay: Duration::ZERO,
            bulk_share: 0.1,
        };
        let costs = CostTable::new(Shapes::default(), |_, _| Duration::from_millis(1));
        let devices = vec![Told(ends)];
        let scheduler = Scheduler::start(devices, sizes, policy, costs, Clock::driven()).unwrap();
        let terms = Terms {
            tenant: "somebody".into(),
            weight: 1,
            class,
            deadline: None,
            work: Work {
                segments: 10,
                steps: 10,
            },
            bytes: PIECES_UNDER_WAY * SEGMENT_VALUES * size_of::<f32>(),
        };
        let ticket = Arc::new(scheduler.join(terms).unwrap());
        (scheduler, ticket, end)
    }

    fn piece() -> Piece {
        Piece {
            lane: 0,
            segments: vec![0.0; SEGMENT_VALUES].into(),
            starts: None,
        }
    }

    #[test]
    fn no_more_pieces_are_under_way_than_the_bytes_that_were_promised_hold() {
        for class in Class::ALL {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _inside = runtime.enter();
            let (_scheduler, ticket, end) = ticket(class);
            let (submitter, results) = of(&ticket, class);
            let collected = runtime.spawn(results.collect());
            let (reached, reaches) = mpsc::channel();
            let pieces = std::thread::spawn(move || {
                for number in 1..=10 {
                    reached.send(number).unwrap();
                    submitter.submit(piece())?;
                }
                Ok::<_, EngineError>(())
            });
            let first: Vec<usize> = reaches.iter().take(PIECES_UNDER_WAY).collect();
            assert_eq!(first, [1, 2, 3]);
            // While the device holds the first, the thread does not get beyond the third; given time it
            // would be seen to.
            let next = reaches.recv_timeout(Duration::from_millis(50));
            assert_eq!(next, Err(mpsc::RecvTimeoutError::Timeout));
            (0..10).for_each(|_| end.send(()).unwrap());
            pieces.join().unwrap().unwrap();
            let (lanes, _) = runtime.block_on(collected).unwrap().unwrap();
            assert!(matches!(&lanes[..], [Known::Features(features)] if features.len() == 10));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread")]
    async fn no_thread_that_may_be_halted_for_others_takes_the_schedulers_lock() {
        use super::super::threads::tests::{IDLE, policy};

        let (_scheduler, ticket, _end) = ticket(Class::Bulk);
        let (submitter, _results) = of(&ticket, Class::Bulk);
        let decoders = Decoders::start(1, 4).unwrap();
        let bulk = decoders.run(Class::Bulk, move || {
            (policy(), submitter.with_ticket(|_| policy()).unwrap())
        });
        let (own, usual) = bulk.await.unwrap();
        assert_eq!(own, IDLE);
        assert_ne!(usual, IDLE);
        let interactive = decoders.run(Class::Interactive, policy);
        assert_ne!(
            interactive.await.unwrap(),
            IDLE,
            "the pool has none of them"
        );
    }
}
