//! Checks whether bytes that were sent as samples are a file or text, which would sound like noise.
//!
//! Real samples must never be refused, including silence, constants and tones. So a magic number counts only if
//! it has four bytes or more. Frames of MPEG audio count only if several follow one another and their sync bytes
//! are rare elsewhere. Text counts only if its characters vary as in text.

use super::mpeg::{ADTS_HEADER, AdtsHeader, FrameHeader};
use super::{AudioError, RawFormat, magic, pieces};

/// Bytes that are checked, after the bytes of one value at the start.
const WINDOW: usize = 8 << 10;

/// Bytes of one value at the start that are checked. More of them are skipped.
const CONSTANT: usize = 64;

/// Frames of MPEG audio that must follow one another.
const MIN_FRAMES: usize = 4;

/// Bytes of the shortest text that can be distinguished from samples.
const MIN_TEXT: usize = 64;

/// Collects the start of the bytes until there are enough to check.
#[derive(Debug, Default)]
pub(super) struct RawContentCheck {
    bytes: Vec<u8>,
    /// A byte that differs from the first was found.
    varied: bool,
    done: bool,
}

impl RawContentCheck {
    /// Adds the next bytes and checks them once there are enough.
    ///
    /// # Errors
    /// [`AudioError::Refused`] states what the bytes are.
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
        let more = (WINDOW - self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..more]);
        if self.bytes.len() < WINDOW {
            return Ok(());
        }
        self.finish(format)
    }

    /// Checks the bytes so far. Called when the window is full or the recording ends.
    ///
    /// # Errors
    /// As [`RawContentCheck::push`].
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

/// Returns what the bytes are if they are not samples, and what to send instead.
fn looks_like(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some(name) = magic::name_of(bytes) {
        return Some((name, AS_FILE));
    }
    if let Some(name) = mpeg_frames(bytes) {
        return Some((name, AS_FILE));
    }
    // For example in a part of an HTTP form.
    if bytes.windows(8).any(|part| part == b"WAVEfmt ") {
        return Some(("WAV after other data", AS_FILE));
    }
    if pieces::is_transport_stream(bytes) {
        return Some(("MPEG-TS", "send the audio alone, as ADTS, MP3 or MP4"));
    }
    match utf16_ascii(bytes) {
        Some(ascii) => text(&ascii).filter(|(what, _)| *what != TEXT),
        None => text(bytes),
    }
}

/// The description of text of no special kind.
const TEXT: &str = "text";

/// Returns the characters of ASCII text in UTF-16.
fn utf16_ascii(bytes: &[u8]) -> Option<Vec<u8>> {
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

/// Returns the name of the MPEG audio in `bytes`, if frames follow one another from somewhere in their first
/// half.
fn mpeg_frames(bytes: &[u8]) -> Option<&'static str> {
    let mpeg = |bytes: &[u8]| {
        let header = FrameHeader::parse(bytes)?;
        Some((header.size, (header.shape.rate, header.shape.layer)))
    };
    let adts = |bytes: &[u8]| {
        let header = AdtsHeader::parse(bytes)?;
        Some((header.size, header.shape))
    };
    let starts = 0..(bytes.len() / 2).min(WINDOW / 2);
    let mut candidates = starts.filter(|&at| bytes[at] == 0xff);
    candidates.find_map(|at| {
        if are_frames(bytes, at, adts) {
            Some("AAC (ADTS)")
        } else if are_frames(bytes, at, mpeg) {
            Some("MP3 or other MPEG audio")
        } else {
            None
        }
    })
}

/// Returns whether frames of one kind follow one another from `at` to the end of `bytes`. Their first two bytes
/// must also be rare elsewhere, because in a tone they would not be.
fn are_frames<K: PartialEq>(
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
    let found = bytes[from..]
        .windows(2)
        .filter(|pair| *pair == sync)
        .count();
    count >= MIN_FRAMES && found <= count + 1 + count / 4
}

/// Returns the kind of text, if this is text, and what to send instead.
///
/// Samples in G.711 can consist of printable characters alone, if a constant offset keeps them on one side of
/// zero. But the codes of nearby samples are nearby characters. Digits and spaces are the codes of loud samples,
/// and codes that do not occur in text lie between them and the letters.
fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const DECODE: &str = "decode it and send the bytes themselves";
    if bytes.len() < MIN_TEXT {
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
    let classes = [upper, lower, marks].map(|percent| usize::from(percent > 0));
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

/// Returns whether characters follow one another at random that are codes of the loudest samples in G.711
/// (digits, spaces, most punctuation) and of other samples (letters). Samples like this that never cross zero
/// would have to be noise, but noise of that level crosses zero.
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
    // A sample is similar to the samples shortly before it. In a tone it is similar to the one a period before.
    (1..=LONGEST_PERIOD).all(|lag| {
        let distances = text.iter().zip(&text[lag..]);
        let sum: usize = distances.map(|(a, b)| usize::from(a.abs_diff(*b))).sum();
        sum as f64 > 0.7 * at_random * (text.len() - lag) as f64
    })
}

/// Longest period of a tone in samples that is compared. Tones of longer periods change little from sample to
/// sample.
const LONGEST_PERIOD: usize = 8;

/// Returns the text in `bytes` without a byte order mark, without the repeated first character, and without a
/// character that is cut at the end. `None` if it is not UTF-8 or has one character only.
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
mod tests;
