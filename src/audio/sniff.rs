//! Detects the format by the first bytes. File names and media types are ignored.
//!
//! Files that cannot be decoded are refused here by name. Otherwise a search for a header would find the RIFF
//! header inside a WavPack or APE file, and the result would be noise.

use super::magic::{FOREIGN, READ, REFUSED, REFUSED_IN_OGG, TEXT_BYTES};
use super::{AudioError, pieces};

/// The format that the first bytes indicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// RIFF, RF64 or BW64 with WAVE inside.
    Wav,
    /// Sony's Wave64.
    Wave64,
    /// Sun's AU.
    Au,
    /// AIFF and AIFF-C.
    Aiff,
    /// Core Audio Format.
    Caf,
    /// A format that symphonia reads.
    Container { name: &'static str },
    /// No known format, but not text. It may be MPEG audio cut from the middle of a stream.
    Unmarked,
}

/// Returns the format of a file that begins with `inner`, which may be longer than
/// [`SNIFF_BYTES`](super::magic::SNIFF_BYTES). It is empty only after an ID3 tag. `tagged` means that there was a
/// tag.
pub(super) fn sniff(inner: &[u8], tagged: bool) -> Result<FileFormat, AudioError> {
    if inner.is_empty() {
        return Err(AudioError::NoAudio);
    }
    let has = |&(at, magic, _): &(usize, &[u8], &str)| {
        inner.get(at..).is_some_and(|rest| rest.starts_with(magic))
    };
    let riff = [&b"RIFF"[..], b"RF64", b"BW64"]
        .iter()
        .any(|magic| inner.starts_with(magic));
    if riff && (inner.len() < 12 || &inner[8..12] == b"WAVE") {
        return Ok(FileFormat::Wav);
    }
    if inner.starts_with(b"riff\x2e\x91\xcf\x11") {
        return Ok(FileFormat::Wave64);
    }
    if inner.starts_with(b".snd") {
        return Ok(FileFormat::Au);
    }
    if inner.starts_with(b"FORM") && matches!(inner.get(8..12), Some(b"AIFF" | b"AIFC")) {
        return Ok(FileFormat::Aiff);
    }
    if inner.starts_with(b"caff\x00\x01") {
        return Ok(FileFormat::Caf);
    }
    if let Some(error) = pieces::transport_stream(inner).or_else(|| pieces::headless(inner)) {
        return Err(error);
    }
    if let Some((_, _, codec)) = REFUSED.iter().find(|entry| has(entry)) {
        return Err(AudioError::Unsupported {
            codec: (*codec).into(),
        });
    }
    if let Some((_, _, name)) = READ.iter().find(|entry| has(entry)) {
        if *name == "Ogg" {
            refuse_in_ogg(inner)?;
        }
        return Ok(FileFormat::Container { name });
    }
    if let Some((_, _, looks)) = FOREIGN.iter().find(|entry| has(entry)) {
        return Err(unknown(*looks));
    }
    if let Some(name) = mpeg(inner) {
        return Ok(FileFormat::Container { name });
    }
    if tagged {
        return Ok(FileFormat::Container { name: "MP3" });
    }
    if let Some(looks) = text(inner) {
        return Err(unknown(looks));
    }
    let head = &inner[..inner.len().min(TEXT_BYTES)];
    if head.iter().all(|&b| b == head[0]) {
        return Err(unknown(format!(
            "it begins with {} bytes of value {}",
            head.len(),
            head[0]
        )));
    }
    match pieces::cut_transport_stream(inner) {
        Some(error) => Err(error),
        None => Ok(FileFormat::Unmarked),
    }
}

/// Returns an [`AudioError::UnknownFormat`] that shows the first bytes.
pub(super) fn unrecognised(bytes: &[u8]) -> AudioError {
    let head: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    unknown(format!("the first bytes are {}", head.join(" ")))
}

fn unknown(looks: impl Into<String>) -> AudioError {
    AudioError::UnknownFormat {
        looks: looks.into(),
    }
}

/// Refuses codecs in Ogg that cannot be decoded.
fn refuse_in_ogg(bytes: &[u8]) -> Result<(), AudioError> {
    let head = &bytes[..bytes.len().min(TEXT_BYTES)];
    let contains = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    match REFUSED_IN_OGG.iter().find(|(magic, _)| contains(magic)) {
        Some((_, codec)) => Err(AudioError::Unsupported {
            codec: (*codec).into(),
        }),
        None => Ok(()),
    }
}

/// Returns the name of the stream if this is an MPEG frame header: 11 bits of sync, then valid fields.
fn mpeg(bytes: &[u8]) -> Option<&'static str> {
    let [0xff, second, third, ..] = *bytes else {
        return None;
    };
    if second & 0xf6 == 0xf0 {
        return Some("AAC");
    }
    let sync = second & 0xe0 == 0xe0;
    let version_reserved = second & 0x18 == 0x08;
    let layer_reserved = second & 0x06 == 0;
    let rate_reserved = third & 0x0c == 0x0c;
    let bitrate_bad = third & 0xf0 == 0xf0;
    let valid = sync && !version_reserved && !layer_reserved && !rate_reserved && !bitrate_bad;
    valid.then_some("MP3")
}

/// Describes the text, if this is text.
fn text(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(TEXT_BYTES)];
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Some("this looks like UTF-16 text".into());
    }
    let whole = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character that is cut where the window ends is allowed.
        Err(error) if head.len() - error.valid_up_to() < 4 && bytes.len() > TEXT_BYTES => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c');
    if whole.is_empty() || whole.chars().any(odd) {
        return None;
    }
    let start = whole
        .trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t'])
        .to_ascii_lowercase();
    Some(
        if start.starts_with("<!doctype html") || start.starts_with("<html") {
            "this looks like an HTML page".into()
        } else if start.starts_with(['{', '[']) {
            "this looks like JSON".into()
        } else if start.starts_with("data:") {
            "this looks like a data: URL; send the bytes themselves".into()
        } else if base64(&start) {
            "this looks like text (perhaps base64; send the bytes themselves)".into()
        } else {
            "this looks like text".into()
        },
    )
}

/// Returns whether `text` may be base64.
fn base64(text: &str) -> bool {
    text.len() >= 64
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+/=-_\r\n".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_the_format() {
        let container = |name| FileFormat::Container { name };
        let cases: [(&[u8], FileFormat); 11] = [
            (b"FORM\0\0\0\0AIFCFVER", FileFormat::Aiff),
            (b"caff\0\x01\0\0desc", FileFormat::Caf),
            (b"RIFF\0\0\0\0WAVEfmt ", FileFormat::Wav),
            (b"RF64\xff\xff\xff\xffWAVEds64", FileFormat::Wav),
            (b"riff\x2e\x91\xcf\x11\xa5\xd6", FileFormat::Wave64),
            (b".snd\0\0\0\x18", FileFormat::Au),
            (b"fLaC\0\0\0\x22", container("FLAC")),
            (b"\0\0\0\x18ftypM4A ", container("MP4")),
            (b"\xff\xfb\x90\x00", container("MP3")),
            (b"\xff\xf1\x50\x80", container("AAC")),
            (b"\x12\x03\x77\xfa\x00\x91", FileFormat::Unmarked),
        ];
        for (bytes, format) in cases {
            assert_eq!(
                sniff(bytes, false).unwrap(),
                format,
                "{}",
                bytes.escape_ascii()
            );
        }
        let after_a_tag = sniff(b"\x12\x03\x77\xfa\x00\x91", true).unwrap();
        assert_eq!(after_a_tag, container("MP3"));
    }

    #[test]
    fn opus_is_refused_only_in_builds_without_it() {
        let opus = sniff(b"OggS\0\x02abcdefghijklmnopqrstuvOpusHead\x01", false);
        assert_eq!(opus.is_ok(), cfg!(feature = "opus"), "{opus:?}");
    }

    #[test]
    fn files_that_cannot_be_decoded_are_refused_by_name() {
        let long = "plain words, ".repeat(99);
        let base64 = "UklGRiQAAABXQVZFZm10".repeat(30);
        let cases: [(&[u8], &str); 13] = [
            (b"wvpk\0\0\0\0", "WavPack is not supported"),
            (b"MAC \x96\x0f\0\0", "Monkey's Audio"),
            (
                b"OggS\0\x02abcdefghijklmnopqrstuvSpeex   1.2",
                "Speex is not supported",
            ),
            (b"RIFF\0\0\0\0AVI LIST", "AVI is not supported"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "RIFF file that is not WAV"),
            (long.as_bytes(), "this looks like text"),
            ("h\u{e9}llo".as_bytes(), "this looks like text"),
            (b"  <!DOCTYPE html><p>404", "an HTML page"),
            (b"{\"audio\": 1}", "JSON"),
            (base64.as_bytes(), "base64"),
            (b"\0\0\0\0\0\0\0\0", "8 bytes of value 0"),
            (b"\x89PNG\r\n\x1a\n", "PNG"),
            (b"\x1f\x8b\x08\0", "gzip"),
        ];
        for (bytes, words) in cases {
            let error = sniff(bytes, false).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.is_limit());
        }
    }
}
