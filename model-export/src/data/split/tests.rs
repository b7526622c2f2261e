//! Splits: the guarantees of each protocol on any corpora, and the folds of existing runs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::data::corpus::{Corpus, Utterance};

fn utterance(corpus: &Corpus, speaker: usize, number: usize) -> Utterance {
    let label = (*corpus != Corpus::LibriSpeech).then_some(number % 4);
    Utterance::new(
        format!("{corpus}/{speaker}-{number}.wav"),
        corpus.clone(),
        format!("{corpus}/{speaker:02}"),
        label,
    )
}

fn hashes(count: usize) -> Vec<[u8; 32]> {
    (0..count)
        .map(|i| Sha256::digest(i.to_le_bytes()).into())
        .collect()
}

fn speakers<'a>(utterances: &'a [Utterance], part: &[usize], corpus: &Corpus) -> BTreeSet<&'a str> {
    part.iter()
        .map(|&i| &utterances[i])
        .filter(|u| u.corpus == *corpus)
        .map(|u| u.speaker.as_str())
        .collect()
}

prop_compose! {
    fn corpora()(
        folds in 2..6usize,
    )(
        folds in Just(folds),
        ravdess in prop::collection::vec(1..9usize, folds * 2..20),
        emodb in prop::collection::vec(1..9usize, folds * 2..20),
        unlabelled in 0..4usize,
    ) -> (usize, Vec<Utterance>) {
        let mut utterances = Vec::new();
        for (corpus, counts) in [(Corpus::Ravdess, ravdess), (Corpus::EmoDb, emodb)] {
            for (speaker, count) in counts.into_iter().enumerate() {
                utterances.extend((0..count).map(|number| utterance(&corpus, speaker, number)));
            }
        }
        utterances.extend((0..unlabelled).map(|s| utterance(&Corpus::LibriSpeech, s, 0)));
        (folds, utterances)
    }
}

proptest! {
    #![proptest_config(replay::defaults())]

    #[test]
    fn every_speaker_is_tested_once_and_never_in_two_parts(
        (folds, utterances) in corpora(), seed: u64,
    ) {
        let split = by_speaker(&utterances, folds, seed).unwrap();
        prop_assert_eq!(split.len(), folds);
        let labelled: Vec<usize> =
            (0..utterances.len()).filter(|&i| utterances[i].label.is_some()).collect();
        let mut tested: Vec<usize> = split.iter().flat_map(|fold| fold.test.clone()).collect();
        tested.sort_unstable();
        prop_assert_eq!(&tested, &labelled);
        for fold in &split {
            guard(&utterances, fold, &hashes(utterances.len())).unwrap();
            let mut members = [&fold.train[..], &fold.validation, &fold.test].concat();
            members.sort_unstable();
            prop_assert_eq!(&members, &labelled);
            for corpus in [Corpus::Ravdess, Corpus::EmoDb] {
                prop_assert_eq!(speakers(&utterances, &fold.validation, &corpus).len(), 1);
                prop_assert!(!speakers(&utterances, &fold.train, &corpus).is_empty());
                prop_assert!(!speakers(&utterances, &fold.test, &corpus).is_empty());
            }
        }
    }

    #[test]
    fn the_seed_alone_decides_and_another_corpus_changes_nothing(
        (folds, utterances) in corpora(), seed: u64,
    ) {
        let split = by_speaker(&utterances, folds, seed).unwrap();
        prop_assert_eq!(&split, &by_speaker(&utterances, folds, seed).unwrap());
        let only: Vec<_> = utterances.iter().filter(|u| u.corpus == Corpus::Ravdess).cloned().collect();
        let alone = by_speaker(&only, folds, seed).unwrap();
        for (a, b) in split.iter().zip(&alone) {
            prop_assert_eq!(
                speakers(&utterances, &a.test, &Corpus::Ravdess),
                speakers(&only, &b.test, &Corpus::Ravdess)
            );
        }
    }

    #[test]
    fn all_tests_nobody_and_validates_one_speaker_a_corpus(
        (_, utterances) in corpora(), seed: u64,
    ) {
        let fold = all(&utterances, seed).unwrap();
        guard(&utterances, &fold, &hashes(utterances.len())).unwrap();
        prop_assert!(fold.test.is_empty());
        for corpus in [Corpus::Ravdess, Corpus::EmoDb] {
            prop_assert_eq!(speakers(&utterances, &fold.validation, &corpus).len(), 1);
        }
    }

    #[test]
    fn a_moved_utterance_is_always_caught((folds, utterances) in corpora(), seed: u64) {
        let mut fold = by_speaker(&utterances, folds, seed).unwrap().remove(0);
        let index = fold.test.pop().unwrap();
        let shared = fold.test.iter().any(|&i| utterances[i].speaker == utterances[index].speaker);
        fold.train.push(index);
        let prediction = guard(&utterances, &fold, &hashes(utterances.len()));
        prop_assert_eq!(prediction.is_err(), shared);
    }
}

#[test]
fn the_same_audio_in_two_parts_is_refused_with_both_files() {
    let utterances: Vec<_> = (0..3).map(|s| utterance(&Corpus::EmoDb, s, 0)).collect();
    let mut hashes = hashes(3);
    let fold = Fold {
        train: vec![0],
        validation: vec![1],
        test: vec![2],
    };
    guard(&utterances, &fold, &hashes).unwrap();
    hashes[2] = hashes[0];
    let error = guard(&utterances, &fold, &hashes).unwrap_err().to_string();
    assert_eq!(
        error,
        "the same audio is in two parts of the split: emodb/0-0.wav in train and emodb/2-0.wav in test"
    );
}

#[test]
fn a_speaker_in_two_parts_is_refused_by_name() {
    let utterances = vec![
        utterance(&Corpus::EmoDb, 3, 0),
        utterance(&Corpus::EmoDb, 3, 1),
    ];
    let fold = Fold {
        train: vec![0],
        validation: Vec::new(),
        test: vec![1],
    };
    let error = guard(&utterances, &fold, &hashes(2))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "speaker emodb/03 is in two parts of the split, train and test"
    );
}

#[test]
fn impossible_splits_are_refused() {
    let utterances: Vec<_> = (0..3).map(|s| utterance(&Corpus::EmoDb, s, 0)).collect();
    for (utterances, folds) in [
        (&utterances[..], 4),
        (&utterances, 1),
        (&utterances, 2),
        (&[], 2),
    ] {
        assert!(by_speaker(utterances, folds, 0).is_err());
    }
    assert!(by_speaker(&utterances, 3, 0).is_ok());
    assert!(all(&utterances[..1], 0).is_err());
}

#[test]
fn what_fits_is_what_can_be_cut() {
    for (speakers, fits, sentence) in [
        (
            2,
            0..0,
            "no number of folds fits with tess, which has 2 speakers; leave that corpus out",
        ),
        (3, 3..4, "`--protocol speakers/3` fits"),
        (4, 2..5, "`--protocol speakers/2` to `speakers/4` fit"),
        (7, 2..8, "`--protocol speakers/2` to `speakers/7` fit"),
    ] {
        // Together with a larger corpus, and one without labels.
        let mut utterances: Vec<_> = (0..12).map(|s| utterance(&Corpus::EmoDb, s, 0)).collect();
        utterances.extend((0..speakers).map(|s| utterance(&Corpus::Tess, s, 0)));
        utterances.push(utterance(&Corpus::LibriSpeech, 1, 0));
        let cut = (0..=13).filter(|folds| by_speaker(&utterances, *folds, 0).is_ok());
        assert!(cut.eq(fits), "{speakers} speakers");
        assert_eq!(by_speaker_fit(&utterances), sentence);
    }
    assert_eq!(by_speaker_fit(&[]), "no utterance has a label");
}

/// Utterances with the names and the order of the folders that the default preset was trained
/// on.
fn as_in_the_data_folder() -> Vec<Utterance> {
    let mut utterances = Vec::new();
    for (corpus, speakers) in [
        (Corpus::Ravdess, 1..=20),
        (Corpus::BanglaSer, 1..=30),
        (Corpus::EmoDb, 3..=12),
        (Corpus::LibriSpeech, 100..=103),
    ] {
        for speaker in speakers {
            utterances.extend((0..5).map(|number| utterance(&corpus, speaker, number)));
        }
    }
    utterances
}

#[test]
fn folds_of_a_seed_never_change() {
    let utterances = as_in_the_data_folder();
    let mut digests = Vec::new();
    for (folds, seed) in [(5, 0), (5, 7), (3, 0)] {
        for fold in by_speaker(&utterances, folds, seed).unwrap() {
            digests.push(fold.digest()[..16].to_owned());
        }
    }
    digests.push(all(&utterances, 0).unwrap().digest()[..16].to_owned());
    // Existing runs depend on these folds; a change here makes them invalid.
    assert_eq!(
        digests,
        [
            "b41523f0da5903f8",
            "00178c3ea6033fbe",
            "b294bf264ea2f1a7",
            "85cb2bcb40f15a43",
            "b8c825bc028c720f",
            "f6d5729900c4868f",
            "85e3bc1e5b2b46e7",
            "95405d94e5965e4a",
            "b9b63673b85a3224",
            "af8a896e664db917",
            "6ea49366a2038125",
            "a93e920c5ff0300a",
            "5868b06739b9a5ca",
            "6f4948f9463e68e3",
        ]
    );
}

#[test]
fn another_split_has_another_digest() {
    let fold = Fold {
        train: vec![0, 1],
        validation: vec![2],
        test: vec![],
    };
    let other = Fold {
        train: vec![0],
        validation: vec![1, 2],
        test: vec![],
    };
    assert_eq!(fold.digest().len(), 64);
    assert_ne!(fold.digest(), other.digest());
}

#[test]
fn protocols_are_read_as_they_are_written() {
    for text in [
        "speakers/5",
        "speakers/2",
        "leave-one-speaker-out",
        "sessions",
        "random",
    ] {
        let protocol: Protocol = text.parse().unwrap();
        assert_eq!(protocol.to_string(), text);
        assert_eq!(protocol.is_speaker_independent(), text != "random");
    }
    for text in ["speakers/1", "speakers/", "speakers", "Random", ""] {
        let error = text.parse::<Protocol>().unwrap_err().to_string();
        assert!(
            error.contains("is not a protocol; the protocols are speakers/K"),
            "{error}"
        );
    }
}

/// Sessions of two speakers each, like the five of IEMOCAP.
fn sessions(count: usize) -> Vec<Utterance> {
    let mut utterances = Vec::new();
    for speaker in 0..count * 2 {
        for number in 0..4 {
            utterances.push(Utterance {
                session: Some((speaker / 2 + 1).to_string()),
                ..utterance(&Corpus::Iemocap, speaker, number)
            });
        }
    }
    utterances
}

fn parts_of(utterances: &[Utterance], fold: &Fold) -> [BTreeSet<String>; 3] {
    fold.parts().map(|(_, part)| {
        let speakers = part.iter().map(|&index| utterances[index].speaker.clone());
        speakers.collect()
    })
}

#[test]
fn leaving_one_speaker_out_tests_each_alone_in_order() {
    let mut utterances = sessions(3);
    utterances.extend((0..4).map(|speaker| utterance(&Corpus::EmoDb, speaker, 0)));
    let hashes = hashes(utterances.len());
    let protocol = Protocol::LeaveOneSpeakerOut;
    for seed in 0..20 {
        let folds = protocol.folds(&utterances, &hashes, seed).unwrap();
        let mut tested = Vec::new();
        for fold in &folds {
            protocol.guard(&utterances, fold, &hashes).unwrap();
            let [train, validation, test] = parts_of(&utterances, fold);
            assert_eq!((train.len(), validation.len(), test.len()), (7, 2, 1));
            for corpus in [Corpus::EmoDb, Corpus::Iemocap] {
                assert_eq!(speakers(&utterances, &fold.validation, &corpus).len(), 1);
            }
            tested.extend(test);
        }
        let expected: BTreeSet<_> = utterances.iter().map(|u| u.speaker.clone()).collect();
        assert_eq!(tested, Vec::from_iter(expected));
    }
}

#[test]
fn sessions_are_tested_one_by_one_and_validated_from_another() {
    let utterances = sessions(5);
    let hashes = hashes(utterances.len());
    for seed in 0..20 {
        let folds = Protocol::Sessions
            .folds(&utterances, &hashes, seed)
            .unwrap();
        assert_eq!(folds.len(), 5);
        for (number, fold) in folds.iter().enumerate() {
            Protocol::Sessions
                .guard(&utterances, fold, &hashes)
                .unwrap();
            let session = |part: &[usize]| -> BTreeSet<String> {
                part.iter()
                    .filter_map(|&i| utterances[i].session.clone())
                    .collect()
            };
            assert_eq!(session(&fold.test), [(number + 1).to_string()].into());
            assert!(session(&fold.test).is_disjoint(&session(&fold.train)));
            assert!(session(&fold.test).is_disjoint(&session(&fold.validation)));
            let [train, validation, test] = parts_of(&utterances, fold);
            assert_eq!((train.len(), validation.len(), test.len()), (7, 1, 2));
        }
    }
}

proptest! {
    #![proptest_config(replay::defaults())]

    #[test]
    fn random_folds_test_all_once_keep_copies_together_and_are_even(
        copies in prop::collection::vec(0..120usize, 120), seed: u64,
    ) {
        let utterances: Vec<_> = (0..120).map(|i| utterance(&Corpus::EmoDb, i % 7, i)).collect();
        // Some utterances have the audio of another.
        let mut hashes = hashes(120);
        for (index, &other) in copies.iter().enumerate().step_by(9) {
            hashes[index] = hashes[other];
        }
        let folds = Protocol::Random.folds(&utterances, &hashes, seed).unwrap();
        prop_assert_eq!(folds.len(), 5);
        let mut tested = Vec::new();
        for fold in &folds {
            Protocol::Random.guard(&utterances, fold, &hashes).unwrap();
            let mut members = [&fold.train[..], &fold.validation, &fold.test].concat();
            members.sort_unstable();
            prop_assert_eq!(members, Vec::from_iter(0..120));
            prop_assert!((14..=34).contains(&fold.test.len()), "{}", fold.test.len());
            for class in 0..4 {
                let has = |part: &[usize]| part.iter().any(|&i| utterances[i].label == Some(class));
                prop_assert!(has(&fold.train) && has(&fold.test));
            }
            tested.extend_from_slice(&fold.test);
        }
        tested.sort_unstable();
        prop_assert_eq!(tested, Vec::from_iter(0..120));
        prop_assert_eq!(&folds, &Protocol::Random.folds(&utterances, &hashes, seed).unwrap());
    }
}

#[test]
fn random_shares_speakers_and_says_so_but_never_audio() {
    let utterances: Vec<_> = (0..40)
        .map(|i| utterance(&Corpus::EmoDb, i % 2, i))
        .collect();
    let mut hashes = hashes(40);
    let fold = Protocol::Random
        .folds(&utterances, &hashes, 3)
        .unwrap()
        .swap_remove(0);
    assert_eq!((fold.train.len(), fold.test.len()), (28, 8));
    assert_eq!(fold.validation.len(), 4);
    assert!(guard(&utterances, &fold, &hashes).is_err());
    hashes[fold.train[0]] = hashes[fold.test[0]];
    let error = Protocol::Random
        .guard(&utterances, &fold, &hashes)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the same audio is in two parts")
    );
}

#[test]
fn what_flatters_is_disclosed() {
    let mine = Corpus::from("calls");
    for (protocol, corpora, expected) in [
        (
            Protocol::Random,
            vec![&mine],
            ["Speaker-dependent", "Whether speakers of calls"].as_slice(),
        ),
        (
            Protocol::Speakers(5),
            vec![&Corpus::EmoDb, &Corpus::Tess],
            &["Parallel text: speakers of emodb, tess"],
        ),
        (Protocol::Sessions, vec![&Corpus::LibriSpeech], &[]),
    ] {
        let corpora = corpora.into_iter().cloned().collect();
        let disclosures = protocol.disclosures(&corpora);
        assert_eq!(disclosures.len(), expected.len(), "{disclosures:?}");
        for (sentence, beginning) in disclosures.iter().zip(expected) {
            assert!(sentence.starts_with(beginning), "{sentence}");
        }
    }
}

#[test]
fn each_protocol_says_what_it_lacks() {
    let two: Vec<_> = (0..2)
        .map(|speaker| utterance(&Corpus::Tess, speaker, 0))
        .collect();
    let four: Vec<_> = (0..4)
        .map(|speaker| utterance(&Corpus::Savee, speaker, 0))
        .collect();
    let mut wandering = sessions(3);
    wandering[0].session = Some("3".to_owned());
    let mut mixed = sessions(3);
    mixed.push(utterance(&Corpus::Tess, 1, 1));
    let unlabelled = vec![utterance(&Corpus::LibriSpeech, 1, 0)];
    for (protocol, utterances, expected) in [
        (
            Protocol::LeaveOneSpeakerOut,
            &two,
            "tess has 2 speakers; leaving one out needs three, to train, to validate, to test: \
             leave the corpus out",
        ),
        (
            Protocol::Speakers(5),
            &four,
            "savee has 4 speakers; 5 folds by speaker would not leave one each to train, to validate and to \
             test: `--protocol speakers/2` to `speakers/4` fit",
        ),
        (
            Protocol::Sessions,
            &four,
            "savee/0-0.wav has no session; IEMOCAP has sessions, and manifests with a column `session`",
        ),
        (
            Protocol::Sessions,
            &sessions(1),
            "iemocap has 1 sessions and 2 speakers; testing one session needs two and three",
        ),
        (
            Protocol::Sessions,
            &wandering,
            "speaker iemocap/00 is in sessions 3 and 1; only a split by speaker keeps them apart",
        ),
        (
            Protocol::Sessions,
            &mixed,
            "the protocol `sessions` needs a single corpus, and there are 2: iemocap, tess",
        ),
        (
            Protocol::Random,
            &two,
            "tess has 2 different recordings of class 0; a random split needs 5: leave the corpus or the \
             class out",
        ),
        (
            Protocol::Random,
            &unlabelled,
            "nothing to split: no utterance has a label",
        ),
    ] {
        let hashes = hashes(utterances.len());
        let error = protocol.folds(utterances, &hashes, 0).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
