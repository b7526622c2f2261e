//! The members of a batch do not change each other's results. Tested with real audio and real ONNX Runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ndarray::ArrayView4;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::audio::{self, Encoding, LaneChoice, Limits};
use undertone::bundle::{Bundle, embedded};
use undertone::frontend::{SEGMENT_VALUES, Segmenter, Segments};
use undertone::runtime::{
    Device, Encoded, History, Instance, Library, RuntimeError, SequenceBatch, Sizes, StepEvidence,
    StopHandle,
};
use undertone::scheduler::core::{Bounds, Class, CostTable, PerClass, Policy, Shapes, Work};
use undertone::scheduler::{Chunk, Clock, Failure, Scheduler, SequenceOutput, Terms, Ticket};

/// The largest relative difference between a result alone and in a batch with others.
const TOLERANCE: f32 = 1e-5;
/// A segment that begins with this value fails every batch that it is in.
const POISON: f32 = 12_345.0;

/// ONNX Runtime, which also fails on [`POISON`] as on an error of its own.
struct Fallible(Instance);

impl Device for Fallible {
    fn stop_handle(&self) -> Arc<dyn StopHandle> {
        self.0.stop_handle()
    }

    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError> {
        if segments
            .outer_iter()
            .any(|segment| segment[[0, 0, 0]] == POISON)
        {
            return Err(RuntimeError::Panicked);
        }
        self.0.encode(segments)
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        self.0.sequence(batch)
    }
}

fn scheduler(bundle: &Bundle, workers: usize) -> Scheduler {
    let library = Library::load(None).unwrap();
    let sizes = Sizes::of(&bundle.manifest);
    let devices = (0..workers)
        .map(|_| Fallible(Instance::open(&library, bundle).unwrap()))
        .collect();
    let policy = Policy {
        instances: workers,
        bounds: Bounds {
            jobs: 1_000,
            bytes: 1 << 30,
            backlog: PerClass::from_fn(|_| Duration::from_secs(1_000)),
        },
        max_batch_time: Duration::from_secs(1),
        max_queue_delay: Duration::ZERO,
        bulk_share: 0.1,
    };
    // By this table the largest batches pay, so that requests share batches as often as they can.
    let costs = CostTable::new(Shapes::default(), |_, _| Duration::from_millis(1));
    Scheduler::start(devices, sizes, policy, costs, Clock::system()).unwrap()
}

fn join(scheduler: &Scheduler, segments: usize, class: Class) -> Ticket {
    let work = Work {
        segments,
        steps: segments,
    };
    let terms = Terms {
        tenant: "somebody".into(),
        weight: 1,
        class,
        deadline: None,
        work,
        bytes: segments * SEGMENT_VALUES * 4 + (1 << 20),
    };
    scheduler.admit(terms).unwrap()
}

/// Returns the outputs of all chunks of a recording.
async fn outputs(
    scheduler: &Scheduler,
    sizes: Sizes,
    segments: Arc<Vec<f32>>,
    class: Class,
) -> Result<Vec<SequenceOutput>, Failure> {
    let ticket = join(scheduler, segments.len() / SEGMENT_VALUES, class);
    let encoded = ticket.encode(segments).unwrap().await?;
    let mut history = History::new(sizes);
    let mut all = Vec::new();
    let steps = scheduler.most_steps();
    for (number, features) in encoded.features.chunks(steps * sizes.features).enumerate() {
        let chunk = Chunk {
            features: features.to_vec(),
            history,
        };
        let output = ticket.advance(0, number * steps, chunk).unwrap().await?;
        history = output.history.clone();
        all.push(output);
    }
    Ok(all)
}

/// Returns the outputs of each recording when it is alone.
async fn one_by_one(
    scheduler: &Scheduler,
    sizes: Sizes,
    recordings: &[Arc<Vec<f32>>],
) -> Vec<Vec<SequenceOutput>> {
    let mut alone = Vec::new();
    for recording in recordings {
        let recording = Arc::clone(recording);
        let all = outputs(scheduler, sizes, recording, Class::Interactive).await;
        alone.push(all.unwrap());
    }
    alone
}

/// Returns the segments of parts of two real recordings, of random lengths and from random places.
fn recordings(bundle: &Bundle, count: usize) -> Vec<Arc<Vec<f32>>> {
    let lanes = [common::book(), common::call()].map(|audio| {
        let limits = Limits::default();
        audio::decode(&audio, Encoding::Auto, LaneChoice::Each, &limits)
            .unwrap()
            .lanes
    });
    let lanes: Vec<Vec<f32>> = lanes.into_iter().flatten().collect();
    let mut random = StdRng::seed_from_u64(11);
    (0..count)
        .map(|_| {
            let lane = &lanes[random.random_range(..lanes.len())];
            let length = random.random_range(5_000..lane.len());
            let from = random.random_range(..lane.len() - length);
            let mut segmenter = Segmenter::new(Arc::new(bundle.manifest.frontend.clone()));
            let mut segments = Segments::default();
            segmenter
                .push(&lane[from..from + length], &mut segments)
                .unwrap();
            segmenter.finish(&mut segments).unwrap();
            segments.into_values().into()
        })
        .collect()
}

fn assert_same(alone: &[SequenceOutput], together: &[SequenceOutput]) {
    assert_eq!(alone.len(), together.len());
    for (alone, together) in alone.iter().zip(together) {
        for (alone, together) in [
            (&alone.logits, &together.logits),
            (&alone.scores, &together.scores),
        ] {
            let largest = alone
                .iter()
                .fold(1.0f32, |most, value| most.max(value.abs()));
            for (a, b) in alone.iter().zip(together) {
                assert!(
                    (a - b).abs() <= TOLERANCE * largest,
                    "{a} alone, {b} with others"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_other_members_of_a_batch_change_nothing() {
    let bundle = Bundle::from_files(embedded::files()).unwrap();
    let sizes = Sizes::of(&bundle.manifest);
    let recordings = recordings(&bundle, 40);
    let scheduler = scheduler(&bundle, 2);
    let alone = one_by_one(&scheduler, sizes, &recordings).await;
    for round in 0..3 {
        let together = recordings.iter().enumerate().map(|(number, recording)| {
            let class = Class::ALL[(number + round) % 2];
            outputs(&scheduler, sizes, Arc::clone(recording), class)
        });
        for (alone, together) in alone.iter().zip(join_all(together).await) {
            assert_same(alone, &together.unwrap());
        }
    }
}

#[tokio::test]
async fn a_poisoned_member_fails_alone() {
    let bundle = Bundle::from_files(embedded::files()).unwrap();
    let sizes = Sizes::of(&bundle.manifest);
    let recordings = recordings(&bundle, 24);
    let scheduler = scheduler(&bundle, 1);
    let alone = one_by_one(&scheduler, sizes, &recordings).await;
    let poisoned = |number: usize| {
        let mut recording = recordings[number].to_vec();
        recording[0] = match number % 8 {
            3 => f32::NAN,
            5 => POISON,
            _ => return (Arc::clone(&recordings[number]), None),
        };
        (Arc::from(recording), Some(number % 8 == 3))
    };
    let together = (0..recordings.len())
        .map(|number| outputs(&scheduler, sizes, poisoned(number).0, Class::Interactive));
    for (number, together) in join_all(together).await.into_iter().enumerate() {
        match (poisoned(number).1, together) {
            (None, together) => assert_same(&alone[number], &together.unwrap()),
            (Some(true), failed) => assert_eq!(failed.unwrap_err(), Failure::NotFinite),
            (Some(false), failed) => {
                let failed = failed.unwrap_err();
                assert!(matches!(failed, Failure::Failed(_)), "{failed}");
            }
        }
    }
}
