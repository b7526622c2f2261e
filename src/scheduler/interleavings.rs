//! Cancellation races: a model checker runs the shell's threads in thousands of interleavings, in which callers give
//! their work up at any moment.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::{check_pct, check_random, future::block_on, thread};

use ndarray::{ArrayView4, Axis, s};

use super::core::{Bounds, Class, CostTable, PerClass, Policy, Shapes, Work};
use super::{Chunk, Clock, Scheduler, Terms, Ticket};
use crate::bundle::Sequence;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{
    Device, Encoded, History, RuntimeError, SequenceBatch, Sizes, StepEvidence, StopHandle,
};

const INTERLEAVINGS: usize = 2_000;
/// Changes of priority among threads in an interleaving of the strategy that searches for rare bugs (PCT).
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

/// A device that counts the segments that it runs and the stops that it gets.
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
    fn stop_handle(&self) -> Arc<dyn StopHandle> {
        Arc::clone(&self.0) as Arc<dyn StopHandle>
    }

    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
        // A caller may give up while this runs.
        thread::yield_now();
        let rows = segments.len_of(Axis(0));
        self.0.segments.fetch_add(rows, Ordering::SeqCst);
        Ok(Encoded {
            features: segments.slice(s![.., 0, 0, ..1]).to_owned(),
            codes: None,
            distance: None,
        })
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        thread::yield_now();
        Ok(StepEvidence {
            logits: batch.features.to_owned(),
            scores: batch.features.index_axis(Axis(2), 0).to_owned(),
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
            backlog: PerClass::from_fn(|_| Duration::from_secs(60)),
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
    scheduler.admit(terms).unwrap()
}

fn segments(value: f32, count: usize) -> Arc<Vec<f32>> {
    vec![value; count * SEGMENT_VALUES].into()
}

/// One caller gives up at any moment. The other is answered, with its own numbers, and nothing is left.
fn one_gives_up_and_another_is_answered() {
    let (scheduler, _) = scheduler(2);
    let leaving = {
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
            let output = block_on(ticket.advance(0, 0, chunk).unwrap()).unwrap();
            assert_eq!(output.logits, [2.0, 2.0]);
            assert_eq!(output.history.values(), [1.0], "the state advanced once");
        })
    };
    leaving.join().unwrap();
    staying.join().unwrap();
    // The batches of the caller that left run to their end.
    while !scheduler.is_empty() {
        thread::yield_now();
    }
}

/// The scheduler closes while work is under way. The work runs to its end, and the workers end after it.
fn work_under_way_runs_to_its_end_when_the_scheduler_closes() {
    let (scheduler, counts) = scheduler(2);
    let ticket = join(&scheduler);
    let waiter = ticket.lane(0, segments(1.0, 4), vec![]).unwrap();
    let closing = thread::spawn(move || drop(scheduler));
    assert_eq!(block_on(waiter).unwrap().logits, [1.0; 4]);
    closing.join().unwrap();
    assert_eq!(counts.segments.load(Ordering::SeqCst), 4);
    assert!(ticket.encode(segments(1.0, 1)).is_err(), "closed");
}

/// A caller that gives up the only entry of a batch stops that batch at most once, and never another's.
fn a_stop_reaches_only_its_own_batch() {
    let (scheduler, counts) = scheduler(1);
    let ticket = join(&scheduler);
    let waiter = ticket.encode(segments(1.0, 1)).unwrap();
    let leaving = thread::spawn(move || drop(waiter));
    leaving.join().unwrap();
    assert!(counts.stopped.load(Ordering::SeqCst) <= 1);
    let next = block_on(ticket.encode(segments(3.0, 1)).unwrap()).unwrap();
    assert_eq!(next.features, [3.0]);
    assert!(counts.stopped.load(Ordering::SeqCst) <= 1);
}

#[test]
fn callers_may_give_up_at_any_moment() {
    check_random(one_gives_up_and_another_is_answered, INTERLEAVINGS);
    check_pct(one_gives_up_and_another_is_answered, INTERLEAVINGS, DEPTH);
}

#[test]
fn the_scheduler_may_close_at_any_moment() {
    check_random(
        work_under_way_runs_to_its_end_when_the_scheduler_closes,
        INTERLEAVINGS,
    );
    check_pct(
        work_under_way_runs_to_its_end_when_the_scheduler_closes,
        INTERLEAVINGS,
        DEPTH,
    );
}

#[test]
fn a_stop_may_come_at_any_moment() {
    check_random(a_stop_reaches_only_its_own_batch, INTERLEAVINGS);
    check_pct(a_stop_reaches_only_its_own_batch, INTERLEAVINGS, DEPTH);
}
