//! CREMA-D: acted English, 91 actors, twelve sentences; `1001_DFA_ANG_XX.wav`: speaker,
//! sentence, emotion, level.

use std::path::Path;

use super::Reason;
use super::naming::{Name, digits, fields};
use super::walk::stem;

pub(super) const EMOTIONS: &[&str] = &["neutral", "anger", "sad", "happy", "disgust", "fear"];
pub(super) const EXAMPLE: &str = "1001_DFA_ANG_XX.wav (speaker_sentence_emotion_level)";

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let [speaker, sentence, emotion, level] = fields(stem, '_').ok_or(Reason::Misnamed)?;
    let fits = speaker.len() == 4
        && digits(speaker)
        && sentence.len() == 3
        // One old name ends in a single X.
        && ["LO", "MD", "HI", "XX", "X"].contains(&level);
    if !fits {
        return Err(Reason::Misnamed);
    }
    let emotion = match emotion {
        "NEU" => "neutral",
        "ANG" => "anger",
        "SAD" => "sad",
        "HAP" => "happy",
        "DIS" => "disgust",
        "FEA" => "fear",
        _ => return Err(Reason::Misnamed),
    };
    Ok(Name::new(speaker, emotion, stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (stem, expected) in [
            ("1001_DFA_ANG_XX", Ok(("1001", "anger"))),
            ("1091_IEO_SAD_LO", Ok(("1091", "sad"))),
            ("1040_ITH_SAD_X", Ok(("1040", "sad"))),
            ("1002_IEO_HAP_HI", Ok(("1002", "happy"))),
            ("1002_TSI_NEU_XX", Ok(("1002", "neutral"))),
            ("1002_TSI_DIS_MD", Ok(("1002", "disgust"))),
            ("1002_TSI_FEA_XX", Ok(("1002", "fear"))),
            ("1002_TSI_CAL_XX", Err(Reason::Misnamed)),
            ("1002_TSI_FEA_YY", Err(Reason::Misnamed)),
            ("102_TSI_FEA_XX", Err(Reason::Misnamed)),
            ("1002_TSI_FEA", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(stem));
            let read = read
                .as_ref()
                .map(|name| (name.speaker.as_str(), name.emotion.unwrap_or("")));
            assert_eq!(read, expected.as_ref().copied(), "{stem}");
        }
    }
}
