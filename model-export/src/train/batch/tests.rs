//! Batches: the segments of serving, determinism and balance.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::{Just, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use undertone::frontend::{
    BINS, Band, NarrowBand, SEGMENT_FRAMES, SEGMENT_VALUES, Segmenter, Segments, Spec,
};

use super::*;
use crate::data::corpus::{Corpus, Utterance};
use crate::data::features::{Features, Statistics};
use crate::preset::Augment;
use crate::preset::Preset;
use crate::train::augment::tests::{frames_of, sound};

/// Utterances of given lengths in frames; their frames identify them.
fn corpus(members: &[(Corpus, Option<usize>, usize)]) -> (Features, Vec<Utterance>) {
    let mut features = Features::default();
    let mut utterances = Vec::new();
    for (number, &(ref corpus, label, frames)) in members.iter().enumerate() {
        let frames = (0..frames * BINS).map(|i| {
            -20.0 + number as f32 * 1e-2 + (i / BINS) as f32 * 1e-3 + (i % BINS) as f32 * 0.1
        });
        features.frames.push(frames.collect());
        features.hashes.push([number as u8; 32]);
        utterances.push(Utterance::new(
            format!("{number}.wav"),
            corpus.clone(),
            format!("{corpus}/{number}"),
            label,
        ));
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

/// Three corpora of different sizes with all four classes.
fn three_corpora() -> (Features, Vec<Utterance>) {
    let mut members = Vec::new();
    for (corpus, size) in [
        (Corpus::Ravdess, 40),
        (Corpus::BanglaSer, 90),
        (Corpus::EmoDb, 10),
    ] {
        // Classes have different sizes, too.
        members.extend((0..size).map(|i| {
            (
                corpus.clone(),
                Some([0, 1, 1, 2, 2, 2, 3, 3, 3, 3][i % 10]),
                40 + i,
            )
        }));
    }
    corpus(&members)
}

#[test]
fn whole_utterances_are_what_the_server_analyses() {
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
        let mut found = Segments::default();
        segmenter.push(&samples, &mut found).unwrap();
        segmenter.finish(&mut found).unwrap();
        assert_eq!(batch.lengths, [found.len()]);
        assert_eq!(batch.labels, [2]);
        let expected = found.into_values();
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

/// The batches of the default preset before the later options existed. Logarithms differ in their last bits between
/// libms, so the sums have a tolerance; a different draw would differ much more.
#[test]
fn the_default_preset_draws_what_it_always_drew() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let augment = Preset::load("default").unwrap().augment;
    let options = options(6, 5, augment);
    let sampler = Sampler::new(&features, &utterances, &indices, statistics(), options).unwrap();
    let sums = |values: &[f32]| -> [f64; 2] {
        let values = values.iter().map(|&value| f64::from(value));
        [
            values.clone().sum(),
            values.map(|value| value * value).sum(),
        ]
    };
    let pinned = [
        (
            [68, 60, 112, 33, 95, 10],
            [3, 2, 5, 3, 5, 2],
            [-24_528.489, 153_129.897],
            [-2_546.802, 25_100.745],
        ),
        (
            [77, 3, 100, 105, 41, 30],
            [4, 1, 5, 5, 1, 3],
            [-37_557.382, 198_780.0],
            [-22_862.662, 85_709.058],
        ),
        (
            [0, 62, 128, 35, 50, 94],
            [1, 3, 5, 3, 2, 5],
            [-13_479.428, 96_898.921],
            [-3_296.085, 27_177.905],
        ),
    ];
    for (step, (utterances, lengths, labelled, unlabelled)) in (0..).zip(pinned) {
        let batch = sampler.batch(1, 2, step);
        assert_eq!(batch.utterances, utterances);
        assert_eq!(batch.lengths, lengths);
        let segments = sampler.segment_batch(1, 2, step, 4);
        for (found, expected) in [
            (sums(&batch.segments), labelled),
            (sums(&segments), unlabelled),
        ] {
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 0.5,
                    "step {step}: {found}, was {expected}"
                );
            }
        }
    }
}

#[test]
fn a_telephone_crop_is_analysed_as_the_server_analyses_a_telephone() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let telephone = Augment {
        telephone: 1.0,
        ..Augment::none()
    };
    let batch = |narrow_band| {
        let options = SamplerOptions {
            narrow_band,
            ..options(8, 3, telephone.clone())
        };
        let sampler = Sampler::new(&features, &utterances, &indices, statistics(), options);
        sampler.unwrap().batch(1, 0, 0)
    };
    let (floor, mean) = (batch(NarrowBand::AsIs), batch(NarrowBand::Mean));
    assert_eq!(floor.lengths, mean.lengths);
    let band = Band::of_rate(8_000).bins();
    for (slot, &length) in mean.lengths.iter().enumerate() {
        let start = slot * mean.steps * SEGMENT_VALUES;
        let frames = |batch: &'_ Batch| batch.segments[start..][..length * SEGMENT_VALUES].to_vec();
        let (floor, mean) = (frames(&floor), frames(&mean));
        for (floor, mean) in floor.chunks_exact(BINS).zip(mean.chunks_exact(BINS)) {
            assert_eq!(floor[..band], mean[..band]);
            assert!(mean[band..].iter().all(|&value| value == 0.0));
            assert!(floor[band..].iter().all(|&value| value < -3.6));
        }
    }
}

#[test]
fn an_utterance_of_a_narrow_source_is_evaluated_in_its_band() {
    let (mut features, utterances) = three_corpora();
    features.bands = vec![Band::WIDE; utterances.len()];
    features.bands[1] = Band::of_rate(8_000);
    let options = SamplerOptions {
        narrow_band: NarrowBand::Mean,
        ..options(8, 3, Augment::none())
    };
    let indices = everyone(utterances.len());
    let sampler = Sampler::new(&features, &utterances, &indices, statistics(), options).unwrap();
    let empty = |utterance| {
        let segments = sampler.whole(utterance).segments;
        let mut tops = segments.chunks_exact(BINS).map(|frame| &frame[65..]);
        tops.all(|top| top.iter().all(|&value| value == 0.0))
    };
    assert_eq!([empty(0), empty(1)], [false, true]);
}

#[test]
fn mixup_gives_each_utterance_a_share_of_another_in_values_and_targets() {
    let (features, utterances) = three_corpora();
    let indices = everyone(utterances.len());
    let batch = |mixup| {
        let options = SamplerOptions {
            mixup,
            ..options(8, 3, Augment::none())
        };
        Sampler::new(&features, &utterances, &indices, statistics(), options)
            .unwrap()
            .batch(1, 0, 0)
    };
    let (plain, mixed) = (batch(0.0), batch(0.4));
    assert_eq!(plain.labels, mixed.labels);
    assert_eq!(plain.lengths, mixed.lengths);
    let each = plain.steps * SEGMENT_VALUES;
    let mut shared = 0;
    for number in 0..plain.len() {
        let targets = &mixed.targets[number * 4..][..4];
        let Some(class) = (0..4).find(|&c| c != plain.labels[number] && targets[c] > 0.0) else {
            continue;
        };
        shared += 1;
        let share = targets[class];
        assert!((targets[plain.labels[number]] - (1.0 - share)).abs() < 1e-6);
        // Every value comes from an utterance of that class, repeated if it is shorter.
        let explained = (0..plain.len())
            .filter(|&p| plain.labels[p] == class)
            .any(|partner| {
                (0..plain.lengths[number]).all(|step| {
                    let other = partner * each + step % plain.lengths[partner] * SEGMENT_VALUES;
                    let own = number * each + step * SEGMENT_VALUES;
                    (0..SEGMENT_VALUES).all(|k| {
                        let (a, b) = (plain.segments[own + k], plain.segments[other + k]);
                        (mixed.segments[own + k] - (a + (b - a) * share)).abs() < 1e-5
                    })
                })
            });
        assert!(explained, "utterance {number}");
        let end = number * each + plain.lengths[number] * SEGMENT_VALUES;
        assert!(
            mixed.segments[end..(number + 1) * each]
                .iter()
                .all(|&v| v == 0.0)
        );
    }
    assert!(
        shared >= 3,
        "only {shared} of 8 have a share of another class"
    );
}

#[test]
fn a_pasted_crop_holds_two_utterances_of_one_class_and_speaker_if_there_are_two() {
    let members: Vec<_> = (0..12).map(|i| (Corpus::EmoDb, Some(i % 2), 100)).collect();
    let (mut features, mut utterances) = corpus(&members);
    // Each utterance is one value throughout; 0, 2 and 1, 3 are by one speaker.
    for (number, frames) in features.frames.iter_mut().enumerate() {
        frames.fill(-20.0 + number as f32);
        utterances[number].speaker = if number < 4 {
            "emodb/03".into()
        } else {
            format!("emodb/{number}")
        };
    }
    let options = SamplerOptions {
        copy_paste: 1.0,
        ..options(12, 9, Augment::none())
    };
    let indices = everyone(12);
    let sampler = Sampler::new(&features, &utterances, &indices, statistics(), options).unwrap();
    let mut seams = 0;
    for step in 0..10 {
        let batch = sampler.batch(1, 0, step);
        for (slot, &index) in batch.utterances.iter().enumerate() {
            let values = &batch.segments[slot * batch.steps * SEGMENT_VALUES..]
                [..batch.lengths[slot] * SEGMENT_VALUES];
            // Reverses the normalisation, −12 ± 3 · x, to identify the utterance.
            let mut found: Vec<usize> = values
                .iter()
                .map(|v| (v * 3.0 - 12.0 + 20.0).round() as usize)
                .collect();
            found.sort_unstable();
            found.dedup();
            assert!(found.len() <= 2 && found.iter().all(|other| other % 2 == index % 2));
            if index < 4 {
                assert!(
                    found.iter().all(|&other| other < 4),
                    "another speaker in {found:?}"
                );
            }
            seams += usize::from(found.len() == 2);
        }
    }
    assert!(seams > 90, "{seams} of 120 crops hold a seam");
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
            *corpora.entry(utterances[index].corpus.clone()).or_default() += 1.0;
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
    // Draws are without replacement within a stratum, so counts differ by at most one.
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
            sampler.normalise(&mut frames, Band::WIDE);
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
fn evaluation_contains_every_utterance_once_with_little_padding() {
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
    let mut found = Vec::new();
    for batch in sampler.evaluation_batches(&indices, 16) {
        assert!(batch.lengths.is_sorted_by(|a, b| a >= b));
        for (slot, &index) in batch.utterances.iter().enumerate() {
            let alone = sampler.whole(index);
            let length = alone.segments.len();
            assert_eq!(
                batch.segments[slot * batch.steps * SEGMENT_VALUES..][..length],
                alone.segments
            );
            found.push(index);
        }
    }
    found.sort_unstable();
    assert_eq!(found, indices);
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
    #![proptest_config(replay::with_cases(64))]
    #[test]
    fn any_utterance_any_hop_any_augmentation_gives_finite_batches_of_the_shape_promised(
        lengths in prop::collection::vec(32..160usize, 1..6), hop in 1..=32usize,
        max_steps in 1..8usize, seed: u64, step in 0..3u64, mixup in prop_oneof![Just(0.0), 0.1..2.0],
    ) {
        let members: Vec<_> = lengths.iter().enumerate().map(|(i, &n)| (Corpus::EmoDb, Some(i % 4), n)).collect();
        let (features, utterances) = corpus(&members);
        let options = SamplerOptions {
            batch: 5,
            max_steps,
            hop,
            narrow_band: NarrowBand::AsIs,
            mixup,
            copy_paste: 0.5,
            classes: 4,
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
        for (targets, &label) in batch.targets.chunks_exact(4).zip(&batch.labels) {
            prop_assert!((targets.iter().sum::<f32>() - 1.0).abs() < 1e-6 && targets[label] >= 0.5);
        }
        let segments = sampler.segment_batch(seed, 0, step, 3);
        prop_assert_eq!(segments.len(), 3 * SEGMENT_VALUES);
        prop_assert!(segments.iter().all(|v| v.abs() <= 5.0));
    }
}
