//! Tests of the shell, with devices that the tests control and a clock that they drive.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures_util::future::join_all;
use ndarray::{Array2, Array3, ArrayView4, Axis};

use super::core::{Bounds, Class, CostTable, End, PerClass, Policy, Refusal, Shapes, Work};
use super::{Chunk, Clock, Failure, Scheduler, SequenceOutput, Terms, Ticket, Waiter};
use crate::bundle::Sequence;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{
    Device, Encoded, History, RuntimeError, SequenceBatch, Sizes, StepEvidence, StopHandle,
};

const SIZES: Sizes = Sizes {
    features: 1,
    sequence: Sequence::Recurrent {
        layers: 1,
        state: 1,
    },
    labels: 2,
    codes: None,
};

/// Real steps of each chunk, for each batch.
type Batches = Arc<Mutex<Vec<Vec<usize>>>>;

/// A device on which a stream's state is the sum of its features so far.
struct Adder {
    /// An encoder batch waits for a message to end, so a test can fill the queue meanwhile.
    encoded: mpsc::Receiver<()>,
    batches: Batches,
}

#[derive(Debug)]
struct Unstoppable;

impl StopHandle for Unstoppable {
    fn stop(&self) {}
    fn clear(&self) {}
}

impl Device for Adder {
    fn stop_handle(&self) -> Arc<dyn StopHandle> {
        Arc::new(Unstoppable)
    }

    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
        self.encoded.recv().unwrap();
        Ok(Encoded {
            features: Array2::ones((segments.len_of(Axis(0)), 1)),
            codes: None,
            distance: None,
        })
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        self.batches.lock().unwrap().push(batch.real.to_vec());
        let (rows, steps, _) = batch.features.dim();
        let mut sums: Vec<f32> = batch.history.iter().copied().collect();
        let (mut logits, mut scores) = (
            Array3::zeros((rows, steps, 2)),
            Array2::zeros((rows, steps)),
        );
        for (row, sum) in sums.iter_mut().enumerate() {
            for step in 0..steps {
                if step < batch.real[row] {
                    *sum += batch.features[[row, step, 0]];
                }
                logits[[row, step, 0]] = *sum;
                logits[[row, step, 1]] = -*sum;
                scores[[row, step]] = *sum;
            }
        }
        Ok(StepEvidence {
            logits,
            scores,
            carried: sums.into(),
        })
    }
}

fn policy(instances: usize) -> Policy {
    Policy {
        instances,
        bounds: Bounds {
            jobs: 100,
            bytes: 1 << 30,
            backlog: PerClass::from_fn(|_| Duration::from_secs(60)),
        },
        max_batch_time: Duration::from_secs(1),
        max_queue_delay: Duration::ZERO,
        bulk_share: 0.1,
    }
}

/// Starts a scheduler. A batch costs 10 ms, whatever its size, so the largest batches pay.
fn start<D: Device + 'static>(devices: Vec<D>, policy: Policy, clock: &Clock) -> Scheduler {
    let costs = CostTable::new(Shapes::default(), |_, _| Duration::from_millis(10));
    Scheduler::start(devices, SIZES, policy, costs, clock.clone()).unwrap()
}

fn terms() -> Terms {
    Terms {
        tenant: "somebody".into(),
        weight: 1,
        class: Class::Interactive,
        deadline: None,
        work: Work {
            segments: 100,
            steps: 100,
        },
        bytes: 100 * SEGMENT_VALUES * size_of::<f32>(),
    }
}

fn join(scheduler: &Scheduler) -> Ticket {
    scheduler.admit(terms()).unwrap()
}

fn segments(count: usize) -> Arc<Vec<f32>> {
    vec![0.0; count * SEGMENT_VALUES].into()
}

/// A device that reports each encoder batch, and then waits for a message about how it ends: well, or not.
struct ControlledDevice {
    begun: mpsc::Sender<usize>,
    ends: mpsc::Receiver<bool>,
    stops: Arc<Stops>,
}

#[derive(Debug, Default)]
struct Stops(AtomicUsize);

impl StopHandle for Stops {
    fn stop(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn clear(&self) {}
}

impl Device for ControlledDevice {
    fn stop_handle(&self) -> Arc<dyn StopHandle> {
        Arc::clone(&self.stops) as Arc<dyn StopHandle>
    }

    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
        let rows = segments.len_of(Axis(0));
        self.begun.send(rows).unwrap();
        match self.ends.recv() {
            Ok(true) => Ok(Encoded {
                features: Array2::from_elem((rows, 1), rows as f32),
                codes: None,
                distance: None,
            }),
            Ok(false) | Err(_) => Err(RuntimeError::Panicked),
        }
    }

    fn sequence(&mut self, _: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        Err(RuntimeError::Panicked)
    }
}

/// A scheduler with one such device, and the test's ends of its channels.
struct Bench {
    scheduler: Scheduler,
    clock: Clock,
    begun: mpsc::Receiver<usize>,
    ends: mpsc::Sender<bool>,
    stops: Arc<Stops>,
}

impl Bench {
    fn new(policy: Policy) -> Self {
        let (begun, runs) = mpsc::channel();
        let (ends, messages) = mpsc::channel();
        let (clock, stops) = (Clock::driven(), Arc::<Stops>::default());
        let device = ControlledDevice {
            begun,
            ends: messages,
            stops: Arc::clone(&stops),
        };
        Self {
            scheduler: start(vec![device], policy, &clock),
            clock,
            begun: runs,
            ends,
            stops,
        }
    }

    fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
        self.scheduler.tick();
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_done_in_time_any_more_ends_before_its_deadline() {
    let bench = Bench::new(policy(1));
    let first = join(&bench.scheduler);
    let running = first.encode(segments(1)).unwrap();
    assert_eq!(bench.begun.recv().unwrap(), 1);
    let deadline = bench.clock.instant(Duration::from_millis(5_000));
    let urgent = Terms {
        deadline: Some(deadline),
        ..terms()
    };
    let mut urgent = bench.scheduler.admit(urgent).unwrap();
    let late = urgent.encode(segments(1)).unwrap();
    // 10 ms are left, and each graph takes 10 ms.
    bench.advance(4_990);
    bench.ends.send(true).unwrap();
    assert!(running.await.is_ok());
    assert_eq!(late.await, Err(Failure::Expired));
    assert_eq!(urgent.ended().await, End::Expired);
    let refused = urgent.encode(segments(1)).unwrap_err();
    assert_eq!(refused, Refusal::Ended(Some(End::Expired)));
}

#[tokio::test]
async fn a_free_device_waits_for_further_members_as_long_as_the_policy_allows() {
    let bench = Bench::new(Policy {
        max_queue_delay: Duration::from_millis(7),
        ..policy(1)
    });
    let ticket = join(&bench.scheduler);
    let one = ticket.encode(segments(1)).unwrap();
    bench.advance(6);
    let two = ticket.encode(segments(2)).unwrap();
    assert!(bench.begun.try_recv().is_err(), "it did not wait");
    bench.advance(1);
    assert_eq!(bench.begun.recv().unwrap(), 4, "three segments, padded");
    bench.ends.send(true).unwrap();
    assert!(one.await.is_ok() && two.await.is_ok());
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_is_stopped() {
    let bench = Bench::new(policy(1));
    let ticket = join(&bench.scheduler);
    let waiter = ticket.encode(segments(1)).unwrap();
    bench.begun.recv().unwrap();
    assert_eq!(bench.stops.0.load(Ordering::SeqCst), 0);
    drop(waiter);
    assert_eq!(bench.stops.0.load(Ordering::SeqCst), 1);
    bench.ends.send(false).unwrap();
    let next = ticket.encode(segments(1)).unwrap();
    bench.begun.recv().unwrap();
    bench.ends.send(true).unwrap();
    assert!(next.await.is_ok());
}

#[tokio::test]
async fn the_members_of_a_failed_batch_run_again_alone() {
    let bench = Bench::new(policy(1));
    let ticket = join(&bench.scheduler);
    let first = ticket.encode(segments(1)).unwrap();
    assert_eq!(bench.begun.recv().unwrap(), 1);
    let [two, three] = [2, 3].map(|count| ticket.encode(segments(count)).unwrap());
    bench.ends.send(true).unwrap();
    assert!(first.await.is_ok());
    assert_eq!(bench.begun.recv().unwrap(), 8, "both, padded");
    bench.ends.send(false).unwrap();
    assert_eq!(bench.begun.recv().unwrap(), 2, "the first alone");
    bench.ends.send(false).unwrap();
    assert_eq!(bench.begun.recv().unwrap(), 4, "the second alone");
    bench.ends.send(true).unwrap();
    assert!(matches!(two.await, Err(Failure::Failed(_))));
    assert_eq!(three.await.unwrap().features.len(), 3);
}

/// Returns a scheduler with an [`Adder`], the channel that ends its encoder batches, and the steps of its sequence
/// batches.
fn adding() -> (Scheduler, mpsc::Sender<()>, Batches) {
    let (end_encoding, encoded) = mpsc::channel();
    let batches = Arc::new(Mutex::new(Vec::new()));
    let device = Adder {
        encoded,
        batches: Arc::clone(&batches),
    };
    let scheduler = start(vec![device], policy(1), &Clock::driven());
    (scheduler, end_encoding, batches)
}

fn up_to(steps: usize) -> impl Iterator<Item = f32> {
    (1..=steps).map(|step| step as f32)
}

#[tokio::test]
async fn a_lane_runs_through_both_graphs_in_chunks_and_with_a_new_state_at_each_start() {
    let (scheduler, end_encoding, batches) = adding();
    let ticket = join(&scheduler);
    let lane = ticket.lane(7, segments(40), vec![0, 35]).unwrap();
    // Two batches of the encoder.
    end_encoding.send(()).unwrap();
    end_encoding.send(()).unwrap();
    let output = lane.await.unwrap();
    let sums: Vec<f32> = up_to(35).chain(up_to(5)).collect();
    assert_eq!(output.scores, sums);
    assert_eq!(output.logits.len(), 2 * sums.len());
    assert_eq!(output.history.values(), [5.0]);
    assert_eq!(*batches.lock().unwrap(), [[32], [3], [5]]);
    // The stream continues where the lane left it.
    let chunk = Chunk {
        features: vec![1.0],
        history: output.history,
    };
    let output = ticket.advance(7, 40, chunk).unwrap().await.unwrap();
    assert_eq!(output.scores, [6.0]);
}

#[tokio::test]
async fn features_run_through_the_sequence_alone_and_empty_ones_are_refused() {
    let (scheduler, _, batches) = adding();
    let ticket = join(&scheduler);
    let lane = ticket.sequence(0, vec![1.0; 33], vec![]).unwrap();
    assert_eq!(lane.await.unwrap().scores, up_to(33).collect::<Vec<_>>());
    assert_eq!(*batches.lock().unwrap(), [[32], [1]]);
    let refused = ticket.sequence(1, vec![], vec![]).unwrap_err();
    assert_eq!(refused, Refusal::Terms("nothing to run"));
}

#[tokio::test]
async fn a_lane_fails_if_its_sequence_batch_fails() {
    let bench = Bench::new(policy(1));
    let ticket = join(&bench.scheduler);
    let lane = ticket.lane(0, segments(2), vec![]).unwrap();
    bench.begun.recv().unwrap();
    bench.ends.send(true).unwrap();
    assert!(matches!(lane.await, Err(Failure::Failed(_))));
    drop(ticket);
    assert!(bench.scheduler.is_empty());
}

#[tokio::test]
async fn a_lane_that_becomes_too_late_between_its_graphs_expires() {
    let bench = Bench::new(policy(1));
    let deadline = bench.clock.instant(Duration::from_millis(5_000));
    let urgent = Terms {
        deadline: Some(deadline),
        ..terms()
    };
    let ticket = bench.scheduler.admit(urgent).unwrap();
    let lane = ticket.lane(0, segments(2), vec![]).unwrap();
    bench.begun.recv().unwrap();
    // The sequence takes 10 ms, and 9 are left.
    bench.advance(4_991);
    bench.ends.send(true).unwrap();
    assert_eq!(lane.await, Err(Failure::Expired));
}

#[tokio::test]
async fn a_lane_that_nobody_waits_for_does_not_advance() {
    let (scheduler, end_encoding, batches) = adding();
    let ticket = join(&scheduler);
    drop(ticket.lane(0, segments(2), vec![]).unwrap());
    let after = ticket.encode(segments(1)).unwrap();
    // The first batch may be under way, or may never have begun.
    end_encoding.send(()).unwrap();
    end_encoding.send(()).unwrap();
    assert!(after.await.is_ok());
    drop(ticket);
    drop(scheduler);
    assert!(batches.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_stream_keeps_its_own_state_through_batches_of_unequal_chunks() {
    let (scheduler, end_encoding, batches) = adding();
    let lengths = [[3, 8], [7, 1], [5, 5]];
    let mut histories = lengths.map(|_| History::new(SIZES));
    let mut sums_so_far = [0.0; 3];
    let encoder = join(&scheduler);
    let tickets = lengths.map(|_| join(&scheduler));
    for round in 0..2 {
        let segment: Arc<Vec<f32>> = vec![0.0; SEGMENT_VALUES].into();
        let encoding = encoder.encode(segment).unwrap();
        let waiters: Vec<Waiter<SequenceOutput>> = lengths
            .iter()
            .zip(&histories)
            .enumerate()
            .map(|(stream, (steps, history))| {
                let chunk = Chunk {
                    features: vec![stream as f32 + 1.0; steps[round]],
                    history: history.clone(),
                };
                let from = if round == 0 { 0 } else { lengths[stream][0] };
                tickets[stream].advance(0, from, chunk).unwrap()
            })
            .collect();
        end_encoding.send(()).unwrap();
        encoding.await.unwrap();
        for (stream, answer) in join_all(waiters).await.into_iter().enumerate() {
            let evidence = answer.unwrap();
            let steps = 1..=lengths[stream][round];
            let sums: Vec<f32> = steps
                .map(|step| sums_so_far[stream] + step as f32 * (stream as f32 + 1.0))
                .collect();
            assert_eq!(evidence.scores, sums);
            assert_eq!(evidence.logits.len(), 2 * sums.len());
            sums_so_far[stream] = sums[sums.len() - 1];
            assert_eq!(evidence.history.values(), [sums_so_far[stream]]);
            histories[stream] = evidence.history;
        }
    }
    assert_eq!(
        *batches.lock().unwrap(),
        [[3, 7, 5, 0], [8, 1, 5, 0]],
        "the chunks share batches, padded to four rows"
    );
}
