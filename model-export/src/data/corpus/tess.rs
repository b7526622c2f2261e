//! TESS: acted English, two women, 200 words; `OAF_back_angry.wav`: speaker, word, emotion.
//! Two speakers cannot be tested on alone.

use std::path::Path;

use super::Reason;
use super::naming::Name;
use super::walk::stem;

pub(super) const EMOTIONS: &[&str] = &[
    "neutral",
    "angry",
    "sad",
    "happy",
    "disgust",
    "fear",
    "pleasant surprise",
];
pub(super) const EXAMPLE: &str = "OAF_back_angry.wav (speaker_word_emotion)";

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let (speaker, rest) = stem.split_once('_').ok_or(Reason::Misnamed)?;
    let (_, emotion) = rest.rsplit_once('_').ok_or(Reason::Misnamed)?;
    let speaker = match speaker {
        // One official name lacks the F.
        "OAF" | "OA" => "OAF",
        "YAF" => "YAF",
        _ => return Err(Reason::Misnamed),
    };
    let emotion = match emotion.to_ascii_lowercase().as_str() {
        "neutral" => "neutral",
        "angry" => "angry",
        "sad" => "sad",
        "happy" => "happy",
        "disgust" => "disgust",
        "fear" => "fear",
        "ps" => "pleasant surprise",
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
            ("OAF_back_angry", Ok(("OAF", "angry"))),
            ("OA_bite_neutral", Ok(("OAF", "neutral"))),
            ("YAF_youth_ps", Ok(("YAF", "pleasant surprise"))),
            ("YAF_youth_sad", Ok(("YAF", "sad"))),
            ("YAF_youth_happy", Ok(("YAF", "happy"))),
            ("YAF_youth_fear", Ok(("YAF", "fear"))),
            ("YAF_youth_disgust", Ok(("YAF", "disgust"))),
            ("YAF_youth_calm", Err(Reason::Misnamed)),
            ("XAF_youth_sad", Err(Reason::Misnamed)),
            ("OAF_angry", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(stem));
            let read = read
                .as_ref()
                .map(|name| (name.speaker.as_str(), name.emotion.unwrap_or("")));
            assert_eq!(read, expected.as_ref().copied(), "{stem}");
        }
    }
}
