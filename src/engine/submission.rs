//! Submits the segments of one recording to the scheduler, from the thread that cuts them, and collects the
//! results.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::{EngineError, InternalError};
use super::piece::{PIECES_UNDER_WAY, Piece};
use super::refusals::count_refusal;
use crate::scheduler::core::{Class, Work};
use crate::scheduler::{self, Ticket, TimeSpent, Waiter};

/// Segments in the scheduler.
#[derive(Debug)]
enum Submitted {
    /// A part of a lane, which runs through the encoder.
    Piece(Waiter<scheduler::EncoderOutput>),
    /// All of a lane, which runs through both graphs.
    Whole(Waiter<scheduler::SequenceOutput>),
}

/// The result of one lane.
#[derive(Debug)]
pub(super) enum LaneOutput {
    /// Features of all steps, `[T, C]`, which have yet to run through the sequence.
    Features(Vec<f32>),
    /// The sequence's output for all steps.
    Evidence(scheduler::SequenceOutput),
}

/// Submits the pieces of one recording.
#[derive(Debug)]
pub(super) struct Submitter {
    /// Weak, so that the request gives its place back as soon as nobody waits for it.
    ticket: Weak<Ticket>,
    class: Class,
    runtime: Handle,
    submitted: mpsc::Sender<(usize, Submitted)>,
}

/// Receives the results of the pieces.
#[derive(Debug)]
pub(super) struct Results(mpsc::Receiver<(usize, Submitted)>);

/// Returns both ends for one request. Must be called within an async runtime.
pub(super) fn channel(ticket: &Arc<Ticket>, class: Class) -> (Submitter, Results) {
    // One piece more is being awaited, and one is blocked in `submit`.
    let (submitted, results) = mpsc::channel(PIECES_UNDER_WAY - 2);
    let submitter = Submitter {
        ticket: Arc::downgrade(ticket),
        class,
        runtime: Handle::current(),
        submitted,
    };
    (submitter, Results(results))
}

impl Submitter {
    /// Announces the remaining work, and the most bytes of tensors that it uses at a time.
    pub(super) fn announce(
        &self,
        class: Class,
        work: Work,
        bytes: usize,
    ) -> Result<(), EngineError> {
        let admitted = self.with_ticket(move |ticket| ticket.announce(class, work, bytes))?;
        Ok(admitted.inspect_err(|refusal| count_refusal(refusal, class))?)
    }

    /// Submits a piece. Blocks while [`PIECES_UNDER_WAY`] pieces are submitted and not yet done.
    pub(super) fn submit(&self, piece: Piece) -> Result<(), EngineError> {
        let lane = piece.lane;
        let submitted = self.with_ticket(move |ticket| match piece.starts {
            None => ticket.encode(piece.segments).map(Submitted::Piece),
            Some(starts) => ticket
                .lane(lane, piece.segments, starts)
                .map(Submitted::Whole),
        })??;
        let Err(unsent) = self.submitted.blocking_send((lane, submitted)) else {
            return Ok(());
        };
        self.on_normal_thread(move || drop(unsent))?;
        Err(EngineError::Cancelled)
    }

    /// Does something with the request's ticket, if somebody still waits for the request.
    fn with_ticket<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ticket) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let ticket = self.ticket.upgrade().ok_or(EngineError::Cancelled)?;
        self.on_normal_thread(move || work(&ticket))
    }

    /// Does work that takes the scheduler's lock, on a thread with normal priority. The threads for bulk run
    /// on idle processors only. The system may halt one of them while it has the lock, and everything that
    /// needs the lock would wait. A blocking task does not help, because the new thread would inherit the
    /// priority.
    fn on_normal_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        match self.class {
            Class::Interactive => Ok(work()),
            Class::Bulk => {
                let done = self.runtime.spawn(async { work() });
                self.runtime.block_on(done).map_err(|error| {
                    if error.is_panic() {
                        InternalError::Task(error).into()
                    } else {
                        // The runtime is shutting down, so nobody waits for the request.
                        EngineError::Cancelled
                    }
                })
            }
        }
    }
}

impl Results {
    /// Waits for all results. Returns one for each lane.
    pub(super) async fn collect(mut self) -> Result<(Vec<LaneOutput>, TimeSpent), EngineError> {
        let mut lanes = Vec::new();
        let mut spent = TimeSpent::default();
        while let Some((lane, submitted)) = self.0.recv().await {
            lanes.resize_with(lanes.len().max(lane + 1), || {
                LaneOutput::Features(Vec::new())
            });
            match submitted {
                Submitted::Piece(waiter) => {
                    let output = waiter.await?;
                    spent += output.spent;
                    if let LaneOutput::Features(features) = &mut lanes[lane] {
                        features.extend_from_slice(&output.features);
                    }
                }
                Submitted::Whole(waiter) => {
                    let output = waiter.await?;
                    spent += output.spent;
                    lanes[lane] = LaneOutput::Evidence(output);
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

    use ndarray::{Array2, ArrayView4, Axis};

    use super::super::decoders::Decoders;
    use super::*;
    use crate::bundle::Sequence;
    use crate::frontend::SEGMENT_VALUES;
    use crate::runtime::{
        Device, Encoded, RuntimeError, SequenceBatch, Sizes, StepEvidence, StopHandle,
    };
    use crate::scheduler::core::{Bounds, CostTable, PerClass, Policy, Shapes};
    use crate::scheduler::{Clock, Scheduler, Terms};

    /// A device that ends a batch of segments when the test allows it.
    struct GatedDevice(mpsc::Receiver<()>);

    #[derive(Debug)]
    struct Unstoppable;

    impl StopHandle for Unstoppable {
        fn stop(&self) {}
        fn clear(&self) {}
    }

    impl Device for GatedDevice {
        fn stop_handle(&self) -> Arc<dyn StopHandle> {
            Arc::new(Unstoppable)
        }

        fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
            self.0.recv().map_err(|_| RuntimeError::Panicked)?;
            Ok(Encoded {
                features: Array2::zeros((segments.len_of(Axis(0)), 1)),
                codes: None,
                distance: None,
            })
        }

        fn sequence(&mut self, _: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
            Err(RuntimeError::Panicked)
        }
    }

    /// A request's ticket, and the sender that ends batches.
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
                backlog: PerClass::from_fn(|_| Duration::from_secs(60)),
            },
            max_batch_time: Duration::from_millis(1),
            max_queue_delay: Duration::ZERO,
            bulk_share: 0.1,
        };
        let costs = CostTable::new(Shapes::default(), |_, _| Duration::from_millis(1));
        let devices = vec![GatedDevice(ends)];
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
        let ticket = Arc::new(scheduler.admit(terms).unwrap());
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
    fn the_pieces_under_way_fit_the_bytes_that_were_announced() {
        for class in Class::ALL {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _inside = runtime.enter();
            let (_scheduler, ticket, end) = ticket(class);
            let (submitter, results) = channel(&ticket, class);
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
            // While the device runs the first piece, the thread does not pass the third. The timeout gives it
            // the time to do so if it could.
            let next = reaches.recv_timeout(Duration::from_millis(50));
            assert_eq!(next, Err(mpsc::RecvTimeoutError::Timeout));
            (0..10).for_each(|_| end.send(()).unwrap());
            pieces.join().unwrap().unwrap();
            let (lanes, _) = runtime.block_on(collected).unwrap().unwrap();
            assert!(matches!(&lanes[..], [LaneOutput::Features(features)] if features.len() == 10));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread")]
    async fn no_thread_for_idle_processors_takes_the_schedulers_lock() {
        use super::super::threads::tests::{IDLE, policy};

        let (_scheduler, ticket, _end) = ticket(Class::Bulk);
        let (submitter, _results) = channel(&ticket, Class::Bulk);
        let decoders = Decoders::start(1, 4).unwrap();
        let bulk = decoders.run(Class::Bulk, move || {
            (policy(), submitter.with_ticket(|_| policy()).unwrap())
        });
        let (own, normal) = bulk.await.unwrap();
        assert_eq!(own, IDLE);
        assert_ne!(normal, IDLE);
        let interactive = decoders.run(Class::Interactive, policy);
        assert_ne!(
            interactive.await.unwrap(),
            IDLE,
            "a blocking thread has normal priority"
        );
    }
}
