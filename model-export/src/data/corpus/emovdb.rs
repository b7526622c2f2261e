//! EmoV-DB: acted English, four speakers, read sentences; `bea_Amused/…_0001.wav` or
//! `bea/amused/…_0001.wav`. The prefixes of its file names are unreliable: speaker and
//! emotion come from the folders, and the last field is the sentence. It has files of 16 and 44.1 kHz.

use std::path::Path;

use super::Reason;
use super::naming::{Name, digits};
use super::walk::{folders, stem};

pub(super) const EMOTIONS: &[&str] = &["neutral", "anger", "amused", "disgust", "sleepiness"];
pub(super) const EXAMPLE: &str =
    "bea_Amused/amused_1-15_0001.wav or bea/amused/…_0001.wav (speaker, emotion, …, sentence)";

const SPEAKERS: [&str; 4] = ["bea", "jenie", "josh", "sam"];

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let sentence = stem.rsplit('_').next().unwrap_or("");
    let mut folders = folders(path).map(str::to_ascii_lowercase);
    let folder = folders.next().unwrap_or_default();
    let above = folders.next().unwrap_or_default();
    let (speaker, word) = match folder.split_once('_') {
        Some(parts) => parts,
        None => (above.as_str(), folder.as_str()),
    };
    let emotion = emotion(word).ok_or(Reason::Misnamed)?;
    if !SPEAKERS.contains(&speaker) || !digits(sentence) {
        return Err(Reason::Misnamed);
    }
    let key = format!("{speaker}/{emotion}/{stem}");
    Ok(Name::new(speaker, emotion, &key))
}

fn emotion(word: &str) -> Option<&'static str> {
    Some(match word {
        "neutral" => "neutral",
        "anger" | "angry" => "anger",
        "amused" | "amusement" => "amused",
        "disgust" | "disgusted" => "disgust",
        "sleepiness" | "sleepy" => "sleepiness",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (path, expected) in [
            ("bea_Amused/amused_1-15_0001.wav", Ok(("bea", "amused"))),
            ("bea/amused/amused_1-15_0001.wav", Ok(("bea", "amused"))),
            (
                "sam_Sleepy/neutral_1-28_0003.wav",
                Ok(("sam", "sleepiness")),
            ),
            ("jenie/Angry/anger_0003.wav", Ok(("jenie", "anger"))),
            ("jenie_Disgusted/0003.wav", Ok(("jenie", "disgust"))),
            ("josh_Neutral/neutral_0003.wav", Ok(("josh", "neutral"))),
            ("tom_Neutral/neutral_0003.wav", Err(Reason::Misnamed)),
            ("josh_Calm/neutral_0003.wav", Err(Reason::Misnamed)),
            ("josh_Neutral/neutral.wav", Err(Reason::Misnamed)),
            ("neutral_0003.wav", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(path));
            let read = read
                .as_ref()
                .map(|name| (name.speaker.as_str(), name.emotion.unwrap_or("")));
            assert_eq!(read, expected.as_ref().copied(), "{path}");
        }
    }
}
