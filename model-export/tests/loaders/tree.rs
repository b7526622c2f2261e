//! A temporary corpus folder, and assertions about what was read from it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use model_export::data::corpus::{Collection, Corpus, Reason, load};
use tempfile::TempDir;
use undertone::audio::{Encoding, LaneChoice, Limits, decode};

/// What a Git clone without LFS has instead of audio.
pub(crate) const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n\
    oid sha256:0d6c4f2a1b6e5d5f7f1d3c2b1a0908070605040302010000ffeeddccbbaa9988\nsize 73058\n";

/// A real clip: its FLAC file, and its samples at 16 kHz.
struct Clip {
    file: Vec<u8>,
    samples: Vec<f32>,
}

fn clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shared = root.join("../../shared/data/emodb/03a01Fa.flac");
        let path = if shared.is_file() {
            shared
        } else {
            eprintln!(
                "NOTE: {} is not there; the repository's own clip is used",
                shared.display()
            );
            root.join("../tests/audio/book.flac")
        };
        let file = std::fs::read(path).unwrap();
        let recording = decode(&file, Encoding::Auto, LaneChoice::Mix, &Limits::default()).unwrap();
        let samples = recording.lanes.into_iter().next().unwrap();
        Clip { file, samples }
    })
}

/// The first `length` samples of the clip as a 16-bit WAV file.
pub(crate) fn wav(length: usize, rate: u32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for sample in &clip().samples[..length] {
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    file.into_inner()
}

/// A temporary folder.
pub(crate) struct Tree {
    dir: TempDir,
}

impl Tree {
    /// Creates a folder with real audio in every given file.
    pub(crate) fn of(files: &[&str]) -> Self {
        let tree = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for file in files {
            tree.audio(file);
        }
        tree
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Real audio of the format that the name ends in.
    pub(crate) fn audio(&self, name: &str) {
        if name.to_lowercase().ends_with(".flac") {
            self.write(name, &clip().file);
        } else {
            self.write(name, wav(16_000, 16_000));
        }
    }

    /// Creates many files with the same audio as links to one file.
    pub(crate) fn links(&self, names: impl Iterator<Item = String>) {
        self.audio("one.wav");
        for name in names {
            let path = self.path(&name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::hard_link(self.path("one.wav"), path).unwrap();
        }
    }

    /// Reads the folder as a corpus.
    pub(crate) fn load(&self, corpus: Corpus) -> Collection {
        load(corpus, self.root()).unwrap()
    }

    /// Reads a file or folder, which must fail; returns the error with `DIR` for the folder's path.
    pub(crate) fn refused(&self, corpus: Corpus, name: &str) -> String {
        let error = load(corpus, &self.path(name)).unwrap_err();
        self.plain(&format!("{error:#}"))
    }

    /// Replaces the folder's path by `DIR`.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.root().display().to_string(), "DIR")
    }

    /// Asserts path, speaker and emotion of each recording, sorted by path.
    #[track_caller]
    pub(crate) fn expect(&self, collection: &Collection, expected: &[(&str, &str, &str)]) {
        let found: Vec<(String, &str, &str)> = collection
            .utterances
            .iter()
            .map(|u| {
                let path = u.path.strip_prefix(self.root()).unwrap_or(&u.path);
                let label = u.label.as_deref().unwrap_or("-");
                (path.display().to_string(), u.speaker.as_str(), label)
            })
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(path, s, l)| (path.as_str(), *s, *l))
            .collect();
        assert_eq!(found, expected);
    }
}

/// Asserts the number of skipped files by reason.
#[track_caller]
pub(crate) fn expect_skipped(collection: &Collection, expected: &[(Reason, usize)]) {
    let found: Vec<(Reason, usize)> = collection
        .skipped
        .iter()
        .map(|(&reason, paths)| (reason, paths.len()))
        .collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
