//! The corpora of a command line, read and decoded: corpora, labels, broken files.

use model_export::data::corpus::Corpus;
use model_export::data::dataset::{Dataset, NamedPath, Source};

use crate::tree::{POINTER, Tree, wav};

fn source(tree: &Tree, corpora: &[(&str, &str)], labels: &str) -> Source {
    Source {
        data: corpora.is_empty().then(|| tree.root().to_owned()),
        corpus: corpora
            .iter()
            .map(|(name, path)| NamedPath {
                name: (*name).to_owned(),
                path: tree.path(path),
            })
            .collect(),
        labels: labels.to_owned(),
    }
}

fn labels_of(data: &Dataset) -> Vec<(&str, Option<usize>)> {
    let utterances = data.utterances.iter();
    utterances.map(|u| (u.speaker.as_str(), u.label)).collect()
}

/// A data folder with corpora under several spellings of their names.
fn data() -> Tree {
    let tree = Tree::of(&[
        "ravdess/Actor_01/03-01-05-01-01-01-01.wav",
        "ravdess/Actor_01/03-01-02-01-01-01-01.wav",
        "CREMA-D/AudioWAV/1001_DFA_HAP_XX.wav",
        "emovdb/bea_Amused/amused_0001.wav",
        "unlabelled/103-1240-0000.flac",
        "long/call.wav",
        "calls/a.wav",
        "lab/a.wav",
    ]);
    tree.write("calls.csv", "path,speaker,label\ncalls/a.wav,1,Sad\n");
    tree.write("speech.csv", "path,speaker,label\ncalls/a.wav,1,\n");
    tree.write("lab/db.yaml", "name: lab\n");
    tree.write(
        "lab/db.emotion.csv",
        "file,speaker,emotion\na.wav,1,neutral\n",
    );
    tree
}

#[test]
fn a_data_folder_is_read_by_the_names_in_it() {
    let tree = data();
    let labelled = Dataset::labelled(&source(&tree, &[], "four")).unwrap();
    assert_eq!(
        labelled.classes,
        ["neutral", "anger", "sadness", "happiness"]
    );
    // Calm is dropped; EmoV-DB and speech without labels are left out.
    assert_eq!(
        labels_of(&labelled),
        [
            ("ravdess/01", Some(1)),
            ("cremad/1001", Some(3)),
            ("calls/1", Some(2)),
            ("lab/1", Some(0)),
        ]
    );
    assert_eq!(labelled.features.frames.len(), 4);

    let unlabelled = Dataset::unlabelled(&source(&tree, &[], "four")).unwrap();
    assert!(unlabelled.classes.is_empty());
    assert_eq!(
        labels_of(&unlabelled),
        [
            ("librispeech/103", None),
            ("emovdb/bea", None),
            ("speech/1", None),
        ]
    );
}

#[test]
fn named_corpora_have_labels_of_their_own() {
    let tree = data();
    let named = [("ravdess", "ravdess")];
    let own = Dataset::labelled(&source(&tree, &named, "own")).unwrap();
    assert_eq!(own.classes, Corpus::Ravdess.emotions());
    assert_eq!(
        labels_of(&own),
        [("ravdess/01", Some(1)), ("ravdess/01", Some(4))]
    );

    tree.write(
        "two.toml",
        "classes = ['calm', 'not']\n[corpora.ravdess]\ncalm = ['calm']\nnot = ['angry']\n",
    );
    let map = tree.path("two.toml").display().to_string();
    let two = Dataset::labelled(&source(&tree, &named, &map)).unwrap();
    assert_eq!(two.classes, ["calm", "not"]);
    assert_eq!(
        labels_of(&two),
        [("ravdess/01", Some(0)), ("ravdess/01", Some(1))]
    );
}

#[test]
fn what_cannot_be_chosen_is_refused_with_its_cure() {
    let tree = data();
    tree.write("odd.csv", "path,speaker,label\ncalls/a.wav,1,hapy\n");
    let empty = Tree::of(&[]);
    for (source, expected) in [
        (
            source(&tree, &[("calls", "odd.csv")], "four"),
            "label map `four` does not contain the emotion `hapy` of DIR/calls/a.wav; add it to a class or to \
             `dropped` in [corpora.calls]",
        ),
        (
            source(
                &tree,
                &[("ravdess", "ravdess"), ("ravdess", "copy")],
                "four",
            ),
            "ravdess is given twice: DIR/copy and DIR/ravdess; give one, or rename one",
        ),
        (
            source(&tree, &[("emovdb", "emovdb")], "four"),
            "no labelled corpus in DIR/emovdb: a folder of one of these names is needed, a CSV manifest, or \
             --corpus NAME=PATH: ravdess, banglaser, emodb, iemocap, cremad, savee, tess, esd",
        ),
        (
            source(&empty, &[], "five"),
            "cannot read the label map five; the built-in maps are `four` and `own`",
        ),
    ] {
        let error = Dataset::labelled(&source).unwrap_err().to_string();
        assert_eq!(tree.plain(&error), expected);
    }
    let error = Dataset::unlabelled(&source(&empty, &[], "four")).unwrap_err();
    assert_eq!(
        empty.plain(&error.to_string()),
        "no speech without labels in DIR: a folder `unlabelled`, `librispeech` or `emovdb` is needed, a CSV \
         manifest without labels, or --corpus librispeech=PATH"
    );
    for text in ["ravdess", "=x", "ravdess="] {
        let error = text.parse::<NamedPath>().unwrap_err();
        assert_eq!(
            error,
            format!("`{text}` is not NAME=PATH, such as ravdess=/mnt/ravdess")
        );
    }
}

#[test]
fn broken_audio_is_passed_over_unless_all_is_broken() {
    let tree = Tree::of(&["emodb/03a01Fa.wav", "emodb/08a01Na.flac"]);
    let whole = wav(16_000, 16_000);
    tree.write("emodb/03a01Wa.wav", "");
    tree.write("emodb/03a02Wa.wav", &whole[..44]);
    tree.write("emodb/03a04Wa.wav", &whole[..20]);
    tree.write("emodb/03a05Wa.wav", &whole[..16_044]);
    tree.write("emodb/03a07Wa.wav", [0x5a; 4_000]);
    let data = Dataset::labelled(&source(&tree, &[], "four")).unwrap();
    // A truncated file is decoded up to its end.
    assert_eq!(
        labels_of(&data),
        [
            ("emodb/03", Some(3)),
            ("emodb/03", Some(1)),
            ("emodb/08", Some(0)),
        ]
    );
    assert_eq!(data.features.skipped.len(), 4);
    for (_, reason) in &data.features.skipped {
        assert!(reason.starts_with(&tree.path("emodb/03a0").display().to_string()));
    }

    let tree = Tree::of(&[]);
    tree.write("emodb/03a01Wa.wav", "");
    tree.write("emodb/03a02Wa.wav", &whole[..44]);
    let error = Dataset::labelled(&source(&tree, &[], "four")).unwrap_err();
    let error = tree.plain(&error.to_string());
    assert!(
        error.starts_with("none of 2 utterances could be used; the first: DIR/emodb/03a01Wa.wav: "),
        "{error}"
    );
    tree.write("emodb/03a01Wa.wav", POINTER);
    assert!(Dataset::labelled(&source(&tree, &[], "four")).is_err());
}
