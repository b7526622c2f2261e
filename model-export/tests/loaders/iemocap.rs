//! IEMOCAP: label files, speakers, and the number of utterances in published results.

use std::collections::BTreeMap;
use std::fmt::Write;

use model_export::data::corpus::{Corpus, Reason};

use crate::tree::{POINTER, Tree, expect_skipped};

const LABELS: &str = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt";
const WAV: &str = "Session1/sentences/wav/Ses01F_impro01";

fn row(turn: &str, emotion: &str) -> String {
    format!("[6.2901 - 8.2357]\t{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]")
}

fn labels(rows: &[(&str, &str)], newline: &str) -> String {
    let header = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]";
    let mut lines = vec![header.to_owned(), String::new()];
    for (turn, emotion) in rows {
        lines.push(row(turn, emotion));
        lines.push("C-E2:\tNeutral;\t()".to_owned());
        lines.push("A-E3:\tval 3; act 2; dom  2;\t()".to_owned());
    }
    lines.join(newline)
}

#[test]
fn turns_are_read_with_the_speaker_of_their_last_field() {
    let tree = Tree::of(&[
        &format!("{WAV}/Ses01F_impro01_F000.wav"),
        &format!("{WAV}/Ses01F_impro01_F001.flac"),
        &format!("{WAV}/Ses01F_impro01_M000.WAV"),
        &format!("{WAV}/Ses01F_impro01_M001.wav"),
        &format!("{WAV}/Ses01F_impro01_M002.wav"),
        &format!("{WAV}/._Ses01F_impro01_M003.wav"),
        // A stray copy in another dialogue's folder.
        "Session1/sentences/wav/Ses01F_impro02/Ses01F_impro01_M003.wav",
        "Session3/sentences/wav/Ses03M_impro05a/Ses03M_impro05a_F000.wav",
    ]);
    tree.write(&format!("{WAV}/Ses01F_impro01_M004.wav"), POINTER);
    let turns = [
        ("Ses01F_impro01_F000", "neu"),
        ("Ses01F_impro01_F001", "exc"),
        ("Ses01F_impro01_M000", "fru"),
        ("Ses01F_impro01_M001", "xxx"),
        ("Ses01F_impro01_M002", "ang"),
        ("Ses01F_impro01_M003", "sad"),
        ("Ses01F_impro01_M004", "hap"),
        ("Ses01F_impro01_M002", "ang"),
        ("Ses02F_impro01_M002", "ang"),
        ("Ses01F_impro01_XX02", "ang"),
    ];
    let mut text = labels(&turns, "\r\n").into_bytes();
    // A rater's comment in Latin-1.
    text.extend(b"\r\nC-E4:\tOther;\t(caf\xe9)\r\n");
    tree.write(LABELS, text);
    tree.write(
        "Session3/dialog/EmoEvaluation/Ses03M_impro05a.txt",
        labels(&[("Ses03M_impro05a_F000", "hap")], "\n"),
    );
    // Labels of single raters and a resource fork of macOS, which must not be read.
    let other = labels(&[("Ses01F_impro01_F000", "ang")], "\n");
    for folder in ["Categorical/", "Attribute/", "Self-evaluation/", "._"] {
        let name = format!("Session1/dialog/EmoEvaluation/{folder}Ses01F_impro00.txt");
        tree.write(&name, &other);
    }

    let collection = tree.load(Corpus::Iemocap);
    let first = |turn: &str| format!("{WAV}/{turn}");
    tree.expect(
        &collection,
        &[
            (&first("Ses01F_impro01_F000.wav"), "iemocap/1F", "neu"),
            (&first("Ses01F_impro01_F001.flac"), "iemocap/1F", "exc"),
            (&first("Ses01F_impro01_M000.WAV"), "iemocap/1M", "fru"),
            (&first("Ses01F_impro01_M002.wav"), "iemocap/1M", "ang"),
            (
                "Session3/sentences/wav/Ses03M_impro05a/Ses03M_impro05a_F000.wav",
                "iemocap/3F",
                "hap",
            ),
        ],
    );
    let sessions: Vec<_> = collection
        .utterances
        .iter()
        .filter_map(|u| u.session.as_deref())
        .collect();
    assert_eq!(sessions, ["1", "1", "1", "1", "3"]);
    expect_skipped(
        &collection,
        &[
            (Reason::NoEmotion, 1),
            (Reason::NoAudio, 1),
            (Reason::Pointer, 1),
            (Reason::Duplicate, 1),
            (Reason::Contradictory, 1),
            (Reason::Misnamed, 1),
        ],
    );
    assert_eq!(
        collection.warnings,
        ["only sessions 1, 3 of 5: 4 of 5531 utterances (neu 1, hap 1, exc 1, ang 1, sad 0)"]
    );
}

#[test]
fn nothing_to_read_is_refused_with_what_is_needed() {
    let tree = Tree::of(&[]);
    let needed = "no iemocap in DIR/: folders Session1 to Session5 are needed, \
                  with label files in dialog/EmoEvaluation and audio in sentences/wav";
    assert_eq!(tree.refused(Corpus::Iemocap, ""), needed);
    tree.write("Session1/sentences/wav/x.txt", "");
    assert_eq!(tree.refused(Corpus::Iemocap, ""), needed);
    tree.write(LABELS, labels(&[("Ses01F_impro01_F000", "neu")], "\n"));
    assert_eq!(
        tree.refused(Corpus::Iemocap, ""),
        "no iemocap turn in DIR/ can be used: iemocap: skipped 1 labelled, but without an audio file; \
         the first is DIR/Session1/sentences/wav/Ses01F_impro01_F000"
    );
}

/// Emotions of each session in the whole corpus.
const WHOLE: [[(&str, usize); 5]; 5] = [
    [
        ("neu", 384),
        ("hap", 135),
        ("exc", 143),
        ("ang", 229),
        ("sad", 194),
    ],
    [
        ("neu", 362),
        ("hap", 117),
        ("exc", 210),
        ("ang", 137),
        ("sad", 197),
    ],
    [
        ("neu", 320),
        ("hap", 135),
        ("exc", 151),
        ("ang", 240),
        ("sad", 305),
    ],
    [
        ("neu", 258),
        ("hap", 65),
        ("exc", 238),
        ("ang", 327),
        ("sad", 143),
    ],
    [
        ("neu", 384),
        ("hap", 143),
        ("exc", 299),
        ("ang", 170),
        ("sad", 245),
    ],
];

/// A corpus as large as the real one, in the folder of its archive.
fn whole() -> Tree {
    let tree = Tree::of(&[]);
    let mut names = Vec::new();
    for (index, emotions) in WHOLE.iter().enumerate() {
        let session = index + 1;
        let mut text = String::new();
        let mut number = 0;
        for (emotion, count) in emotions.iter().chain(&[("xxx", 3)]) {
            for _ in 0..*count {
                let sex = ['F', 'M'][number % 2];
                let turn = format!("Ses0{session}F_impro01_{sex}{number:04}");
                writeln!(text, "{}", row(&turn, emotion)).unwrap();
                names.push(format!(
                    "IEMOCAP_full_release/Session{session}/sentences/wav/Ses0{session}F_impro01/{turn}.wav"
                ));
                number += 1;
            }
        }
        let labels = format!(
            "IEMOCAP_full_release/Session{session}/dialog/EmoEvaluation/Ses0{session}F_impro01.txt"
        );
        tree.write(&labels, text);
    }
    tree.links(names.into_iter());
    tree
}

#[test]
fn the_whole_corpus_has_5531_utterances_or_is_refused() {
    let tree = whole();
    let collection = tree.load(Corpus::Iemocap);
    assert_eq!(collection.utterances.len(), 5_531);
    assert!(collection.warnings.is_empty());
    expect_skipped(&collection, &[(Reason::NoEmotion, 15)]);
    let mut speakers: BTreeMap<&str, usize> = BTreeMap::new();
    for utterance in &collection.utterances {
        *speakers.entry(&utterance.speaker).or_default() += 1;
    }
    assert_eq!(speakers.len(), 10);
    assert_eq!(speakers["iemocap/1F"] + speakers["iemocap/1M"], 1_085);

    // One audio file is lost: the first turn of session 2, which is neutral.
    let lost =
        "IEMOCAP_full_release/Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F0000.wav";
    std::fs::remove_file(tree.path(lost)).unwrap();
    let error = tree.refused(Corpus::Iemocap, "");
    let expected = "iemocap in DIR/ has all five sessions but 5530 utterances of neu, hap, exc, ang, sad instead \
                    of 5531: neu 1707 instead of 1708, session 2 1022 instead of 1023. Copy it again, or remove \
                    a session to train on a part of it. iemocap: skipped 1 labelled, but without an audio \
                    file; the first is DIR/IEMOCAP_full_release/Session2/sentences/wav/Ses02F_impro01_F0000";
    assert!(error.starts_with(expected), "{error}");

    std::fs::rename(
        tree.path("IEMOCAP_full_release/Session5"),
        tree.path("gone"),
    )
    .unwrap();
    let collection = tree.load(Corpus::Iemocap);
    assert_eq!(
        collection.warnings,
        [
            "only sessions 1, 2, 3, 4 of 5: 4289 of 5531 utterances (neu 1323, hap 452, exc 742, ang 933, sad 839)"
        ]
    );
}
