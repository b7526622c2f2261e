//! LibriSpeech: read English books without emotions; `split/speaker/chapter/
//! speaker-chapter-utterance.flac`.

use std::path::Path;

use super::Reason;
use super::naming::{Name, digits, fields};
use super::walk::stem;

pub(super) const EXAMPLE: &str = "103-1240-0000.flac (speaker-chapter-utterance)";

pub(super) fn read(path: &Path) -> Result<Name, Reason> {
    let stem = stem(path);
    match fields(stem, '-') {
        Some([speaker, chapter, utterance])
            if [speaker, chapter, utterance].into_iter().all(digits) =>
        {
            Ok(Name {
                speaker: speaker.to_owned(),
                emotion: None,
                key: stem.to_owned(),
            })
        }
        _ => Err(Reason::Misnamed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_rules() {
        for (stem, expected) in [
            ("103-1240-0000", Ok("103")),
            ("103-1240", Err(Reason::Misnamed)),
            ("103--0000", Err(Reason::Misnamed)),
            ("103-1240-000a", Err(Reason::Misnamed)),
        ] {
            let read = read(Path::new(stem)).map(|name| name.speaker);
            assert_eq!(read, expected.map(str::to_owned), "{stem}");
        }
    }
}
