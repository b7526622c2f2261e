//! Corpora that are described by tables: audformat databases and CSV manifests.

use std::time::Duration;

use model_export::data::corpus::{Corpus, Reason, Span};

use crate::tree::{POINTER, Tree, expect_skipped};

fn calls() -> Corpus {
    Corpus::from("calls")
}

fn span(start: u64, end: Option<u64>) -> Option<Span> {
    Some(Span {
        start: Duration::from_millis(start),
        end: end.map(Duration::from_millis),
    })
}

/// A database with speakers and emotions in two tables.
fn database() -> Tree {
    let tree = Tree::of(&["wav/03a01Fa.wav", "wav/08a01Na.WAV", "wav/long.flac"]);
    tree.write("db.yaml", "name: calls\n");
    tree.write("wav/pointer.wav", POINTER);
    tree.write(
        "db.files.csv",
        "file,duration,speaker\n\
         wav/03a01Fa.wav,0 days 00:00:01,'03'\n\
         wav/08a01Na.WAV,0 days 00:00:01,08\n\
         wav/long.flac,0 days 00:00:01.898250,10\n\
         wav/gone.wav,,11\n\
         wav/pointer.wav,,11\n",
    );
    tree.write("db.speaker.csv", "speaker,age\n03,31\n08,34\n");
    tree.write(
        "db.emotion.csv",
        "file,start,end,emotion,emotion.confidence\r\n\
         wav/03a01Fa.wav,0 days 00:00:00,,happiness,0.9\r\n\
         wav/08a01Na.WAV,0 days,NaT,neutral,\r\n\
         wav/long.flac,0 days 00:00:00,0 days 00:00:01,anger,1.0\r\n\
         wav/long.flac,0 days 00:00:01.500000,,sadness,1.0\r\n\
         wav/long.flac,0 days 00:00:01,0 days 00:00:01.500000,,\r\n\
         wav/gone.wav,,,anger,1.0\r\n\
         wav/pointer.wav,,,anger,1.0\r\n\
         wav/nobody.wav,,,anger,1.0\r\n\
         ,,,anger,1.0\r\n",
    );
    tree
}

#[test]
fn audformat_tables_are_joined_and_ids_stay_text() {
    let tree = database();
    // A pickle beside a CSV table is a cache of it.
    tree.write("db.emotion.pkl", "pickle");
    let collection = tree.load(calls());
    tree.expect(
        &collection,
        &[
            ("wav/03a01Fa.wav", "calls/03", "happiness"),
            ("wav/08a01Na.WAV", "calls/08", "neutral"),
            ("wav/long.flac", "calls/10", "anger"),
            ("wav/long.flac", "calls/10", "sadness"),
        ],
    );
    let spans: Vec<_> = collection.utterances.iter().map(|u| u.span).collect();
    assert_eq!(spans, [None, None, span(0, Some(1_000)), span(1_500, None)]);
    expect_skipped(
        &collection,
        &[
            (Reason::NoEmotion, 1),
            (Reason::NoAudio, 2),
            (Reason::Pointer, 1),
            (Reason::NoSpeaker, 1),
        ],
    );
    assert_eq!(
        collection.utterances[3].name(),
        format!("{} from 1.5s", tree.path("wav/long.flac").display())
    );
}

#[test]
fn an_audformat_folder_may_be_a_known_corpus() {
    let collection = database().load(Corpus::EmoDb);
    assert_eq!(collection.utterances[0].speaker, "emodb/03");
}

#[test]
fn audformat_faults_are_named() {
    let convert = "Write the tables as CSV once, in Python: import audformat; \
                   audformat.Database.load('DIR/').save('DIR/', storage_format='csv')";
    let header = "file,speaker,emotion\n";
    for (files, expected) in [
        (
            vec![("db.emotion.parquet", "PAR1".to_owned())],
            format!("table db.emotion.parquet of DIR/: Parquet is not read. {convert}"),
        ),
        (
            vec![("db.emotion.pkl", "pickle".to_owned())],
            format!(
                "table db.emotion.pkl of DIR/: a pickle could run any code, so it is not read. {convert}"
            ),
        ),
        (vec![], "DIR/ has db.yaml but no table `db.<table>.csv`".to_owned()),
        (
            vec![("db.files.csv", "file,speaker\nx.wav,1\n".to_owned())],
            "no table of files in DIR/ has a column `emotion`; the tables' columns are file, speaker"
                .to_owned(),
        ),
        (
            vec![("db.files.csv", "file,emotion\nx.wav,anger\n".to_owned())],
            "no table of files in DIR/ has a column `speaker`; the tables' columns are file, emotion"
                .to_owned(),
        ),
        (
            vec![("db.a.csv", format!("{header}../x.wav,1,anger\n"))],
            "DIR/db.a.csv, line 2: `../x.wav` leads out of DIR/; paths are relative to that folder and stay in it"
                .to_owned(),
        ),
        (
            vec![
                ("db.a.csv", format!("{header}x.wav,1,anger\n")),
                ("db.b.csv", format!("{header}x.wav,1,sadness\n")),
            ],
            "DIR/db.b.csv, line 2: x.wav is `sadness` here and `anger` in another table; \
             keep the tables of one rating only"
                .to_owned(),
        ),
        (
            vec![(
                "db.a.csv",
                "file,start,end,speaker,emotion\nx.wav,soon,,1,anger\n".to_owned(),
            )],
            "DIR/db.a.csv, line 2: `soon` is not a time; write 1.5 or `0 days 00:00:01.500000`: invalid float literal"
                .to_owned(),
        ),
        (
            vec![("db.a.csv", format!("{header}x.wav,1,anger\n"))],
            "nothing in DIR/ can be used: calls: skipped 1 labelled, but without an audio file; the first \
             is DIR/x.wav"
                .to_owned(),
        ),
    ] {
        let tree = Tree::of(&[]);
        tree.write("db.yaml", "name: calls\n");
        for (name, text) in files {
            tree.write(name, text);
        }
        assert_eq!(tree.refused(calls(), ""), expected);
    }
}

#[test]
fn a_manifest_gives_paths_speakers_labels_and_what_else_it_has() {
    let tree = Tree::of(&["a/1.wav", "a/2.WAV", "long.flac"]);
    tree.write("a/pointer.wav", POINTER);
    tree.write(
        "calls.csv",
        "\u{feff}path,speaker,label,start,end,corpus,session,remark\r\n\
         long.flac,agent,angry,1.5,,,2,later\r\n\
         a/1.wav, 007 ,neutral,,,,1,spaces are trimmed\r\n\
         ./a/2.WAV,08,,,,,,\"no label, and a comma\"\r\n\
         long.flac,agent,Angry,0,0 days 00:00:01.500000,,2,\r\n\
         a/1.wav,02,sad,,,ravdess,,of a known corpus\r\n\
         a/gone.wav,1,sad,,,,,\r\n\
         a/pointer.wav,1,sad,,,,,\r\n\
         a/1.wav,,sad,,,,,\r\n",
    );
    let collection = model_export::data::corpus::load(calls(), &tree.path("calls.csv")).unwrap();
    tree.expect(
        &collection,
        &[
            ("a/1.wav", "calls/007", "neutral"),
            ("a/1.wav", "ravdess/02", "sad"),
            ("a/2.WAV", "calls/08", "-"),
            ("long.flac", "calls/agent", "Angry"),
            ("long.flac", "calls/agent", "angry"),
        ],
    );
    let spans: Vec<_> = collection.utterances.iter().map(|u| u.span).collect();
    assert_eq!(
        spans,
        [None, None, None, span(0, Some(1_500)), span(1_500, None)]
    );
    let sessions: Vec<_> = collection
        .utterances
        .iter()
        .map(|u| u.session.as_deref())
        .collect();
    assert_eq!(sessions, [Some("1"), None, None, Some("2"), Some("2")]);
    assert_eq!(collection.utterances[1].corpus, Corpus::Ravdess);
    expect_skipped(
        &collection,
        &[
            (Reason::NoAudio, 1),
            (Reason::Pointer, 1),
            (Reason::NoSpeaker, 1),
        ],
    );
}

#[test]
fn manifest_faults_are_named_with_their_line() {
    let header = "path,speaker,label\n";
    for (text, expected) in [
        (
            "path,label\nx.wav,sad\n".to_owned(),
            "DIR/calls.csv has no column `speaker`; its columns are path, label",
        ),
        (
            format!("{header}x.wav,1,sad\n../x.wav,1,sad\n"),
            "DIR/calls.csv, line 3: `../x.wav` leads out of DIR; paths are relative to that folder and stay in it",
        ),
        (
            format!("{header}/x.wav,1,sad\n"),
            "DIR/calls.csv, line 2: `/x.wav` leads out of DIR; paths are relative to that folder and stay in it",
        ),
        (
            format!("{header},1,sad\n"),
            "DIR/calls.csv, line 2: no path",
        ),
        (
            "path,speaker,label,start,end\nx.wav,1,sad,2,1\n".to_owned(),
            "DIR/calls.csv, line 2: the end `1` is not after the start `2`",
        ),
        (
            header.to_owned(),
            "nothing in DIR/calls.csv can be used: it has no rows",
        ),
        (
            format!("{header}x.wav,1,sad\n"),
            "nothing in DIR/calls.csv can be used: calls: skipped 1 labelled, but without an audio file; \
             the first is DIR/x.wav",
        ),
    ] {
        let tree = Tree::of(&[]);
        tree.write("calls.csv", text);
        assert_eq!(tree.refused(calls(), "calls.csv"), expected);
    }
    let tree = Tree::of(&[]);
    tree.write("calls.csv", format!("{header}x.wav,1\n"));
    let error = tree.refused(calls(), "calls.csv");
    assert!(
        error.starts_with("cannot read the table DIR/calls.csv: CSV error: record 1 (line: 2"),
        "{error}"
    );
}
