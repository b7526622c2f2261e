//! IEMOCAP: acted and improvised English dialogues, 10 speakers in five sessions of two.
//!
//! Labels come from `SessionN/dialog/EmoEvaluation/*.txt`, audio from
//! `SessionN/sentences/wav/<dialogue>/<turn>.wav`. The speaker is the session and the first letter
//! of the turn's *last* field: the letter in its first field is the speaker who wore the markers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Collection, Corpus, Reason, Utterance, walk};

pub(super) const EMOTIONS: &[&str] = &[
    "neu", "ang", "sad", "hap", "exc", "fru", "fea", "sur", "dis", "oth",
];
/// What the raters wrote where no emotion had a majority.
const NO_AGREEMENT: &str = "xxx";

/// The emotions that published results use, and the number of turns with each in the whole corpus.
const WHOLE: [(&str, usize); 5] = [
    ("neu", 1_708),
    ("hap", 595),
    ("exc", 1_041),
    ("ang", 1_103),
    ("sad", 1_084),
];
/// The number of these turns in each session.
const SESSIONS: [usize; 5] = [1_085, 1_023, 1_151, 1_031, 1_241];

/// Reads the sessions in `dir`, or in a folder of it.
pub(super) fn load(dir: &Path) -> Result<Collection> {
    let mut collection = Collection::new(Corpus::Iemocap);
    let mut found = Vec::new();
    for (session, folder) in sessions(dir)? {
        let labels = label_files(&folder)?;
        if labels.is_empty() {
            let place = folder.join("dialog/EmoEvaluation").display().to_string();
            collection
                .warnings
                .push(format!("session {session} has no labels in {place}"));
            continue;
        }
        read_session(session, &folder, &labels, &mut collection)?;
        found.push(session);
    }
    ensure!(
        !found.is_empty(),
        "no iemocap in {}: folders Session1 to Session5 are needed, \
         with label files in dialog/EmoEvaluation and audio in sentences/wav",
        dir.display(),
    );
    ensure!(
        !collection.utterances.is_empty(),
        "no iemocap turn in {} can be used{}",
        dir.display(),
        super::manifest::because(&collection),
    );
    collection.utterances.sort_by(|a, b| a.path.cmp(&b.path));
    check(&mut collection, dir, &found)?;
    Ok(collection)
}

/// Finds the folders `Session1` to `Session5` in `dir`, or one level below it.
fn sessions(dir: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let here = |dir: &Path| -> Vec<(usize, PathBuf)> {
        (1..=SESSIONS.len())
            .map(|session| (session, dir.join(format!("Session{session}"))))
            .filter(|(_, folder)| folder.is_dir())
            .collect()
    };
    let mut sessions = here(dir);
    if sessions.is_empty() {
        for folder in entries(dir)? {
            sessions.extend(here(&folder));
        }
    }
    sessions.sort();
    let twice = sessions.windows(2).find(|pair| pair[0].0 == pair[1].0);
    if let Some([(_, first), (_, second)]) = twice {
        anyhow::bail!(
            "two copies of one session: {} and {}",
            first.display(),
            second.display()
        );
    }
    Ok(sessions)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read iemocap from {}", dir.display());
    let mut paths = std::fs::read_dir(dir)
        .with_context(context)?
        .map(|entry| Ok(entry.with_context(context)?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Returns the label files. The folders beside them contain the labels of single raters.
fn label_files(session: &Path) -> Result<Vec<PathBuf>> {
    let folder = session.join("dialog/EmoEvaluation");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = entries(&folder)?;
    files.retain(|path| {
        let text = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("txt"));
        text && !walk::stem(path).starts_with('.') && path.is_file()
    });
    Ok(files)
}

fn read_session(
    session: usize,
    folder: &Path,
    labels: &[PathBuf],
    collection: &mut Collection,
) -> Result<()> {
    let audio = audio(&folder.join("sentences/wav"))?;
    let mut seen = HashSet::new();
    for file in labels {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        // Some copies are Latin-1; the parts read here are ASCII.
        for (turn, emotion) in String::from_utf8_lossy(&bytes).lines().filter_map(turn) {
            let place = || folder.join("sentences/wav").join(turn);
            match speaker(session, turn) {
                Err(reason) => collection.skip(reason, place()),
                Ok(_) if !seen.insert(turn.to_owned()) => {
                    collection.skip(Reason::Duplicate, place());
                }
                Ok(_) if emotion == NO_AGREEMENT => collection.skip(Reason::NoEmotion, place()),
                Ok(speaker) => match audio.get(turn) {
                    None => collection.skip(Reason::NoAudio, place()),
                    Some(path) if walk::is_pointer(path) => {
                        collection.skip(Reason::Pointer, path.clone());
                    }
                    Some(path) => collection.utterances.push(Utterance {
                        path: path.clone(),
                        corpus: Corpus::Iemocap,
                        speaker: format!("{}/{session}{speaker}", Corpus::Iemocap),
                        session: Some(session.to_string()),
                        span: None,
                        label: Some(emotion.to_owned()),
                    }),
                },
            }
        }
    }
    Ok(())
}

/// Maps turns to their audio files, each in the folder of its dialogue.
fn audio(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    if !folder.is_dir() {
        return Ok(HashMap::new());
    }
    let files = walk::audio_files(folder)?;
    let turns = files.into_iter().filter_map(|path| {
        let turn = walk::stem(&path).to_owned();
        let dialogue = turn.rsplit_once('_')?.0;
        let own = walk::folders(&path).next() == Some(dialogue);
        own.then_some((turn, path))
    });
    Ok(turns.collect())
}

/// `[start - end]  turn  emotion  [valence, activation, dominance]`; other lines are not turns.
fn turn(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.strip_prefix('[')?.split_once(']')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?, fields.next()?))
}

/// Returns F or M, from the last field of a turn's name.
fn speaker(session: usize, turn: &str) -> Result<char, Reason> {
    let number = turn.strip_prefix("Ses").and_then(|rest| rest.get(..2));
    let number: usize = number
        .and_then(|number| number.parse().ok())
        .ok_or(Reason::Misnamed)?;
    if number != session {
        return Err(Reason::Contradictory);
    }
    let last = turn.rsplit('_').next().unwrap_or("");
    match last.chars().next() {
        Some(letter @ ('F' | 'M')) => Ok(letter),
        _ => Err(Reason::Misnamed),
    }
}

/// Refuses a whole corpus that differs from the published one; warns of a part of it.
fn check(collection: &mut Collection, dir: &Path, found: &[usize]) -> Result<()> {
    let mut emotions = BTreeMap::new();
    let mut sessions = BTreeMap::new();
    for utterance in &collection.utterances {
        let emotion = utterance.label.as_deref().unwrap_or("");
        if WHOLE.iter().any(|&(name, _)| name == emotion) {
            *emotions.entry(emotion).or_insert(0usize) += 1;
            let session = utterance.session.as_deref().unwrap_or("");
            *sessions.entry(session).or_insert(0usize) += 1;
        }
    }
    let counted = |emotion: &str| emotions.get(emotion).copied().unwrap_or(0);
    let total: usize = emotions.values().sum();
    let whole: usize = SESSIONS.iter().sum();
    if found.len() < SESSIONS.len() {
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let counts = WHOLE.map(|(emotion, _)| format!("{emotion} {}", counted(emotion)));
        collection.warnings.push(format!(
            "only sessions {} of {}: {total} of {whole} utterances ({})",
            found.join(", "),
            SESSIONS.len(),
            counts.join(", "),
        ));
        return Ok(());
    }
    let emotions = WHOLE.iter().filter_map(|&(emotion, expected)| {
        let count = counted(emotion);
        (count != expected).then(|| format!("{emotion} {count} instead of {expected}"))
    });
    let sessions = SESSIONS.iter().enumerate().filter_map(|(index, expected)| {
        let session = (index + 1).to_string();
        let count = sessions.get(session.as_str()).copied().unwrap_or(0);
        (count != *expected).then(|| format!("session {session} {count} instead of {expected}"))
    });
    let deviations: Vec<String> = emotions.chain(sessions).collect();
    let notes = collection.notes();
    ensure!(
        deviations.is_empty(),
        "iemocap in {} has all five sessions but {total} utterances of neu, hap, exc, ang, sad instead of \
         {whole}: {}. Copy it again, or remove a session to train on a part of it{}{}",
        dir.display(),
        deviations.join(", "),
        if notes.is_empty() { "" } else { ". " },
        notes.join("; "),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_read_and_other_lines_are_not() {
        for (line, expected) in [
            (
                "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
                Some(("Ses01F_impro01_F000", "neu")),
            ),
            (
                "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\r",
                Some(("Ses01F_impro01_F000", "neu")),
            ),
            (
                "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]",
                None,
            ),
            ("C-E2:\tNeutral;\t()", None),
            ("A-E3:\tval 3; act 2; dom  2;\t()", None),
            ("", None),
            ("[6.2901 - 8.2357]", None),
        ] {
            assert_eq!(turn(line), expected, "{line}");
        }
    }

    #[test]
    fn the_speaker_is_in_the_last_field() {
        for (session, turn, expected) in [
            (1, "Ses01F_impro01_M003", Ok('M')),
            (1, "Ses01F_impro01_F003", Ok('F')),
            (3, "Ses03M_impro05a_F000", Ok('F')),
            (3, "Ses03M_script03_2_M000", Ok('M')),
            (2, "Ses03M_script03_2_M000", Err(Reason::Contradictory)),
            (1, "Ses01F_impro01_XX03", Err(Reason::Misnamed)),
            (1, "S1", Err(Reason::Misnamed)),
        ] {
            assert_eq!(speaker(session, turn), expected, "{turn}");
        }
    }
}
