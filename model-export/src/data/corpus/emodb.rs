//! EMO-DB: acted German, 10 actors, only takes that listeners recognised; `SSTTTEv.wav`:
//! speaker, sentence, emotion by its German letter, version.

use std::path::Path;

use super::Reason;
use super::naming::Name;
use super::walk::stem;

pub(super) const EMOTIONS: &[&str] = &[
    "neutral",
    "anger",
    "sadness",
    "happiness",
    "boredom",
    "disgust",
    "anxiety",
];
pub(super) const EXAMPLE: &str = "03a01Fa.wav (speaker, sentence, emotion, version)";

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    let &[s1, s2, kind, t1, t2, emotion, version] = stem.as_bytes() else {
        return Err(Reason::Misnamed);
    };
    let digits = [s1, s2, t1, t2].iter().all(u8::is_ascii_digit);
    if !digits || !kind.is_ascii_lowercase() || !version.is_ascii_lowercase() {
        return Err(Reason::Misnamed);
    }
    let emotion = match emotion {
        b'N' => "neutral",
        b'W' => "anger",
        b'T' => "sadness",
        b'F' => "happiness",
        b'L' => "boredom",
        b'E' => "disgust",
        // Angst, not anger.
        b'A' => "anxiety",
        _ => return Err(Reason::Misnamed),
    };
    Ok(Name::new(&stem[..2], emotion, stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (stem, expected) in [
            ("03a01Wa", Ok(("03", "anger"))),
            ("16b10Tb", Ok(("16", "sadness"))),
            ("08a02Na", Ok(("08", "neutral"))),
            ("08a02Fe", Ok(("08", "happiness"))),
            ("08a02Ab", Ok(("08", "anxiety"))),
            ("08a02Lb", Ok(("08", "boredom"))),
            ("08a02Eb", Ok(("08", "disgust"))),
            ("08ä2Ab", Err(Reason::Misnamed)),
            ("08a02ab", Err(Reason::Misnamed)),
            ("08a02Xb", Err(Reason::Misnamed)),
            ("08a02Ab2", Err(Reason::Misnamed)),
            ("", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(stem));
            let read = read
                .as_ref()
                .map(|name| (name.speaker.as_str(), name.emotion.unwrap_or("")));
            assert_eq!(read, expected.as_ref().copied(), "{stem}");
        }
    }
}
