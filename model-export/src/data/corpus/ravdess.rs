//! RAVDESS: acted English, 24 actors, two sentences; `Actor_AA/03-01-EE-II-SS-RR-AA.wav`.
//! Song (`03-02-…`) is skipped. Models trained on it are for non-commercial use.

use std::path::Path;

use super::Reason;
use super::acted::Acted;
use super::naming::Name;
use super::walk::{folders, stem};

pub(super) const EMOTIONS: &[&str] = &[
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
];
pub(super) const EXAMPLE: &str =
    "03-01-05-01-02-01-12.wav (03-01-emotion-intensity-statement-take-actor)";

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let name = Acted::read(stem, 2, 2, 24).ok_or(Reason::Misnamed)?;
    let emotion = match (name.channel, name.emotion) {
        ("01", "01") => "neutral",
        ("01", "02") => "calm",
        ("01", "03") => "happy",
        ("01", "04") => "sad",
        ("01", "05") => "angry",
        ("01", "06") => "fearful",
        ("01", "07") => "disgust",
        ("01", "08") => "surprised",
        ("02", _) => return Err(Reason::Song),
        _ => return Err(Reason::Misnamed),
    };
    // Some copies of files are in another actor's folder.
    let folder = folders(path).next().unwrap_or("");
    let strays = folder
        .strip_prefix("Actor_")
        .is_some_and(|actor| actor != name.actor);
    if strays {
        return Err(Reason::Contradictory);
    }
    Ok(Name::new(name.actor, emotion, stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (path, expected) in [
            ("03-01-01-01-01-01-01.wav", Ok(("01", "neutral"))),
            ("03-01-02-01-01-01-01.wav", Ok(("01", "calm"))),
            ("03-01-03-01-02-01-12.flac", Ok(("12", "happy"))),
            ("Actor_20/03-01-04-02-02-02-20.wav", Ok(("20", "sad"))),
            ("Actor_20/03-01-05-02-02-02-20.WAV", Ok(("20", "angry"))),
            ("03-01-08-01-01-01-24.wav", Ok(("24", "surprised"))),
            (
                "Actor_05/03-01-05-02-01-02-02.wav",
                Err(Reason::Contradictory),
            ),
            ("03-02-05-01-01-01-01.wav", Err(Reason::Song)),
            ("03-01-09-01-01-01-01.wav", Err(Reason::Misnamed)),
            ("03-01-05-01-03-01-01.wav", Err(Reason::Misnamed)),
            ("03-01-05-01-01-01-25.wav", Err(Reason::Misnamed)),
            ("03-01-05-01-01-01.wav", Err(Reason::Misnamed)),
            ("01-01-05-01-01-01-01.wav", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(path));
            let read = read
                .as_ref()
                .map(|name| (name.speaker.as_str(), name.emotion.unwrap_or("")));
            assert_eq!(read, expected.as_ref().copied(), "{path}");
        }
    }
}
