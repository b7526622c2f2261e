//! Batches: what the contract, determinism and balance ask of them.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use undertone::frontend::{Segmenter, Segments, Spec};

use super::*;
use crate::augment::tests::{frames_of, sound};
use crate::corpus::Corpus;

/// Utterances of given lengths in frames; their frames say who they are.
fn corpus(members: &[(Corpus, Option<usize>, usize)]) -> (Features, Vec<Utterance>) {
    let mut features = Features::default();
    let mut utterances = Vec::new();
    for (number, &(corpus, label, frames)) in members.iter().enumerate() {
        let frames = (0..frames * BINS).map(|i| {
            -20.0 + number as f32 * 1e-2 + (i / BINS) as f32 * 1e-3 + (i % BINS) as f32 * 0.1
        });
        features.frames.push(frames.collect());
        features.hashes.push([number as u8; 32]);
        utterances.push(Utterance {
            path: format!("{number}.wav").into(),
            corpus,
            speaker: format!("{corpus}/{number}"),
            label,
        });
    }
    (features, utterances)
}

fn statistics() -> Statistics {
    Statistics {
        mean: vec![-12.0; BINS],
        deviation: vec![3.0; BINS],
    }
}

fn options(batch: usize, max_steps: usize, augment: Augment) -> SamplerOptions {
    SamplerOptions {
        batch,
        max_steps,
        augment,
        ..SamplerOptions::default()
    }
}

fn everyone(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// 3 corpora, unlike in size, all four classes.
fn three_corpora() -> (Features, Vec<Utterance>) {
    let mut members = Vec::new();
    for (corpus, size) in [
        (Corpus::Ravdess, 40),
        (Corpus::BanglaSer, 90),
        (Corpus::EmoDb, 10),
    ] {
        // Classes unlike in size too.
        members.extend(
            (0..size).map(|i| (corpus, Some([0, 1, 1, 2, 2, 2, 3, 3, 3, 3][i % 10]), 40 + i)),
        );
    }
    corpus(&members)
}

#[test]
fn whole_utterances_are_what_the_server_hears() {
    let statistics = statistics();
    let spec =
        Arc::new(Spec::new(16, statistics.mean.clone(), statistics.deviation.clone()).unwrap());
    for samples in [4_224, 4_224 + 7 * 128, 4_224 + 8 * 128, 16_000, 33_333] {
        let samples = sound(1, samples);
        let (mut features, utterances) = corpus(&[(Corpus::EmoDb, Some(2), 32)]);
        features.frames[0] = frames_of(&samples);
        let sampler = Sampler::new(
            &features,
            &utterances,
            &[0],
            statistics.clone(),
            SamplerOptions::default(),
        )
        .unwrap();
        let batch = sampler.whole(0);
        let mut segmenter = Segmenter::new(Arc::clone(&spec));
        let mut heard = Segments::default();
        segmenter.push(&samples, &mut heard).unwrap();
        segmenter.finish(&mut heard).unwrap();
        assert_eq!(batch.lengths, [heard.len()]);
        assert_eq!(batch.labels, [2]);
        let expected = heard.into_values();
        assert!(batch.segments == expected);
    }
}

#[test]
fn a_batch_depends_on_seed_epoch_and_step_alone() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let make = || {
        Sampler::new(
            &features,
            &utterances,
            &indices,
            statistics(),
            options(8, 3, Augment::default()),
        )
        .unwrap()
    };
    let first = make();
    let run: Vec<Batch> = (0..4).map(|step| first.batch(1, 2, step)).collect();
    assert_eq!(make().batch(1, 2, 3), run[3]);
    assert_eq!(first.batch(1, 2, 0), run[0]);
    for other in [first.batch(2, 2, 0), first.batch(1, 3, 0), run[1].clone()] {
        assert_ne!(other.segments, run[0].segments);
    }
    assert_eq!(
        first.segment_batch(1, 0, 5, 4),
        make().segment_batch(1, 0, 5, 4)
    );
    assert_ne!(
        first.segment_batch(1, 0, 5, 4),
        first.segment_batch(1, 0, 6, 4)
    );
}

#[test]
fn an_unbalanced_epoch_draws_every_utterance_once() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let options = SamplerOptions {
        balance: false,
        ..options(20, 2, Augment::none())
    };
    let sampler = Sampler::new(&features, &utterances, &indices, statistics(), options).unwrap();
    assert_eq!(sampler.steps_per_epoch(), 7);
    let mut drawn: Vec<usize> = (0..7)
        .flat_map(|step| sampler.batch(3, 0, step).utterances)
        .collect();
    drawn.sort_unstable();
    assert_eq!(drawn, indices);
}

#[test]
fn balanced_batches_hold_every_class_alike_and_corpora_by_the_root_of_their_size() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let sampler = Sampler::new(
        &features,
        &utterances,
        &indices,
        statistics(),
        options(32, 2, Augment::none()),
    )
    .unwrap();
    let mut corpora: HashMap<Corpus, f64> = HashMap::new();
    let mut rarest = HashMap::new();
    for step in 0..100 {
        let batch = sampler.batch(1, 0, step);
        assert_eq!(batch.len(), 32);
        for class in 0..4 {
            let count = batch.labels.iter().filter(|&&label| label == class).count();
            assert!((7..=9).contains(&count), "{count} of class {class}");
        }
        for &index in &batch.utterances {
            *corpora.entry(utterances[index].corpus).or_default() += 1.0;
            if utterances[index].corpus == Corpus::Ravdess && utterances[index].label == Some(0) {
                *rarest.entry(index).or_insert(0) += 1;
            }
        }
    }
    let roots: f64 = [40f64, 90.0, 10.0].iter().map(|size| size.sqrt()).sum();
    for (corpus, size) in [
        (Corpus::Ravdess, 40f64),
        (Corpus::BanglaSer, 90.0),
        (Corpus::EmoDb, 10.0),
    ] {
        assert!(
            (corpora[&corpus] / 3_200.0 - size.sqrt() / roots).abs() < 0.01,
            "{corpus}"
        );
    }
    // Without replacement within its cell: nobody is drawn twice more often than another.
    let counts: Vec<i32> = rarest.into_values().collect();
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
}

#[test]
fn without_augmentation_a_crop_is_a_piece_of_the_utterance() {
    let (features, utterances) =
        corpus(&[(Corpus::EmoDb, Some(0), 200), (Corpus::EmoDb, Some(1), 32)]);
    let sampler = Sampler::new(
        &features,
        &utterances,
        &[0, 1],
        statistics(),
        options(4, 3, Augment::none()),
    )
    .unwrap();
    for step in 0..20 {
        let batch = sampler.batch(1, 0, step);
        assert_eq!(
            batch.segments.len(),
            batch.len() * batch.steps * SEGMENT_VALUES
        );
        assert_eq!(batch.steps, *batch.lengths.iter().max().unwrap());
        for (slot, (&length, &index)) in batch.lengths.iter().zip(&batch.utterances).enumerate() {
            let mut frames = features.frames[index].clone();
            normalise(&mut frames, &statistics());
            let segments = &batch.segments[slot * batch.steps * SEGMENT_VALUES..]
                [..batch.steps * SEGMENT_VALUES];
            let first = &segments[..SEGMENT_VALUES];
            let start = (0..=frames.len() / BINS - SEGMENT_FRAMES)
                .find(|start| &frames[start * BINS..][..SEGMENT_VALUES] == first);
            let start = start.expect("no piece of the utterance");
            if length > 1 && length == batch.steps && batch.steps == 3 {
                let second = &segments[SEGMENT_VALUES..2 * SEGMENT_VALUES];
                assert_eq!(&frames[(start + 16) * BINS..][..SEGMENT_VALUES], second);
            }
            assert!(
                segments[length * SEGMENT_VALUES..]
                    .iter()
                    .all(|&value| value == 0.0)
            );
        }
    }
    assert!(sampler.whole(7).is_empty());
}

#[test]
fn evaluation_hears_everybody_once_with_little_padding() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let sampler = Sampler::new(
        &features,
        &utterances,
        &indices,
        statistics(),
        SamplerOptions::default(),
    )
    .unwrap();
    let mut heard = Vec::new();
    for batch in sampler.evaluation_batches(&indices, 16) {
        assert!(batch.lengths.is_sorted_by(|a, b| a >= b));
        for (slot, &index) in batch.utterances.iter().enumerate() {
            let alone = sampler.whole(index);
            let length = alone.segments.len();
            assert_eq!(
                batch.segments[slot * batch.steps * SEGMENT_VALUES..][..length],
                alone.segments
            );
            heard.push(index);
        }
    }
    heard.sort_unstable();
    assert_eq!(heard, indices);
}

#[test]
fn unlabelled_utterances_give_segments_but_no_batches() {
    let (features, utterances) = corpus(&[
        (Corpus::LibriSpeech, None, 50),
        (Corpus::LibriSpeech, None, 60),
    ]);
    let sampler = Sampler::new(
        &features,
        &utterances,
        &[0, 1],
        statistics(),
        options(4, 3, Augment::none()),
    )
    .unwrap();
    assert_eq!(sampler.steps_per_epoch(), 0);
    assert!(sampler.batch(0, 0, 0).is_empty());
    assert_eq!(sampler.whole(1).labels, [UNLABELLED]);
    assert_eq!(sampler.segment_batch(0, 0, 0, 9).len(), 9 * SEGMENT_VALUES);
}

#[test]
fn what_cannot_make_a_batch_is_refused() {
    let (features, utterances) =
        corpus(&[(Corpus::EmoDb, Some(0), 40), (Corpus::EmoDb, Some(0), 31)]);
    let make = |indices: &[usize], options| {
        Sampler::new(&features, &utterances, indices, statistics(), options).map(|_| ())
    };
    let good = SamplerOptions::default;
    assert!(make(&[0], good()).is_ok());
    assert!(make(&[], good()).is_err());
    assert!(make(&[1], good()).is_err());
    assert!(make(&[2], good()).is_err());
    assert!(make(&[0], SamplerOptions { batch: 0, ..good() }).is_err());
    assert!(make(&[0], SamplerOptions { hop: 33, ..good() }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_utterance_any_hop_any_augmentation_gives_finite_batches_of_the_shape_promised(
        lengths in prop::collection::vec(32..160usize, 1..6), hop in 1..=32usize,
        max_steps in 1..8usize, seed: u64, step in 0..3u64,
    ) {
        let members: Vec<_> = lengths.iter().enumerate().map(|(i, &n)| (Corpus::EmoDb, Some(i % 4), n)).collect();
        let (features, utterances) = corpus(&members);
        let options = SamplerOptions {
            batch: 5,
            max_steps,
            hop,
            balance: true,
            augment: Augment {
                speed: 1.0, speed_range: 0.5, warp: 1.0, warp_range: 0.5, noise: 1.0, telephone: 0.5,
                time_mask_frames: 500, frequency_mask_bins: 500, ..Augment::default()
            },
        };
        let sampler = Sampler::new(&features, &utterances, &everyone(members.len()), statistics(), options).unwrap();
        let batch = sampler.batch(seed, 0, step);
        prop_assert_eq!(batch.len(), 5);
        prop_assert!(batch.steps >= 1 && batch.steps <= max_steps);
        prop_assert!(batch.lengths.iter().all(|&n| n >= 1 && n <= batch.steps));
        prop_assert_eq!(batch.segments.len(), 5 * batch.steps * SEGMENT_VALUES);
        prop_assert!(batch.segments.iter().all(|v| v.abs() <= 5.0));
        let segments = sampler.segment_batch(seed, 0, step, 3);
        prop_assert_eq!(segments.len(), 3 * SEGMENT_VALUES);
        prop_assert!(segments.iter().all(|v| v.abs() <= 5.0));
    }
}
