//! Corpora with all labels in their file names.

use model_export::data::corpus::{Corpus, Reason};

use crate::tree::{POINTER, Tree, expect_skipped};

#[test]
fn ravdess_leaves_song_strays_copies_and_mac_files_out() {
    let tree = Tree::of(&[
        "Actor_02/03-01-05-01-01-01-02.wav",
        "Actor_02/03-01-01-01-01-02-02.WAV",
        "Actor_02/03-01-02-01-01-01-02.flac",
        "Actor_02/03-01-08-02-01-01-02.FLAC",
        "Actor_02/03-02-05-01-01-01-02.wav",
        "Actor_02/._03-01-05-02-01-01-02.wav",
        "Actor_05/03-01-05-02-01-02-02.wav",
        "copy/Actor_02/03-01-05-01-01-01-02.wav",
    ]);
    tree.write("Actor_02/readme.txt", "no audio");
    let collection = tree.load(Corpus::Ravdess);
    tree.expect(
        &collection,
        &[
            ("Actor_02/03-01-01-01-01-02-02.WAV", "ravdess/02", "neutral"),
            ("Actor_02/03-01-02-01-01-01-02.flac", "ravdess/02", "calm"),
            ("Actor_02/03-01-05-01-01-01-02.wav", "ravdess/02", "angry"),
            (
                "Actor_02/03-01-08-02-01-01-02.FLAC",
                "ravdess/02",
                "surprised",
            ),
        ],
    );
    expect_skipped(
        &collection,
        &[
            (Reason::Song, 1),
            (Reason::Contradictory, 1),
            (Reason::Duplicate, 1),
        ],
    );
    let notes: Vec<_> = collection.notes().iter().map(|n| tree.plain(n)).collect();
    assert_eq!(
        notes,
        [
            "ravdess: skipped 1 contradicted by their folder or label file; \
             the first is DIR/Actor_05/03-01-05-02-01-02-02.wav",
            "ravdess: skipped 1 with the name of a file that was read before; \
             the first is DIR/copy/Actor_02/03-01-05-01-01-01-02.wav",
            "ravdess: skipped 1 sung, not spoken; the first is DIR/Actor_02/03-02-05-01-01-01-02.wav",
        ]
    );
}

#[test]
fn banglaser_has_codes_of_its_own() {
    let tree = Tree::of(&["03-01-03-01-03-01-34.wav", "03-01-05-01-02-03-01.flac"]);
    let collection = tree.load(Corpus::BanglaSer);
    tree.expect(
        &collection,
        &[
            ("03-01-03-01-03-01-34.wav", "banglaser/34", "angry"),
            ("03-01-05-01-02-03-01.flac", "banglaser/01", "neutral"),
        ],
    );
    expect_skipped(&collection, &[]);
}

#[test]
fn emodb_is_read_from_its_wav_folder() {
    let tree = Tree::of(&["wav/03a01Fa.wav", "wav/08b10Ab.wav", "wav/16a07Wb.WAV"]);
    let collection = tree.load(Corpus::EmoDb);
    tree.expect(
        &collection,
        &[
            ("wav/03a01Fa.wav", "emodb/03", "happiness"),
            ("wav/08b10Ab.wav", "emodb/08", "anxiety"),
            ("wav/16a07Wb.WAV", "emodb/16", "anger"),
        ],
    );
}

#[test]
fn cremad_refuses_pointers_by_name_and_counts_them() {
    let tree = Tree::of(&[
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "AudioWAV/1040_ITH_SAD_X.wav",
    ]);
    tree.write("AudioWAV/1001_IEO_HAP_LO.wav", POINTER);
    tree.write("AudioWAV/1001_IEO_HAP_HI.wav", POINTER);
    let collection = tree.load(Corpus::CremaD);
    tree.expect(
        &collection,
        &[
            ("AudioWAV/1001_DFA_ANG_XX.wav", "cremad/1001", "anger"),
            ("AudioWAV/1040_ITH_SAD_X.wav", "cremad/1040", "sad"),
        ],
    );
    expect_skipped(&collection, &[(Reason::Pointer, 2)]);
    assert_eq!(
        tree.plain(&collection.notes()[0]),
        "cremad: skipped 2 Git LFS pointers, not audio; run `git lfs pull` where they were cloned; \
         the first is DIR/AudioWAV/1001_IEO_HAP_HI.wav"
    );

    let tree = Tree::of(&[]);
    tree.write("1001_IEO_HAP_LO.wav", POINTER);
    assert_eq!(
        tree.refused(Corpus::CremaD, ""),
        "cremad in DIR/ has no audio: 1 of 1 files are Git LFS pointers, not audio; run `git lfs pull` where \
         they were cloned"
    );
}

#[test]
fn savee_is_read_in_both_layouts_once() {
    let tree = Tree::of(&[
        "AudioData/DC/sa01.wav",
        "AudioData/DC/a01.wav",
        "AudioData/KL/su15.wav",
        "ALL/DC_a01.wav",
        "ALL/JE_n30.wav",
    ]);
    tree.write("AudioData/DC/Info.txt", "notes");
    let collection = tree.load(Corpus::Savee);
    tree.expect(
        &collection,
        &[
            ("ALL/DC_a01.wav", "savee/DC", "anger"),
            ("ALL/JE_n30.wav", "savee/JE", "neutral"),
            ("AudioData/DC/sa01.wav", "savee/DC", "sadness"),
            ("AudioData/KL/su15.wav", "savee/KL", "surprise"),
        ],
    );
    expect_skipped(&collection, &[(Reason::Duplicate, 1)]);
}

#[test]
fn tess_is_read_with_its_odd_name_and_its_second_folder() {
    let tree = Tree::of(&[
        "TESS/OAF_Pleasant_surprise/OAF_back_ps.wav",
        "TESS/OAF_neutral/OA_bite_neutral.wav",
        "TESS/YAF_angry/YAF_dog_angry.wav",
        "copy/TESS/YAF_angry/YAF_dog_angry.wav",
    ]);
    let collection = tree.load(Corpus::Tess);
    tree.expect(
        &collection,
        &[
            (
                "TESS/OAF_Pleasant_surprise/OAF_back_ps.wav",
                "tess/OAF",
                "pleasant surprise",
            ),
            (
                "TESS/OAF_neutral/OA_bite_neutral.wav",
                "tess/OAF",
                "neutral",
            ),
            ("TESS/YAF_angry/YAF_dog_angry.wav", "tess/YAF", "angry"),
        ],
    );
    expect_skipped(&collection, &[(Reason::Duplicate, 1)]);
}

#[test]
fn esd_is_read_with_parts_chinese_labels_tabs_and_spaces() {
    let tree = Tree::of(&[
        "0001/生气/0001_000351.wav",
        "0001/0001_000701.wav",
        "0001/0001_001000.wav",
        "0011/Angry/0011_000351.wav",
        "0011/Happy/train/0011_000701.wav",
        "0011/Sad/evaluation/0011_001051.WAV",
        "0011/Sad/test/0011_001052.wav",
    ]);
    tree.write(
        "0001/0001.txt",
        "\u{feff}0001_000351\t打远一看\t生气\r\n0001_000701 打远一看 快乐\r\n",
    );
    // Latin-1 in the text, spaces, and a row that contradicts its folder.
    tree.write(
        "0011/0011.txt",
        b"0011_000351\tThe caf\xe9.\tAngry\n0011_000701  The nine  Happy\n0011_001052\tNo.\tNeutral\n",
    );
    let collection = tree.load(Corpus::Esd);
    tree.expect(
        &collection,
        &[
            ("0001/0001_000701.wav", "esd/0001", "happy"),
            ("0001/生气/0001_000351.wav", "esd/0001", "angry"),
            ("0011/Angry/0011_000351.wav", "esd/0011", "angry"),
            ("0011/Happy/train/0011_000701.wav", "esd/0011", "happy"),
            ("0011/Sad/evaluation/0011_001051.WAV", "esd/0011", "sad"),
        ],
    );
    expect_skipped(
        &collection,
        &[(Reason::Contradictory, 1), (Reason::NoEmotion, 1)],
    );
}

#[test]
fn emovdb_goes_by_folders_in_both_layouts() {
    let tree = Tree::of(&[
        "bea_Amused/amused_1-15_0001.wav",
        "jenie/angry/neutral_29-56_0002.wav",
        "josh/sleepiness/sleepiness_0003.flac",
        "sam_Disgusted/disgust_0004.wav",
        "copy/bea/amused/amused_1-15_0001.wav",
    ]);
    tree.write(
        "sam_Neutral/neutral_0004.wav",
        crate::tree::wav(16_000, 44_100),
    );
    let collection = tree.load(Corpus::EmovDb);
    tree.expect(
        &collection,
        &[
            ("bea_Amused/amused_1-15_0001.wav", "emovdb/bea", "amused"),
            (
                "jenie/angry/neutral_29-56_0002.wav",
                "emovdb/jenie",
                "anger",
            ),
            (
                "josh/sleepiness/sleepiness_0003.flac",
                "emovdb/josh",
                "sleepiness",
            ),
            ("sam_Disgusted/disgust_0004.wav", "emovdb/sam", "disgust"),
            ("sam_Neutral/neutral_0004.wav", "emovdb/sam", "neutral"),
        ],
    );
    expect_skipped(&collection, &[(Reason::Duplicate, 1)]);
}

#[test]
fn librispeech_is_read_at_any_depth_without_labels() {
    let tree = Tree::of(&[
        "train-clean-100/103/1240/103-1240-0000.flac",
        "1034-121119-0000.flac",
    ]);
    tree.write("train-clean-100/103/1240/103-1240.trans.txt", "A BOOK");
    let collection = tree.load(Corpus::LibriSpeech);
    assert!(!collection.is_labelled());
    tree.expect(
        &collection,
        &[
            ("1034-121119-0000.flac", "librispeech/1034", "-"),
            (
                "train-clean-100/103/1240/103-1240-0000.flac",
                "librispeech/103",
                "-",
            ),
        ],
    );
}

#[test]
fn another_corpus_is_refused_by_its_names() {
    let ravdess = Tree::of(&["Actor_01/03-01-05-01-01-01-01.wav"]);
    let banglaser = Tree::of(&["03-01-03-01-03-03-34.wav"]);
    let empty = Tree::of(&[]);
    for (tree, corpus, expected) in [
        (
            &ravdess,
            Corpus::CremaD,
            "DIR/ does not look like cremad: 1 of 1 audio files are not named like 1001_DFA_ANG_XX.wav \
             (speaker_sentence_emotion_level); the first is DIR/Actor_01/03-01-05-01-01-01-01.wav",
        ),
        (
            &banglaser,
            Corpus::Ravdess,
            "DIR/ does not look like ravdess: 1 of 1 audio files are not named like 03-01-05-01-02-01-12.wav \
             (03-01-emotion-intensity-statement-take-actor); the first is DIR/03-01-03-01-03-03-34.wav",
        ),
        (
            &empty,
            Corpus::Tess,
            "no tess utterance in DIR/: 0 audio files (.wav, .flac); names look like OAF_back_angry.wav \
             (speaker_word_emotion)",
        ),
        (
            &empty,
            Corpus::from("calls"),
            "`calls` is not a known corpus, and DIR/ is neither a CSV manifest nor an audformat \
             folder (with db.yaml); the known corpora are ravdess, banglaser, emodb, librispeech, iemocap, cremad, savee, \
             tess, esd, emovdb",
        ),
    ] {
        assert_eq!(tree.refused(corpus, ""), expected);
    }
    assert_eq!(
        empty.refused(Corpus::Tess, "gone"),
        "tess: DIR/gone is neither a folder nor a CSV manifest"
    );
}
