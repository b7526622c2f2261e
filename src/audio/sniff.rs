//! The format, by its first bytes; file names and media types are not believed.
//!
//! What cannot be decoded is named here and refused: handed on, a WavPack or APE file would be
//! searched for, and found to hold, a RIFF header, and noise would come out.

use super::{AudioError, pieces};

/// Bytes that tell the format; fewer only if there are no more.
pub(super) const HEAD: usize = 2 * WINDOW;

/// Bytes looked at for text and for the codec inside Ogg.
const WINDOW: usize = 512;

/// Bytes that tell the size of an ID3v2 tag.
pub(super) const ID3_HEADER: usize = 10;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
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
    /// Something symphonia reads.
    Container { name: &'static str },
    /// Nothing known, yet not text: perhaps MPEG audio cut from the middle of a stream.
    Unmarked,
}

/// Magic numbers of what is refused by name: offset, bytes, name.
const REFUSED: &[(usize, &[u8], &str)] = &[
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio (APE)"),
    (0, b"tBaK", "TAK"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio (TTA)"),
    (0, b"TTA2", "True Audio (TTA)"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "Windows Media Audio (WMA)",
    ),
    (0, b"#!AMR", "AMR"),
    (0, b"#!SILK", "SILK"),
    (0, b"RIFX", "big-endian WAV (RIFX)"),
    (8, b"AVI ", "AVI"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b".RMF", "RealAudio"),
    (0, b"FLV\x01", "Flash video (FLV)"),
    (0, b"\0\0\x01\xba", "an MPEG program stream (MPG, VOB)"),
    (0, b"MThd", "MIDI"),
    (0, b"NIST_1A", "NIST SPHERE"),
    (0, b"Creative Voice File", "Creative Voice (VOC)"),
    (0, b"\x64\xa3\x01\0", "IRCAM"),
    (0, b"\x64\xa3\x02\0", "IRCAM"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (8, b"8SVX", "Amiga 8SVX"),
];

/// Magic numbers of what symphonia reads.
const READ: &[(usize, &[u8], &str)] = &[
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska"),
    (4, b"ftyp", "MP4"),
    (4, b"styp", "MP4"),
    (4, b"moov", "MP4"),
    (4, b"moof", "MP4"),
    (4, b"mdat", "MP4"),
    (4, b"sidx", "MP4"),
    (4, b"wide", "MP4"),
    (0, b"APETAGEX", "MP3"),
];

/// Codecs told by the first packet of an Ogg stream.
const REFUSED_IN_OGG: &[(&[u8], &str)] = &[
    #[cfg(not(feature = "opus"))]
    (b"OpusHead", "Opus"),
    (b"Speex   ", "Speex"),
    (b"PCM     ", "PCM in Ogg"),
    (b"\x80theora", "Theora video"),
];

/// What is no audio: offset, bytes, what it looks like.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG", "this looks like a PNG image"),
    (0, b"\xff\xd8\xff", "this looks like a JPEG image"),
    (0, b"GIF8", "this looks like a GIF image"),
    (0, b"FORM", "this looks like an IFF file without audio"),
    (0, b"RIFF", "this looks like a RIFF file that is not WAV"),
    (0, b"%PDF", "this looks like a PDF document"),
    (0, b"PK\x03\x04", "this looks like a ZIP archive"),
    (0, b"\x1f\x8b", "this looks like gzip; send it unpacked"),
    (0, b"\x7fELF", "this looks like a program"),
];

/// Names the format of what begins with `inner`, which may be longer than [`HEAD`] and is empty only
/// behind an ID3 tag; `tagged` says that one stood in front.
pub(super) fn sniff(inner: &[u8], tagged: bool) -> Result<Format, AudioError> {
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
        return Ok(Format::Wav);
    }
    if inner.starts_with(b"riff\x2e\x91\xcf\x11") {
        return Ok(Format::Wave64);
    }
    if inner.starts_with(b".snd") {
        return Ok(Format::Au);
    }
    if inner.starts_with(b"FORM") && matches!(inner.get(8..12), Some(b"AIFF" | b"AIFC")) {
        return Ok(Format::Aiff);
    }
    if inner.starts_with(b"caff\x00\x01") {
        return Ok(Format::Caf);
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
        return Ok(Format::Container { name });
    }
    if let Some((_, _, looks)) = FOREIGN.iter().find(|entry| has(entry)) {
        return Err(unknown(*looks));
    }
    if let Some(name) = mpeg(inner) {
        return Ok(Format::Container { name });
    }
    if tagged {
        return Ok(Format::Container { name: "MP3" });
    }
    if let Some(looks) = text(inner) {
        return Err(unknown(looks));
    }
    let head = &inner[..inner.len().min(WINDOW)];
    if head.iter().all(|&b| b == head[0]) {
        return Err(unknown(format!(
            "it begins with {} bytes of value {}",
            head.len(),
            head[0]
        )));
    }
    match pieces::cut_transport_stream(inner) {
        Some(error) => Err(error),
        None => Ok(Format::Unmarked),
    }
}

/// The name of what begins with a magic number of four bytes or more, which samples have by no chance.
pub(super) fn magic(bytes: &[u8]) -> Option<&'static str> {
    let has = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let own: [(usize, &[u8], &str); 6] = [
        (8, b"WAVE", "WAV"),
        (0, b"riff\x2e\x91\xcf\x11", "Wave64"),
        (0, b".snd\0\0", "AU"),
        (8, b"AIFF", "AIFF"),
        (8, b"AIFC", "AIFF"),
        (0, b"caff\x00\x01", "CAF"),
    ];
    let known = || own.iter().chain(READ).chain(REFUSED).chain(FOREIGN_FILES);
    let long = |&&(at, magic, _): &&(usize, &[u8], &str)| magic.len() >= 4 && has(at, magic);
    if let Some((_, _, name)) = known().find(long) {
        return Some(name);
    }
    // Deflate, no flags that nobody sets, a level and a system that exist.
    if matches!(
        bytes,
        [
            0x1f,
            0x8b,
            8,
            0..=0x1f,
            _,
            _,
            _,
            _,
            0 | 2 | 4,
            0..=13 | 255,
            ..
        ]
    ) {
        return Some("a gzip archive");
    }
    // The version, and a size of four times seven bits.
    let tag = matches!(bytes, [b'I', b'D', b'3', 2..=4, _, _, a, b, c, d, ..] if (a | b | c | d) & 0x80 == 0);
    tag.then_some("MP3 or another file with an ID3 tag")
}

/// Files that are no audio.
const FOREIGN_FILES: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG", "a PNG image"),
    (6, b"JFIF", "a JPEG image"),
    (6, b"Exif", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"HTTP/", "an HTTP message"),
];

/// An [`AudioError::UnknownFormat`] that shows the first bytes.
pub(super) fn unrecognised(bytes: &[u8]) -> AudioError {
    let head: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    unknown(format!("the first bytes are {}", head.join(" ")))
}

fn unknown(looks: impl Into<String>) -> AudioError {
    AudioError::UnknownFormat {
        looks: looks.into(),
    }
}

/// Bytes of the ID3v2 tag (its section 3.1) that `bytes` begin with, if they do.
pub(super) fn id3_size(bytes: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = *bytes else {
        return None;
    };
    let size = [a, b, c, d]
        .iter()
        .fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    Some(ID3_HEADER as u64 + size + footer)
}

fn refuse_in_ogg(bytes: &[u8]) -> Result<(), AudioError> {
    let head = &bytes[..bytes.len().min(WINDOW)];
    let holds = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    match REFUSED_IN_OGG.iter().find(|(magic, _)| holds(magic)) {
        Some((_, codec)) => Err(AudioError::Unsupported {
            codec: (*codec).into(),
        }),
        None => Ok(()),
    }
}

/// The name of the stream if this is an MPEG frame header: 11 bits of sync, then sound fields.
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
    let sound = sync && !version_reserved && !layer_reserved && !rate_reserved && !bitrate_bad;
    sound.then_some("MP3")
}

/// What kind of text this is, if it is text.
fn text(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(WINDOW)];
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Some("this looks like UTF-16 text".into());
    }
    let whole = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut by the window's end is no flaw.
        Err(error) if head.len() - error.valid_up_to() < 4 && bytes.len() > WINDOW => {
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
    fn formats_are_told_by_their_first_bytes() {
        let container = |name| Format::Container { name };
        let cases: [(&[u8], Format); 11] = [
            (b"FORM\0\0\0\0AIFCFVER", Format::Aiff),
            (b"caff\0\x01\0\0desc", Format::Caf),
            (b"RIFF\0\0\0\0WAVEfmt ", Format::Wav),
            (b"RF64\xff\xff\xff\xffWAVEds64", Format::Wav),
            (b"riff\x2e\x91\xcf\x11\xa5\xd6", Format::Wave64),
            (b".snd\0\0\0\x18", Format::Au),
            (b"fLaC\0\0\0\x22", container("FLAC")),
            (b"\0\0\0\x18ftypM4A ", container("MP4")),
            (b"\xff\xfb\x90\x00", container("MP3")),
            (b"\xff\xf1\x50\x80", container("AAC")),
            (b"\x12\x03\x77\xfa\x00\x91", Format::Unmarked),
        ];
        for (bytes, format) in cases {
            assert_eq!(
                sniff(bytes, false).unwrap(),
                format,
                "{}",
                bytes.escape_ascii()
            );
        }
        let behind_a_tag = sniff(b"\x12\x03\x77\xfa\x00\x91", true).unwrap();
        assert_eq!(behind_a_tag, container("MP3"));
        assert_eq!(id3_size(b"ID3\x03\0\0\0\0\x01\x02\0\0fLaC"), Some(140));
        assert_eq!(
            id3_size(b"ID3\x04\0\x10\0\0\0\x02\0\0"),
            Some(22),
            "with a footer"
        );
        assert_eq!(id3_size(b"fLaC\0\0\0\x22\0\0\0"), None);
    }

    #[test]
    fn opus_is_refused_only_where_it_is_not_built_in() {
        let opus = sniff(b"OggS\0\x02abcdefghijklmnopqrstuvOpusHead\x01", false);
        assert_eq!(opus.is_ok(), cfg!(feature = "opus"), "{opus:?}");
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
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
