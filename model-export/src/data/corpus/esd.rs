//! ESD: acted English (speakers 0011–0020) and Mandarin (0001–0010), parallel sentences;
//! `0011/Angry/0011_000351.wav`, sometimes below train, evaluation, test.
//!
//! `<speaker>.txt` has rows of id, text, label; some labels are Chinese. If both the folder and the row
//! contain an emotion, they must agree.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::naming::{self, Name, digits, fields};
use super::walk::{folders, stem};
use super::{Collection, Corpus, Reason};

pub(super) const EMOTIONS: &[&str] = &["neutral", "angry", "sad", "happy", "surprise"];
const EXAMPLE: &str = "0011/Angry/0011_000351.wav (speaker/emotion/speaker_number)";
/// The archive's folder, a folder inside it, and the speaker's folder.
const TRANSCRIPT_DEPTH: usize = 3;

pub(super) fn load(dir: &Path) -> Result<Collection> {
    let mut rows = HashMap::new();
    transcripts(dir, TRANSCRIPT_DEPTH, &mut rows)?;
    naming::load(Corpus::Esd, dir, EXAMPLE, |path| read(path, &rows))
}

fn read(path: &Path, rows: &HashMap<String, &'static str>) -> Result<Name, Reason> {
    let stem = stem(path);
    let [speaker, number] = fields(stem, '_').ok_or(Reason::Misnamed)?;
    if speaker.len() != 4 || number.len() != 6 || !digits(speaker) || !digits(number) {
        return Err(Reason::Misnamed);
    }
    let folder = folders(path).take(3).find_map(emotion);
    let emotion = match (folder, rows.get(stem).copied()) {
        (Some(folder), Some(row)) if folder != row => return Err(Reason::Contradictory),
        (folder, row) => folder.or(row).ok_or(Reason::NoEmotion)?,
    };
    Ok(Name::new(speaker, emotion, stem))
}

/// Reads the labels of every `<speaker>.txt` at most `depth` folders below `dir`.
fn transcripts(dir: &Path, depth: usize, rows: &mut HashMap<String, &'static str>) -> Result<()> {
    let context = || format!("cannot read esd from {}", dir.display());
    for entry in std::fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let named = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("txt"));
        if path.is_dir() && depth > 0 {
            transcripts(&path, depth - 1, rows)?;
        } else if named && digits(stem(&path)) {
            // The text may have another encoding; the label is readable anyway.
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            rows.extend(String::from_utf8_lossy(&bytes).lines().filter_map(row));
        }
    }
    Ok(())
}

/// Parses `id text label`, separated by tabs or spaces; a byte order mark may come first.
fn row(line: &str) -> Option<(String, &'static str)> {
    let mut words = line.trim_start_matches('\u{feff}').split_whitespace();
    let id = words.next()?;
    Some((id.to_owned(), emotion(words.next_back()?)?))
}

fn emotion(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "neutral" | "中立" | "中性" => "neutral",
        "angry" | "生气" | "愤怒" => "angry",
        "sad" | "伤心" | "悲伤" | "难过" => "sad",
        "happy" | "快乐" | "开心" | "高兴" => "happy",
        "surprise" | "surprised" | "惊喜" | "惊讶" => "surprise",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_between_tabs_or_spaces() {
        for (line, expected) in [
            ("0011_000001\tThe nine the eggs.\tNeutral", Some("neutral")),
            ("0011_000001  The nine the eggs.  Angry\r", Some("angry")),
            ("\u{feff}0001_000351\t打远一看\t生气", Some("angry")),
            ("0001_000701 打远一看 快乐", Some("happy")),
            ("0001_001051 打远一看 伤心", Some("sad")),
            ("0001_001401 打远一看 惊喜", Some("surprise")),
            ("0001_001401 words only", None),
            ("0001_001401", None),
            ("", None),
        ] {
            assert_eq!(row(line).map(|(_, emotion)| emotion), expected, "{line}");
        }
    }

    #[test]
    fn folder_and_row_must_agree() {
        let rows = HashMap::from([("0001_000351".to_owned(), "angry")]);
        for (path, expected) in [
            ("0001/Angry/0001_000351.wav", Ok("angry")),
            ("0001/Angry/train/0001_000351.wav", Ok("angry")),
            ("0001/train/Angry/0001_000351.wav", Ok("angry")),
            ("0001/0001_000351.wav", Ok("angry")),
            ("0002/Sad/0002_000351.wav", Ok("sad")),
            ("0001/Sad/0001_000351.wav", Err(Reason::Contradictory)),
            ("0002/0002_000351.wav", Err(Reason::NoEmotion)),
            ("0001/Angry/000351.wav", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(path), &rows);
            let read = read.map(|name| name.emotion.unwrap_or(""));
            assert_eq!(read, expected, "{path}");
        }
    }
}
