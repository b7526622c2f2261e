//! SAVEE: acted English, four men; `DC_a01.wav`, or `DC/a01.wav` in the official archive:
//! speaker, emotion by one or two letters, number.

use std::path::Path;

use super::Reason;
use super::naming::{Name, digits};
use super::walk::{folders, stem};

pub(super) const EMOTIONS: &[&str] = &[
    "neutral",
    "anger",
    "sadness",
    "happiness",
    "disgust",
    "fear",
    "surprise",
];
pub(super) const EXAMPLE: &str = "DC_a01.wav or DC/a01.wav (speaker, emotion, number)";

const SPEAKERS: [&str; 4] = ["DC", "JE", "JK", "KL"];
/// Codes of two letters come first; no code of one letter is a prefix of them.
const CODES: [(&str, &str); 7] = [
    ("sa", "sadness"),
    ("su", "surprise"),
    ("a", "anger"),
    ("d", "disgust"),
    ("f", "fear"),
    ("h", "happiness"),
    ("n", "neutral"),
];

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let (speaker, rest) = match stem.split_once('_') {
        Some(parts) => parts,
        None => (folders(path).next().unwrap_or(""), stem),
    };
    if !SPEAKERS.contains(&speaker) {
        return Err(Reason::Misnamed);
    }
    CODES
        .iter()
        .find_map(|&(code, emotion)| {
            let number = rest.strip_prefix(code)?;
            (number.len() == 2 && digits(number))
                .then(|| Name::new(speaker, emotion, &format!("{speaker}_{rest}")))
        })
        .ok_or(Reason::Misnamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (path, expected) in [
            ("DC_a01.wav", Ok(("DC", "anger", "DC_a01"))),
            ("DC/a01.wav", Ok(("DC", "anger", "DC_a01"))),
            ("AudioData/JE/sa15.wav", Ok(("JE", "sadness", "JE_sa15"))),
            ("JK_su02.wav", Ok(("JK", "surprise", "JK_su02"))),
            ("KL/n30.wav", Ok(("KL", "neutral", "KL_n30"))),
            ("KL/h03.wav", Ok(("KL", "happiness", "KL_h03"))),
            ("KL/d03.wav", Ok(("KL", "disgust", "KL_d03"))),
            ("KL/f03.wav", Ok(("KL", "fear", "KL_f03"))),
            ("KL/s03.wav", Err(Reason::Misnamed)),
            ("a01.wav", Err(Reason::Misnamed)),
            ("XX/a01.wav", Err(Reason::Misnamed)),
            ("DC_a1.wav", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(path));
            let read = read.as_ref().map(|name| {
                let emotion = name.emotion.unwrap_or("");
                (name.speaker.as_str(), emotion, name.key.as_str())
            });
            assert_eq!(read, expected.as_ref().copied(), "{path}");
        }
    }
}
