//! Cancellation races: a model checker runs the shell's threads in thousands of interleavings, in
//! which callers go away at any moment of their work's life.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::{check_pct, check_random, future::block_on, thread};

use super::core::{Bounds, Class, CostTable, Policy, Shapes, Work};
use super::{Chunk, Clock, Scheduler, Terms, Ticket};
use crate::bundle::Sequence;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{
    Device, Encoded, History, RuntimeError, SequenceBatch, Sizes, StepEvidence, StopHandle,
};

const INTERLEAVINGS: usize = 2_000;
/// Changes of priority among threads in an interleaving that is meant to meet a rare bug.
const DEPTH: usize = 4;

const SIZES: Sizes = Sizes {
    features: 1,
    sequence: Sequence::Recurrent {
        layers: 1,
        state: 1,
    },
    labels: 1,
    codes: None,
};

/// Counts what it runs, and is told to stop.
struct Counter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    segments: AtomicUsize,
    stopped: AtomicUsize,
}

impl StopHandle for Counts {
    fn stop(&self) {
        self.stopped.fetch_add(1, Ordering::SeqCst);
    }

    fn clear(&self) {}
}

impl Device for Counter {
    fn stopper(&self) -> Arc<dyn StopHandle> {
        Arc::clone(&self.0) as Arc<dyn StopHandle>
    }

    fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError> {
        // Somebody may go away while this runs.
        thread::yield_now();
        let rows = segments.len() / SEGMENT_VALUES;
        self.0.segments.fetch_add(rows, Ordering::SeqCst);
        Ok(Encoded {
            features: segments.iter().step_by(SEGMENT_VALUES).copied().collect(),
            codes: Vec::new(),
            distance: Vec::new(),
        })
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        thread::yield_now();
        Ok(StepEvidence {
            logits: batch.features.to_vec(),
            scores: batch.features.to_vec(),
            carried: batch
                .history
                .iter()
                .map(|state| state + 1.0)
                .collect::<Vec<_>>()
                .into(),
        })
    }
}

fn scheduler(workers: usize) -> (Arc<Scheduler>, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let devices = (0..workers).map(|_| Counter(Arc::clone(&counts))).collect();
    let policy = Policy {
        instances: workers,
        bounds: Bounds {
            jobs: 8,
            bytes: 1 << 30,
            backlog: [Duration::from_secs(60); 2],
        },
        max_batch_time: Duration::from_secs(1),
        max_queue_delay: Duration::ZERO,
        bulk_share: 0.1,
    };
    let costs = CostTable::new(Shapes::default(), |_, _| Duration::from_millis(1));
    let scheduler = Scheduler::start(devices, SIZES, policy, costs, Clock::driven()).unwrap();
    (Arc::new(scheduler), counts)
}

fn join(scheduler: &Scheduler) -> Ticket {
    let terms = Terms {
        tenant: "somebody".into(),
        weight: 1,
        class: Class::Interactive,
        deadline: None,
        work: Work {
            segments: 8,
            steps: 8,
        },
        bytes: 8 * SEGMENT_VALUES * size_of::<f32>(),
    };
    scheduler.join(terms).unwrap()
}

fn segments(value: f32, count: usize) -> Arc<Vec<f32>> {
    vec![value; count * SEGMENT_VALUES].into()
}

/// One goes away at any moment; the other is answered, with its own numbers, and nothing is left.
fn one_goes_another_is_answered() {
    let (scheduler, _) = scheduler(2);
    let going = {
        let scheduler = Arc::clone(&scheduler);
        thread::spawn(move || {
            let ticket = join(&scheduler);
            let waiter = ticket.encode(segments(1.0, 3)).unwrap();
            thread::yield_now();
            drop(waiter);
            // Before, between and after its graphs.
            let waiter = ticket.lane(0, segments(1.0, 2), vec![]).unwrap();
            thread::yield_now();
            drop(waiter);
            let waiter = ticket.encode(segments(1.0, 2)).unwrap();
            thread::yield_now();
            drop(ticket);
            drop(waiter);
        })
    };
    let staying = {
        let scheduler = Arc::clone(&scheduler);
        thread::spawn(move || {
            let ticket = join(&scheduler);
            let encoded = block_on(ticket.encode(segments(2.0, 2)).unwrap()).unwrap();
            assert_eq!(encoded.features, [2.0, 2.0]);
            let chunk = Chunk {
                features: encoded.features,
                history: History::new(SIZES),
            };
            let said = block_on(ticket.advance(0, 0, chunk).unwrap()).unwrap();
            assert_eq!(said.logits, [2.0, 2.0]);
            assert_eq!(said.history.values(), [1.0], "the state was handed on once");
        })
    };
    going.join().unwrap();
    staying.join().unwrap();
    // What was under way for the one who went runs out.
    while !scheduler.is_empty() {
        thread::yield_now();
    }
}

/// The scheduler closes while work is under way: that ends, and the workers with it.
fn closing_lets_what_is_under_way_end() {
    let (scheduler, counts) = scheduler(2);
    let ticket = join(&scheduler);
    let waiter = ticket.lane(0, segments(1.0, 4), vec![]).unwrap();
    let closing = thread::spawn(move || drop(scheduler));
    assert_eq!(block_on(waiter).unwrap().logits, [1.0; 4]);
    closing.join().unwrap();
    assert_eq!(counts.segments.load(Ordering::SeqCst), 4);
    assert!(ticket.encode(segments(1.0, 1)).is_err(), "closed");
}

/// Whoever waits alone for a batch and goes has it stopped at most once, and never another's.
fn a_stop_meets_its_own_batch_alone() {
    let (scheduler, counts) = scheduler(1);
    let ticket = join(&scheduler);
    let waiter = ticket.encode(segments(1.0, 1)).unwrap();
    let going = thread::spawn(move || drop(waiter));
    going.join().unwrap();
    assert!(counts.stopped.load(Ordering::SeqCst) <= 1);
    let next = block_on(ticket.encode(segments(3.0, 1)).unwrap()).unwrap();
    assert_eq!(next.features, [3.0]);
    assert!(counts.stopped.load(Ordering::SeqCst) <= 1);
}

#[test]
fn callers_may_go_at_any_moment() {
    check_random(one_goes_another_is_answered, INTERLEAVINGS);
    check_pct(one_goes_another_is_answered, INTERLEAVINGS, DEPTH);
}

#[test]
fn the_scheduler_may_close_at_any_moment() {
    check_random(closing_lets_what_is_under_way_end, INTERLEAVINGS);
    check_pct(closing_lets_what_is_under_way_end, INTERLEAVINGS, DEPTH);
}

#[test]
fn a_stop_may_come_at_any_moment() {
    check_random(a_stop_meets_its_own_batch_alone, INTERLEAVINGS);
    check_pct(a_stop_meets_its_own_batch_alone, INTERLEAVINGS, DEPTH);
}
