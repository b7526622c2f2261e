//! Whether a container can be decoded as it comes, or only once all of it is there, and where it ends.
//!
//! symphonia reads most formats from front to back. It seeks where the index stands behind the data
//! (MP4, AIFF, CAF), and where MP4 has several tracks: their packets come in the order of time,
//! which is not that of the bytes.

use super::AudioError;
use super::input::Input;

/// Bytes at the start of an AIFF file in which its COMM chunk is looked for.
const AIFF_HEAD: usize = 512;

/// Whether input sniffed as `name` can be decoded as it comes. An index in front is looked at, up to
/// `limit` bytes.
pub(super) fn streams(name: &str, input: &mut Input<'_>, limit: usize) -> Result<bool, AudioError> {
    match name {
        "MP4" => mp4(input, limit),
        "AIFF" => Ok(aiff(input.peek(AIFF_HEAD)?)),
        "CAF" => Ok(false),
        _ => Ok(true),
    }
}

/// Bytes that a Matroska file claims to have (RFC 9559, section 5.1), by its head; None from live
/// ones, which cannot know.
pub(super) fn matroska_size(head: &[u8]) -> Option<u64> {
    let mut end = 0;
    // The EBML header, and the segment that holds all the rest.
    for id in [b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"] {
        let element = head.get(usize::try_from(end).ok()?..)?.strip_prefix(id)?;
        let first = *element.first()?;
        let width = first.leading_zeros() as usize + 1;
        let size = element
            .get(..width)?
            .iter()
            .fold(0, |size, &byte| size << 8 | u64::from(byte));
        // The mark of the width is no part of the size; a size of ones alone is unknown.
        let most = (1_u64 << (7 * width)) - 1;
        let size = Some(size & most).filter(|&size| size < most)?;
        end = size.checked_add(end + 4 + width as u64)?;
    }
    Some(end)
}

/// Whether `ftyp` and a `moov` of one track stand before the data (ISO/IEC 14496-12, section 6).
fn mp4(input: &mut Input<'_>, limit: usize) -> Result<bool, AudioError> {
    let (mut at, mut typed, mut tracks) = (0, false, None);
    loop {
        let Some((kind, start, end)) = atom(input.peek(at + 16)?, at) else {
            return Ok(false);
        };
        match &kind {
            b"mdat" | b"moof" => return Ok(typed && tracks == Some(1)),
            b"ftyp" => typed = true,
            b"moov" if end <= limit => {
                let there = input.peek(end)?;
                tracks = Some(count_tracks(&there[..end.min(there.len())], start));
            }
            _ => {}
        }
        if end > limit {
            return Ok(false);
        }
        at = end;
    }
}

fn count_tracks(moov: &[u8], start: usize) -> usize {
    let (mut at, mut tracks) = (start, 0);
    while let Some((kind, _, end)) = atom(moov, at) {
        tracks += usize::from(&kind == b"trak");
        at = end;
    }
    tracks
}

/// The atom at `at`: its type, where its content starts, and where it ends.
fn atom(bytes: &[u8], at: usize) -> Option<([u8; 4], usize, usize)> {
    let (size, rest) = bytes.get(at..)?.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (header, size) = match u32::from_be_bytes(*size) {
        // To the end of the file.
        0 => (8, usize::MAX),
        1 => {
            let size = u64::from_be_bytes(*rest.first_chunk()?);
            (16, usize::try_from(size).ok()?)
        }
        size => (8, size as usize),
    };
    // One that ends within its own header would be met again and again.
    (size >= header).then(|| (*kind, at + header, at.saturating_add(size)))
}

/// Whether the COMM chunk stands before the sound.
fn aiff(head: &[u8]) -> bool {
    let mut at = 12;
    while let Some((name, rest)) = head.get(at..).and_then(<[u8]>::split_first_chunk::<4>) {
        match name {
            b"COMM" => return true,
            b"SSND" => return false,
            _ => {}
        }
        let Some(&size) = rest.first_chunk() else {
            break;
        };
        let size = u32::from_be_bytes(size) as usize;
        at = at.saturating_add(8 + size + size % 2);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matroska_file_ends_where_its_segment_does() {
        let header = b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67";
        let cases: [(&[u8], Option<u64>); 5] = [
            (b"\x83", Some(15)),
            (b"\x40\x83", Some(144)),
            (b"\x01\0\0\0\0\0\0\x05", Some(24)),
            (b"\xff", None),
            (b"\x01\xff\xff\xff\xff\xff\xff\xff", None),
        ];
        for (size, end) in cases {
            let head = [&header[..], size].concat();
            assert_eq!(matroska_size(&head), end, "{}", size.escape_ascii());
            assert_eq!(matroska_size(&head[..10]), None);
        }
        assert_eq!(matroska_size(b"\x1a\x45\xdf\xa3\0"), None);
    }
}
