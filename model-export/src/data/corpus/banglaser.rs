//! BanglaSER: acted Bangla, 34 actors, three sentences; `03-01-EE-II-SS-RR-AA.wav`. The names
//! have the form of RAVDESS' names with other codes.

use std::path::Path;

use super::Reason;
use super::acted::Acted;
use super::naming::Name;
use super::walk::stem;

pub(super) const EMOTIONS: &[&str] = &["happy", "sad", "angry", "surprise", "neutral"];
pub(super) const EXAMPLE: &str =
    "03-01-03-01-02-01-12.wav (03-01-emotion-intensity-statement-take-actor)";

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let name = Acted::read(stem, 3, 3, 34).ok_or(Reason::Misnamed)?;
    let emotion = match (name.channel, name.emotion) {
        ("01", "01") => "happy",
        ("01", "02") => "sad",
        ("01", "03") => "angry",
        ("01", "04") => "surprise",
        ("01", "05") => "neutral",
        _ => return Err(Reason::Misnamed),
    };
    Ok(Name::new(name.actor, emotion, stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (stem, expected) in [
            ("03-01-01-01-03-03-30", Ok(("30", "happy"))),
            ("03-01-02-02-01-01-01", Ok(("01", "sad"))),
            ("03-01-03-01-02-01-12", Ok(("12", "angry"))),
            ("03-01-04-01-01-01-34", Ok(("34", "surprise"))),
            ("03-01-05-01-01-01-01", Ok(("01", "neutral"))),
            ("03-01-06-01-01-01-01", Err(Reason::Misnamed)),
            ("03-02-01-01-01-01-01", Err(Reason::Misnamed)),
            ("03-01-01-01-01-01-35", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(stem));
            let read = read
                .as_ref()
                .map(|name| (name.speaker.as_str(), name.emotion.unwrap_or("")));
            assert_eq!(read, expected.as_ref().copied(), "{stem}");
        }
    }
}
