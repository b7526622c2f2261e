//! Words of a former private dialect do not return. Each has a plain one in the table below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::path::{Path, PathBuf};

/// Words that must not appear, also not as a part of a name such as `HeardLane` or `is_heard`, and what to write.
const WORDS: [(&str, &str); 19] = [
    ("room", "module, or space"),
    ("rooms", "modules"),
    ("house", "module, or what is admitted"),
    ("hear", "decode, segment, analyse or classify"),
    ("hears", "decodes, segments, analyses or classifies"),
    ("heard", "decoded, segmented, analysed or classified"),
    ("hearing", "decoding, segmenting, analysing or classifying"),
    ("judge", "classify"),
    ("judges", "classifies"),
    ("judged", "classified"),
    ("judging", "classifying"),
    ("judgement", "prediction"),
    ("judgements", "predictions"),
    ("judgment", "prediction"),
    ("knows", "depends on, has, stores or contains"),
    ("companion", "other member of the batch"),
    ("companions", "other members of the batch"),
    ("pace", "the name of the estimator"),
    ("doubt", "the name of the estimator"),
];

/// Words that must not follow each other, and what to write. Those joined by `_` are names.
const PHRASES: [(&str, &str); 20] = [
    ("let in", "admit, admitted"),
    ("lets in", "admits"),
    ("letting in", "admitting"),
    ("turned away", "refused"),
    ("turns away", "refuses"),
    ("turn away", "refuse"),
    ("let_ride", "backfill"),
    ("rides along", "is backfilled"),
    ("ride along", "are backfilled"),
    ("go_on", "advance"),
    ("carry_on", "advance"),
    ("interrupt_nobody", "use_batch_scheduling_policy"),
    ("come back", "retry"),
    ("comes back", "retries"),
    ("a good many", "the number"),
    ("nearly nothing", "the number"),
    ("know whom", "depend on"),
    ("may know", "may depend on"),
    ("handed bytes", "receives bytes"),
    ("relieved of", "returns"),
];

/// Files, by the end of their path, in which a word has its own meaning.
const MEANT: [(&str, &str, &str); 8] = [
    (
        "train/autoencoder.rs",
        "heard",
        "the name of a file in the folders of runs",
    ),
    ("CONTRIBUTING.md", "hear", "an example of what to replace"),
    (
        "CONTRIBUTING.md",
        "interrupt_nobody",
        "an example of what to replace",
    ),
    (
        "CONTRIBUTING.md",
        "handed bytes",
        "an example of what to replace",
    ),
    (
        "CONTRIBUTING.md",
        "relieved of",
        "an example of what to replace",
    ),
    ("docs/decisions.md", "room", "recordings made in a room"),
    (
        "batch/copy_paste.rs",
        "companion",
        "the second utterance of the method",
    ),
    (
        "batch/copy_paste.rs",
        "companions",
        "the second utterances of the method",
    ),
];

/// What is searched: folders with their files of these kinds, and files.
const SEARCHED: [&str; 8] = [
    "src",
    "model-export",
    "proto",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "Cargo.toml",
];
const KINDS: [&str; 4] = ["rs", "md", "proto", "toml"];

#[test]
fn the_glossary_is_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for file in SEARCHED.iter().flat_map(|path| files(&root.join(path))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().display().to_string();
        for (line, word, instead) in dialect(&text) {
            let meant =
                |(end, meant, _): &(&str, &str, &str)| name.ends_with(end) && *meant == word;
            if !MEANT.iter().any(meant) {
                wrong.push(format!("{name}:{line}: \"{word}\"; write: {instead}"));
            }
        }
    }
    let lines = wrong.len();
    assert!(wrong.is_empty(), "{lines} places:\n{}", wrong.join("\n"));
}

/// The files of a folder and the folders in it, or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if KINDS
            .iter()
            .any(|kind| path.extension().is_some_and(|found| found == *kind))
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Each word or phrase of a text that must not be there, with its line and what to write.
fn dialect(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let parts = parts(text);
    let mut found = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let word = WORDS.iter().find(|(word, _)| *word == part.word);
        found.extend(word.map(|(word, instead)| (part.line, *word, *instead)));
        for (phrase, instead) in PHRASES {
            if stands_at(phrase, &parts[place..]) {
                found.push((part.line, phrase, instead));
            }
        }
    }
    found
}

/// Whether a phrase is what a text begins with.
fn stands_at(phrase: &str, parts: &[Part]) -> bool {
    let name = phrase.contains('_');
    let words: Vec<_> = phrase.split([' ', '_']).collect();
    let Some((found, behind)) = parts.split_at_checked(words.len()) else {
        return false;
    };
    found.iter().zip(&words).all(|(part, word)| part.word == *word)
        && found[1..]
            .iter()
            .all(|part| part.follows && part.joined == name)
        // `let in_turn` is a binding.
        && (name || behind.first().is_none_or(|part| !part.joined))
}

/// A word, or one of the words that a name is made of, in small letters.
struct Part {
    word: String,
    line: usize,
    /// Only blanks, marks of comments or `_` stand between it and the part before.
    follows: bool,
    /// It belongs to the same name as the part before.
    joined: bool,
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut follows, mut joined, mut within) = (false, false, false);
    let mut line = 1;
    let mut before = ' ';
    for letter in text.chars() {
        if letter == '\n' {
            line += 1;
        }
        if letter.is_alphabetic() || letter == '\'' && within {
            let begins = !within || (before.is_lowercase() && letter.is_uppercase());
            if begins {
                let joined = joined || within;
                let word = String::new();
                parts.push(Part {
                    word,
                    line,
                    follows: follows || within,
                    joined,
                });
            }
            if let Some(part) = parts.last_mut() {
                part.word.extend(letter.to_lowercase());
            }
            (within, follows, joined) = (true, true, true);
        } else {
            within = false;
            follows &= letter.is_whitespace() || "_/!#*>".contains(letter);
            joined &= letter == '_' || letter.is_ascii_digit();
        }
        before = letter;
    }
    parts
}

#[test]
fn words_are_found_in_text_and_in_names() {
    for (text, expected) in [
        ("It is heard.", &["heard"][..]),
        ("struct HeardLane;", &["heard"]),
        ("fn is_heard()", &["heard"]),
        ("the judge's", &[]),
        ("/// who is let\n    /// in by", &["let in"]),
        ("core.let_ride(job)", &["let_ride"]),
        ("let in_turn = 1;", &[]),
        ("mushroom, heart, bedrooms", &[]),
        ("let (in, out)", &[]),
    ] {
        let found: Vec<_> = dialect(text).into_iter().map(|(_, word, _)| word).collect();
        assert_eq!(found, expected, "{text}");
    }
}
