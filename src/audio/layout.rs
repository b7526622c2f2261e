//! Decides whether a container can be decoded as it arrives, or only as a whole.
//!
//! symphonia reads most formats from front to back. It seeks if the index follows the data (MP4, CAF). It also
//! seeks in MP4 with several tracks, because it returns packets in the order of time, which is not their order in
//! the file.

use super::input::Input;
use super::{AudioError, pieces};

/// The format name of input that `aiff` gave the header of a CAF file.
pub(super) const IMA_IN_AIFF: &str = "IMA ADPCM in AIFF";

/// Returns whether input of the format `name` can be decoded as it arrives. Looks at an index at the start of up to
/// `limit` bytes.
pub(super) fn streams(name: &str, input: &mut Input<'_>, limit: usize) -> Result<bool, AudioError> {
    match name {
        "MP4" => mp4(input, limit),
        "CAF" | IMA_IN_AIFF => Ok(false),
        _ => Ok(true),
    }
}

/// Returns whether `ftyp` and a `moov` of one track come before the data (ISO/IEC 14496-12, section 6).
fn mp4(input: &mut Input<'_>, limit: usize) -> Result<bool, AudioError> {
    let (mut at, mut typed, mut tracks) = (0, false, None);
    loop {
        let Some((kind, start, end)) = atom(input.peek(at + 16)?, at) else {
            return Ok(false);
        };
        match &kind {
            b"moof" if tracks.is_none() => return Err(pieces::headless_mp4()),
            b"mdat" | b"moof" => return Ok(typed && tracks == Some(1)),
            b"ftyp" => typed = true,
            b"moov" if end <= limit => {
                let bytes = input.peek(end)?;
                tracks = Some(count_tracks(&bytes[..end.min(bytes.len())], start));
            }
            _ => {}
        }
        if end > limit {
            return Ok(false);
        }
        at = end;
    }
}

/// Returns the number of tracks in an index that has its content from `start` on.
fn count_tracks(moov: &[u8], start: usize) -> usize {
    let (mut at, mut tracks) = (start, 0);
    while let Some((kind, _, end)) = atom(moov, at) {
        tracks += usize::from(&kind == b"trak");
        at = end;
    }
    tracks
}

/// Returns the type of the atom at `at`, where its content starts, and where it ends.
fn atom(bytes: &[u8], at: usize) -> Option<([u8; 4], usize, usize)> {
    let (size, rest) = bytes.get(at..)?.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (header, size) = match u32::from_be_bytes(*size) {
        // The atom lasts to the end of the file.
        0 => (8, usize::MAX),
        1 => {
            let size = u64::from_be_bytes(*rest.first_chunk()?);
            (16, usize::try_from(size).ok()?)
        }
        size => (8, size as usize),
    };
    // An atom that ends within its own header would cause an endless loop.
    (size >= header).then(|| (*kind, at + header, at.saturating_add(size)))
}

/// Returns whether a FLAC file does not state its length (STREAMINFO, RFC 9639, section 8.2).
pub(super) fn flac_is_live(head: &[u8]) -> bool {
    matches!(head.get(21..26), Some([high, rest @ ..]) if high & 0xf == 0 && rest == [0; 4])
}

/// Refuses an MP4 file without an index. It was cut before its index, or never finished.
pub(super) fn check_index(bytes: &[u8]) -> Result<(), AudioError> {
    let (mut at, mut indexed) = (0, false);
    while let Some((kind, _, end)) = atom(bytes, at) {
        match &kind {
            b"moov" => indexed |= end <= bytes.len(),
            b"moof" if !indexed => return Err(pieces::headless_mp4()),
            _ => {}
        }
        at = end;
    }
    if indexed {
        return Ok(());
    }
    Err(AudioError::Refused {
        what: "this MP4 lacks its index (moov box): it was cut, or its recorder never finished it"
            .into(),
        cure: "send the whole file, or record fragmented MP4, which needs no index at its end"
            .into(),
    })
}
