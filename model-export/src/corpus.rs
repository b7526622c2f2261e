//! Corpora: a folder in, a list of utterances with speaker and label out.
//!
//! Everything is read from *file names*, by each corpus' own rules; no manifest is needed, so the
//! official downloads work as they are. The corpus is always named by the caller: RAVDESS and
//! BanglaSER names have one shape and different codes. Knows nothing of audio.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// The four classes, in the order of every logit, count and table.
pub const LABELS: [&str; 4] = ["neutral", "anger", "sadness", "happiness"];

const NEUTRAL: usize = 0;
const ANGER: usize = 1;
const SADNESS: usize = 2;
const HAPPINESS: usize = 3;

/// A corpus that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Corpus {
    /// Acted English, 24 actors, two sentences. Its weights are for non-commercial use.
    Ravdess,
    /// Acted Bangla, 34 actors, three sentences.
    BanglaSer,
    /// Acted German, 10 actors, only takes that listeners recognised.
    EmoDb,
    /// Read English books, without emotion labels.
    LibriSpeech,
}

impl Corpus {
    /// Every corpus, in the order of the enum.
    pub const ALL: [Self; 4] = [
        Self::Ravdess,
        Self::BanglaSer,
        Self::EmoDb,
        Self::LibriSpeech,
    ];

    /// Name, as it stands in file names, speakers' names and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ravdess => "ravdess",
            Self::BanglaSer => "banglaser",
            Self::EmoDb => "emodb",
            Self::LibriSpeech => "librispeech",
        }
    }

    /// What one of its file names looks like, for messages.
    const fn example(self) -> &'static str {
        match self {
            Self::Ravdess => {
                "03-01-05-01-02-01-12.wav (03-01-emotion-intensity-statement-take-actor)"
            }
            Self::BanglaSer => {
                "03-01-03-01-02-01-12.wav (03-01-emotion-intensity-statement-take-actor)"
            }
            Self::EmoDb => "03a01Fa.wav (speaker, sentence, emotion, version)",
            Self::LibriSpeech => "103-1240-0000.flac (speaker-chapter-utterance)",
        }
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Corpus {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|corpus| corpus.name() == name) {
            Some(corpus) => Ok(corpus),
            None => bail!(
                "no corpus is called `{name}`; there are {}",
                Self::ALL.map(Self::name).join(", ")
            ),
        }
    }
}

/// One recording of one speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// The audio file.
    pub path: PathBuf,
    /// Where it comes from.
    pub corpus: Corpus,
    /// Corpus and speaker, such as `ravdess/01`: unique over corpora.
    pub speaker: String,
    /// Index in [`LABELS`]; `None` where the corpus has no labels.
    pub label: Option<usize>,
}

/// What a file name says.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    /// Ours to use.
    Kept {
        speaker: &'a str,
        label: Option<usize>,
    },
    /// A file of the corpus that we leave out: song, or an emotion outside the four.
    LeftOut,
    /// Not named as the corpus names its files.
    Stranger,
}

/// Reads a corpus below `dir`, at any depth, sorted by path.
///
/// Emotions outside [`LABELS`] are dropped: RAVDESS' calm too, which is not merged with neutral.
/// A file whose name stands in two folders is taken once.
///
/// # Errors
/// If the folder cannot be read, holds no usable file, or if more than a quarter of its audio
/// files contradict the corpus' naming rules: then it is probably another corpus.
pub fn load(corpus: Corpus, dir: &Path) -> Result<Vec<Utterance>> {
    let mut files = Vec::new();
    walk(dir, &mut files)
        .with_context(|| format!("cannot read {corpus} from {}", dir.display()))?;
    files.sort();

    let mut utterances = Vec::new();
    let mut seen = HashSet::new();
    let mut left_out = 0;
    let mut strangers: Vec<&Path> = Vec::new();
    for path in &files {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("");
        match parse(corpus, stem) {
            Name::Stranger => strangers.push(path),
            Name::LeftOut => left_out += 1,
            Name::Kept { speaker, .. } if contradicts_folder(corpus, path, speaker) => {
                strangers.push(path);
            }
            Name::Kept { speaker, label } => {
                if seen.insert(stem) {
                    utterances.push(Utterance {
                        path: path.clone(),
                        corpus,
                        speaker: format!("{corpus}/{speaker}"),
                        label,
                    });
                }
            }
        }
    }
    if let Some(first) = strangers.first() {
        ensure!(
            strangers.len() * 4 <= files.len(),
            "{} does not look like {corpus}: {} of {} audio files are not named like {}; the first is {}",
            dir.display(),
            strangers.len(),
            files.len(),
            corpus.example(),
            first.display(),
        );
    }
    ensure!(
        !utterances.is_empty(),
        "no {corpus} utterance in {}: {} audio files (.wav, .flac), {left_out} of them of other emotions; \
         names look like {}",
        dir.display(),
        files.len(),
        corpus.example(),
    );
    Ok(utterances)
}

/// Appends every audio file below `dir`, hidden ones excepted.
fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("folder {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("folder {}", dir.display()))?;
        let path = entry.path();
        // Archives made on a Mac leave `._name.wav` beside each `name.wav`.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("wav") || e.eq_ignore_ascii_case("flac"))
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether RAVDESS' folder `Actor_NN` names another actor than the file does: known stray copies.
fn contradicts_folder(corpus: Corpus, path: &Path, speaker: &str) -> bool {
    corpus == Corpus::Ravdess
        && path
            .parent()
            .and_then(Path::file_name)
            .and_then(|folder| folder.to_str())
            .and_then(|folder| folder.strip_prefix("Actor_"))
            .is_some_and(|actor| actor != speaker)
}

fn parse(corpus: Corpus, stem: &str) -> Name<'_> {
    match corpus {
        Corpus::Ravdess => parse_ravdess(stem),
        Corpus::BanglaSer => parse_banglaser(stem),
        Corpus::EmoDb => parse_emodb(stem),
        Corpus::LibriSpeech => parse_librispeech(stem),
    }
}

/// `03-0C-EE-II-SS-RR-AA`, the shape that RAVDESS and BanglaSER share: audio only, channel,
/// emotion, intensity, statement, repetition, actor. Their codes differ.
struct Acted<'a> {
    channel: &'a str,
    emotion: &'a str,
    actor: &'a str,
}

impl<'a> Acted<'a> {
    /// Reads a name whose statements, repetitions and actors count up to these numbers.
    fn read(stem: &'a str, statements: u32, takes: u32, actors: u32) -> Option<Self> {
        let [
            modality,
            channel,
            emotion,
            intensity,
            statement,
            take,
            actor,
        ] = fields(stem)?;
        let fits = modality == "03"
            && numbered(intensity, 2)
            && numbered(statement, statements)
            && numbered(take, takes)
            && numbered(actor, actors);
        fits.then_some(Self {
            channel,
            emotion,
            actor,
        })
    }
}

fn parse_ravdess(stem: &str) -> Name<'_> {
    let Some(name) = Acted::read(stem, 2, 2, 24) else {
        return Name::Stranger;
    };
    // Channel 01 is speech, 02 song.
    let label = match (name.channel, name.emotion) {
        ("01", "01") => NEUTRAL,
        ("01", "03") => HAPPINESS,
        ("01", "04") => SADNESS,
        ("01", "05") => ANGER,
        ("01", "02" | "06" | "07" | "08") | ("02", _) => return Name::LeftOut,
        _ => return Name::Stranger,
    };
    Name::Kept {
        speaker: name.actor,
        label: Some(label),
    }
}

fn parse_banglaser(stem: &str) -> Name<'_> {
    let Some(name) = Acted::read(stem, 3, 3, 34) else {
        return Name::Stranger;
    };
    let label = match (name.channel, name.emotion) {
        ("01", "01") => HAPPINESS,
        ("01", "02") => SADNESS,
        ("01", "03") => ANGER,
        ("01", "05") => NEUTRAL,
        ("01", "04") => return Name::LeftOut,
        _ => return Name::Stranger,
    };
    Name::Kept {
        speaker: name.actor,
        label: Some(label),
    }
}

/// `SSTTTEv`: speaker, sentence, emotion by its German letter, version.
fn parse_emodb(stem: &str) -> Name<'_> {
    let &[s1, s2, kind, t1, t2, emotion, version] = stem.as_bytes() else {
        return Name::Stranger;
    };
    let digits = [s1, s2, t1, t2].iter().all(u8::is_ascii_digit);
    if !digits || !kind.is_ascii_lowercase() || !version.is_ascii_lowercase() {
        return Name::Stranger;
    }
    let label = match emotion {
        b'N' => NEUTRAL,
        b'W' => ANGER,
        b'T' => SADNESS,
        b'F' => HAPPINESS,
        // Boredom, disgust, and A for Angst: anxiety, not anger.
        b'L' | b'E' | b'A' => return Name::LeftOut,
        _ => return Name::Stranger,
    };
    Name::Kept {
        speaker: &stem[..2],
        label: Some(label),
    }
}

/// `speaker-chapter-utterance`.
fn parse_librispeech(stem: &str) -> Name<'_> {
    match fields(stem) {
        Some([speaker, chapter, utterance])
            if [speaker, chapter, utterance]
                .iter()
                .all(|field| !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit())) =>
        {
            Name::Kept {
                speaker,
                label: None,
            }
        }
        _ => Name::Stranger,
    }
}

/// Exactly `N` fields between hyphens.
fn fields<const N: usize>(stem: &str) -> Option<[&str; N]> {
    let mut parts = stem.split('-');
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// Whether a field is a two-digit number from 1 to `last`.
fn numbered(field: &str, last: u32) -> bool {
    field.len() == 2
        && field
            .parse::<u32>()
            .is_ok_and(|number| (1..=last).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(speaker: &str, label: usize) -> Name<'_> {
        Name::Kept {
            speaker,
            label: Some(label),
        }
    }

    #[test]
    fn one_shape_has_another_meaning_in_each_corpus() {
        let name = "03-01-03-01-02-01-12";
        assert_eq!(parse(Corpus::Ravdess, name), kept("12", HAPPINESS));
        assert_eq!(parse(Corpus::BanglaSer, name), kept("12", ANGER));
        assert_eq!(parse(Corpus::EmoDb, name), Name::Stranger);
        assert_eq!(parse(Corpus::LibriSpeech, name), Name::Stranger);
    }

    #[test]
    fn names_are_read_by_the_rules() {
        let unlabelled = Name::Kept {
            speaker: "103",
            label: None,
        };
        for (corpus, name, expected) in [
            (Corpus::Ravdess, "03-01-01-01-01-01-01", kept("01", NEUTRAL)),
            (Corpus::Ravdess, "03-01-04-02-02-02-20", kept("20", SADNESS)),
            (Corpus::Ravdess, "03-01-05-02-02-02-20", kept("20", ANGER)),
            (Corpus::Ravdess, "03-01-02-01-01-01-01", Name::LeftOut), // calm
            (Corpus::Ravdess, "03-02-05-01-01-01-01", Name::LeftOut), // song
            (Corpus::Ravdess, "03-01-09-01-01-01-01", Name::Stranger),
            (Corpus::Ravdess, "03-01-05-01-03-01-01", Name::Stranger), // no third statement
            (Corpus::Ravdess, "03-01-05-01-01-01", Name::Stranger),
            (
                Corpus::BanglaSer,
                "03-01-01-01-03-03-30",
                kept("30", HAPPINESS),
            ),
            (
                Corpus::BanglaSer,
                "03-01-02-02-01-01-01",
                kept("01", SADNESS),
            ),
            (
                Corpus::BanglaSer,
                "03-01-05-01-01-01-01",
                kept("01", NEUTRAL),
            ),
            (Corpus::BanglaSer, "03-01-04-01-01-01-01", Name::LeftOut), // surprise
            (Corpus::EmoDb, "03a01Wa", kept("03", ANGER)),
            (Corpus::EmoDb, "16b10Tb", kept("16", SADNESS)),
            (Corpus::EmoDb, "08a02Na", kept("08", NEUTRAL)),
            (Corpus::EmoDb, "08a02Fe", kept("08", HAPPINESS)),
            (Corpus::EmoDb, "08a02Ab", Name::LeftOut), // anxiety
            (Corpus::EmoDb, "08ä2Ab", Name::Stranger),
            (Corpus::LibriSpeech, "103-1240-0000", unlabelled),
            (Corpus::LibriSpeech, "103--0000", Name::Stranger),
        ] {
            assert_eq!(parse(corpus, name), expected, "{corpus} {name}");
        }
    }

    #[test]
    fn names_of_corpora_survive_printing() {
        for corpus in Corpus::ALL {
            assert_eq!(corpus.to_string().parse::<Corpus>().unwrap(), corpus);
        }
        let error = "iemocap".parse::<Corpus>().unwrap_err().to_string();
        assert!(error.contains("emodb"), "{error}");
    }

    #[test]
    fn a_folder_with_nothing_in_it_is_refused_with_its_name_and_the_rule() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(Corpus::EmoDb, dir.path()).unwrap_err().to_string();
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        assert!(error.contains("03a01Fa.wav"), "{error}");
        let error = format!(
            "{:#}",
            load(Corpus::EmoDb, &dir.path().join("no")).unwrap_err()
        );
        assert!(error.contains("emodb"), "{error}");
    }

    #[test]
    fn stray_copies_hidden_files_and_second_copies_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "Actor_02/03-01-05-01-01-01-02.wav",
            "Actor_02/03-01-05-01-01-02-02.wav",
            "Actor_02/03-01-05-02-01-01-02.wav",
            "Actor_02/._03-01-05-02-01-01-02.wav",
            "Actor_05/03-01-05-02-01-02-02.wav",
            "copy/Actor_02/03-01-05-01-01-01-02.WAV",
            "readme.txt",
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let utterances = load(Corpus::Ravdess, dir.path()).unwrap();
        assert_eq!(utterances.len(), 3);
        assert!(utterances.iter().all(|u| u.speaker == "ravdess/02"));
    }

    #[test]
    fn the_corpora_we_have_count_as_their_description_says() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
        if !data.is_dir() {
            eprintln!("SKIPPED: no corpora in {}", data.display());
            return;
        }
        for (corpus, folder, counts, speakers) in [
            (Corpus::Ravdess, "ravdess", [80, 160, 160, 160], 20),
            (Corpus::BanglaSer, "banglaser", [206, 270, 270, 270], 30),
            (Corpus::EmoDb, "emodb", [79, 127, 62, 71], 10),
            (Corpus::LibriSpeech, "unlabelled", [0; 4], 146),
        ] {
            let utterances = load(corpus, &data.join(folder)).unwrap();
            let mut found = [0; 4];
            for label in utterances.iter().filter_map(|u| u.label) {
                found[label] += 1;
            }
            assert_eq!(found, counts, "{corpus}");
            let names: HashSet<_> = utterances.iter().map(|u| &u.speaker).collect();
            assert_eq!(names.len(), speakers, "{corpus}");
            assert!(utterances.is_sorted_by(|a, b| a.path < b.path));
            if corpus == Corpus::LibriSpeech {
                assert_eq!(utterances.len(), 146);
            }
        }
        let error = load(Corpus::Ravdess, &data.join("banglaser"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not look like ravdess"), "{error}");
        let error = load(Corpus::BanglaSer, &data.join("ravdess"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not look like banglaser"), "{error}");
    }
}
