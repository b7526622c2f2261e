//! Whether bytes that were sent as samples are a file or text, whose sound would be noise.
//!
//! Real samples must never be refused, silence, constants and tones included. So a magic number counts only from
//! four bytes on, frames of MPEG only if several follow one another and their headers stand nowhere else, and text
//! only if it has the variety of text.

use super::mpeg::{ADTS_HEADER, AdtsHeader, FrameHeader};
use super::{AudioError, RawFormat, pieces, sniff};

/// Bytes that are looked at, behind the bytes of one value at the start.
const WINDOW: usize = 8 << 10;

/// Bytes of one value at the start that are looked at; more are passed over.
const CONSTANT: usize = 64;

/// Frames of MPEG audio that must follow one another.
const FRAMES: usize = 4;

/// Bytes of text that are told from samples.
const LEAST_TEXT: usize = 64;

/// The beginning of what was sent as samples, until there is enough of it.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// The bytes differ from the first from here on.
    varied: bool,
    done: bool,
}

impl Head {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`AudioError::Refused`] says what the bytes are, once enough of them are there.
    pub(super) fn push(&mut self, bytes: &[u8], format: RawFormat) -> Result<(), AudioError> {
        if self.done {
            return Ok(());
        }
        let mut bytes = bytes;
        if !self.varied {
            let first = self.bytes.first().or(bytes.first()).copied();
            let same = bytes
                .iter()
                .take_while(|&&byte| Some(byte) == first)
                .count();
            let kept = same.min(CONSTANT - self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..kept]);
            self.varied = same < bytes.len();
            bytes = &bytes[same..];
        }
        let room = (WINDOW - self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        if self.bytes.len() < WINDOW {
            return Ok(());
        }
        self.finish(format)
    }

    /// Looks at what came, at the end of all or of the window.
    ///
    /// # Errors
    /// As [`Head::push`].
    pub(super) fn finish(&mut self, format: RawFormat) -> Result<(), AudioError> {
        if self.done {
            return Ok(());
        }
        self.done = true;
        let bytes = std::mem::take(&mut self.bytes);
        match looks_like(&bytes) {
            Some((what, cure)) => Err(AudioError::Refused {
                what: format!(
                    "this was sent as raw {}, but it looks like {what}",
                    name(format)
                ),
                cure: cure.into(),
            }),
            None => Ok(()),
        }
    }
}

fn name(format: RawFormat) -> &'static str {
    match format {
        RawFormat::PcmS16Le => "16-bit PCM",
        RawFormat::PcmF32Le => "32-bit float",
        RawFormat::Mulaw => "µ-law",
        RawFormat::Alaw => "A-law",
    }
}

const AS_FILE: &str = "send a file in a container without an encoding, or with AUTO";

/// What the bytes are if they are no samples, and what to do.
fn looks_like(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some(name) = sniff::magic(bytes) {
        return Some((name, AS_FILE));
    }
    if let Some(name) = frames(bytes) {
        return Some((name, AS_FILE));
    }
    // In a form's part, say.
    if bytes.windows(8).any(|part| part == b"WAVEfmt ") {
        return Some(("WAV behind something else", AS_FILE));
    }
    if pieces::is_transport_stream(bytes) {
        return Some(("MPEG-TS", "send the audio alone, as ADTS, MP3 or MP4"));
    }
    match utf16(bytes) {
        Some(ascii) => text(&ascii).filter(|(what, _)| *what != TEXT),
        None => text(bytes),
    }
}

/// Text that is nothing more special.
const TEXT: &str = "text";

/// Bytes of ASCII text in UTF-16, without their zeros.
fn utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes
        .strip_prefix(b"\xff\xfe")
        .or(bytes.strip_prefix(b"\xfe\xff"))
        .unwrap_or(bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    [0, 1].into_iter().find_map(|zero| {
        let ascii = pairs
            .iter()
            .map(|pair| (pair[zero] == 0).then_some(pair[1 - zero]));
        ascii.collect::<Option<Vec<u8>>>()
    })
}

/// The name of the MPEG audio that begins in the first frame's length, if it is that.
fn frames(bytes: &[u8]) -> Option<&'static str> {
    let mpeg = |bytes: &[u8]| {
        let header = FrameHeader::parse(bytes)?;
        Some((header.size, (header.shape.rate, header.shape.layer, 0)))
    };
    let adts = |bytes: &[u8]| {
        let header = AdtsHeader::parse(bytes)?;
        let (profile, rate, channels) = header.shape;
        Some((header.size, (u32::from(rate), profile, channels)))
    };
    let starts = 0..(bytes.len() / 2).min(WINDOW / 2);
    let mut candidates = starts.filter(|&at| bytes[at] == 0xff);
    candidates.find_map(|at| {
        if chain(bytes, at, adts) {
            Some("AAC (ADTS)")
        } else if chain(bytes, at, mpeg) {
            Some("MP3 or other MPEG audio")
        } else {
            None
        }
    })
}

/// Whether frames of one kind follow one another from `at` on to the end of `bytes`, and their first two bytes
/// stand hardly anywhere else, as they would in a tone.
fn chain<K: PartialEq>(
    bytes: &[u8],
    mut at: usize,
    header: impl Fn(&[u8]) -> Option<(usize, K)>,
) -> bool {
    let Some((_, kind)) = header(&bytes[at..]) else {
        return false;
    };
    let (from, sync) = (at, [bytes[at], bytes[at + 1]]);
    let mut count = 0;
    while bytes.len() - at >= ADTS_HEADER {
        match header(&bytes[at..]) {
            Some((size, next)) if next == kind => (at, count) = (at + size, count + 1),
            _ => return false,
        }
        if at >= bytes.len() {
            break;
        }
    }
    let met = bytes[from..]
        .windows(2)
        .filter(|pair| *pair == sync)
        .count();
    count >= FRAMES && met <= count + 1 + count / 4
}

/// What kind of text this is, if it is text, and what to do.
///
/// A line with an offset stays on one side of zero, where the codes of G.711 are printable. But they are
/// neighbours: digits and spaces stand for loud samples, and between them and the letters stand codes that no
/// text has.
fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const DECODE: &str = "decode it and send the bytes themselves";
    if bytes.len() < LEAST_TEXT {
        return None;
    }
    let text = text_of(bytes)?;
    let count = |class: fn(&u8) -> bool| text.iter().filter(|byte| class(byte)).count();
    if count(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) > 0 {
        return None;
    }
    let percent = |class| 100 * count(class) / text.len();
    let upper = percent(u8::is_ascii_uppercase);
    let lower = percent(u8::is_ascii_lowercase);
    let digits = percent(u8::is_ascii_digit);
    let only = |alphabet: fn(&u8) -> bool| {
        let mut bytes = text.iter();
        bytes.all(|byte| alphabet(byte) || byte.is_ascii_whitespace())
    };
    let mut seen = [false; 256];
    text.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    let distinct = seen.iter().filter(|&&seen| seen).count();
    if only(u8::is_ascii_hexdigit) && distinct >= 10 && digits > 0 && upper + lower > 0 {
        return Some(("hexadecimal text", DECODE));
    }
    let separators = percent(|byte| byte.is_ascii_whitespace() || b",;".contains(byte));
    let list = only(|byte| byte.is_ascii_hexdigit() || b",;.+-xX[]{}()".contains(byte));
    if list && distinct >= 6 && digits >= 20 && separators > 5 {
        return Some(("numbers in text", "send the samples themselves"));
    }
    if distinct < 12 {
        return None;
    }
    let escapes = text.windows(2).filter(|pair| match pair {
        [b'\\', b'x'] => true,
        [b'%', digit] => digit.is_ascii_hexdigit(),
        _ => false,
    });
    if 100 * escapes.count() / text.len() >= 5 {
        return Some(("escaped text", DECODE));
    }
    let base64 = only(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte));
    let marks = percent(u8::is_ascii_punctuation);
    let classes = [upper, lower, marks].map(|share| usize::from(share > 0));
    if base64 && digits > 0 && classes.iter().sum::<usize>() >= 2 {
        return Some(("base64 text", DECODE));
    }
    let start = text.trim_ascii_start();
    if start.starts_with(b"data:") {
        return Some(("a data: URL", DECODE));
    }
    let quoted = count(|&byte| byte == b'"') >= 4;
    if (start.starts_with(b"{") || start.starts_with(b"[")) && quoted {
        return Some(("JSON", "send the audio in it, decoded from its base64 text"));
    }
    if start.starts_with(b"<") && lower > 10 {
        return Some(("HTML or XML", "send audio"));
    }
    let prose = lower > 20 && percent(u8::is_ascii_whitespace) > 5;
    let foreign = text.iter().filter(|byte| !byte.is_ascii()).count() >= 2 * 10;
    (prose || foreign || is_mixed(text)).then_some((TEXT, "send audio"))
}

/// Whether codes that G.711 has for the loudest samples (digits, spaces, most marks) and those for others (letters)
/// stand beside each other at random. Samples that are all below zero would have to be noise, and noise that loud
/// crosses zero.
fn is_mixed(text: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    text.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let loud: u32 = counts[..0x40].iter().sum();
    let loud = 100 * loud as usize / text.len();
    if !(5..=80).contains(&loud) {
        return false;
    }
    let each = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let pairs = each.clone().flat_map(|(a, many)| {
        let others = each.clone();
        others.map(move |(b, more)| f64::from(*many) * f64::from(*more) * a.abs_diff(b) as f64)
    });
    let at_random = pairs.sum::<f64>() / (text.len() as f64).powi(2);
    // Samples are like those shortly before them, or, in a tone, a period before them.
    (1..=LONGEST_PERIOD).all(|lag| {
        let distances = text.iter().zip(&text[lag..]);
        let sum: usize = distances.map(|(a, b)| usize::from(a.abs_diff(*b))).sum();
        sum as f64 > 0.7 * at_random * (text.len() - lag) as f64
    })
}

/// Samples of a tone's period up to which it is known: lower ones change little from sample to sample.
const LONGEST_PERIOD: usize = 8;

/// `bytes` without a byte order mark, the constant ones in front, unless those are all, and a character cut at the
/// end.
fn text_of(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = match std::str::from_utf8(bytes) {
        Ok(_) => bytes,
        Err(error) if bytes.len() - error.valid_up_to() < 4 => &bytes[..error.valid_up_to()],
        Err(_) => return None,
    };
    let first = *bytes.first()?;
    let same = bytes.iter().take_while(|&&byte| byte == first).count();
    (same < bytes.len()).then(|| &bytes[same - 1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(bytes: &[u8], piece: usize) -> Result<(), AudioError> {
        let mut head = Head::default();
        for piece in bytes.chunks(piece) {
            head.push(piece, RawFormat::Mulaw)?;
        }
        head.finish(RawFormat::Mulaw)
    }

    fn frames_of(header: &[u8], size: usize, count: usize) -> Vec<u8> {
        let body = (header.len()..size).map(|i| (i * 7 + i * i / 3) as u8 & 0x7f);
        let frame: Vec<u8> = header.iter().copied().chain(body).collect();
        frame.repeat(count)
    }

    #[test]
    fn files_and_text_are_named() {
        let mp3 = frames_of(&[0xff, 0xfb, 0x90, 0], 417, 8);
        let aac = frames_of(&[0xff, 0xf1, 0x60, 0x40, 0x2e, 0x7f, 0xfc], 0x173, 9);
        let base64 = "Zm9vYmFyK2Jh/3NlNjQ9".repeat(9);
        let silence = [&[b'/'; 5_000][..], base64.as_bytes()].concat();
        let hex = "ff7f03fe81a09b".repeat(9);
        let json = br#"{"event": "media", "media": {"track": "inbound", "payload": "f39+/w=="}}"#;
        let prose = "She said \u{201c}no\u{201d}, and the line went dead. ".repeat(4);
        let packet: Vec<u8> = (0..184).map(|i| (i * 31 % 64) as u8).collect();
        let stream = [&[0x47, 0x41, 0x00, 0x10], packet.as_slice()]
            .concat()
            .repeat(60);
        let cases: [(&[u8], &str); 15] = [
            (&stream, "MPEG-TS"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "a gzip archive"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "WAV"),
            (b"OggS\0\x02\0\0\0\0\0\0", "Ogg"),
            (b"fLaC\0\0\0\x22", "FLAC"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0", "MP4"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "Matroska"),
            (b"ID3\x04\0\0\0\0\x01\x02ab", "MP3"),
            (&mp3, "MP3"),
            (&mp3[200..], "MP3"),
            (&aac, "AAC"),
            (base64.as_bytes(), "base64"),
            (&silence, "base64"),
            (hex.as_bytes(), "hexadecimal"),
            (json, "JSON"),
        ];
        for (bytes, name) in cases.into_iter().chain([(prose.as_bytes(), "text")]) {
            for piece in [1, 100, bytes.len()] {
                let error = seen(bytes, piece).unwrap_err().to_string();
                assert!(
                    error.contains(&format!("looks like {name}")),
                    "{name}: {error}"
                );
            }
        }
    }

    #[test]
    fn what_a_line_without_speech_carries_is_no_file() {
        for value in 0..=255 {
            assert!(seen(&[value; 20_000], 160).is_ok(), "constant {value}");
        }
        let patterns: [&[u8]; 8] = [
            b"\xff\xfb\x90\0",
            b"\xff\xf1\x60\x40\x2e\x7f\xfc\x80",
            b"\xd5\x55",
            b"~}|{zyxwvutsrqp",
            b"0123456789",
            b"\xff\x7f\xfe\x7e",
            // Quiet A-law and loud µ-law below zero.
            b"UTWVQPSR]\\_^YX[ZEDGFA@CBMLONIHKJutwvqpsr",
            b"~zvrnjfb^ZVRNJFB>:62.*&\"$(,048<@DHLPTX\\`dhlptx|",
        ];
        for pattern in patterns {
            assert!(seen(&pattern.repeat(3_000), 160).is_ok(), "{pattern:x?}");
        }
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn how_the_bytes_are_cut_changes_nothing(
            head in prop::sample::select(vec![&b""[..], b"RIFF\0\0\0\0WAVE", b"////////", b"\xff\xfb\x90\0"]),
            tail in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1..50_usize,
        ) {
            let bytes = [head, &tail].concat();
            let whole = seen(&bytes, bytes.len().max(1)).map_err(|error| error.to_string());
            prop_assert_eq!(seen(&bytes, piece).map_err(|error| error.to_string()), whole);
        }

        #[test]
        fn noise_is_no_file(seed in any::<u64>(), spread in 1..256_u64) {
            let mut state = seed;
            let noise: Vec<u8> = (0..10_000).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) % spread) as u8 ^ 0xff
            }).collect();
            prop_assert!(seen(&noise, 4_000).is_ok());
        }
    }
}
