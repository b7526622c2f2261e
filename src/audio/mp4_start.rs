//! Finds where the sound of an MP4 track begins, by its edit list (ISO/IEC 14496-12, 8.6.6) or by iTunes' comment.
//!
//! The first 1,024 to 2,112 frames of an AAC encoder are its delay, and one of the two states its length.
//! symphonia reads both and applies neither. Malformed boxes are ignored here.

/// The start of the sound of each track.
#[derive(Debug, Default)]
pub(super) struct TrackStarts {
    /// From the edit lists: track number and ticks of the media's time.
    edits: Vec<(u32, u64)>,
    /// From the comment, for all other tracks.
    itunes: Option<u64>,
}

impl TrackStarts {
    /// Reads the index in `bytes`, which are an MP4 file or its part before the sound.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let Some(moov) = boxes(bytes, b"moov").next() else {
            return Self::default();
        };
        let edit = |trak| {
            let track = boxes(trak, b"tkhd").next().and_then(track_id)?;
            let ticks = boxes(trak, b"edts")
                .flat_map(|edts| boxes(edts, b"elst"))
                .find_map(first_edit)?;
            (ticks > 0).then_some((track, ticks))
        };
        Self {
            edits: boxes(moov, b"trak").filter_map(edit).collect(),
            itunes: itunes_delay(moov),
        }
    }

    /// Returns the ticks of the media's time to drop at the start of `track`.
    pub(super) fn of(&self, track: u32) -> Option<u64> {
        let mut edits = self.edits.iter();
        let edited = edits.find_map(|&(id, ticks)| (id == track).then_some(ticks));
        edited.or(self.itunes)
    }
}

/// Returns the second of the hexadecimal numbers in the comment that iTunes writes.
fn itunes_delay(moov: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"iTunSMPB";
    let name = moov.windows(NAME.len()).position(|window| window == NAME)?;
    let data = boxes(&moov[name + NAME.len()..], b"data").next()?;
    // The text follows the type of value and the language.
    let text = std::str::from_utf8(data.get(8..)?).ok()?;
    let delay = text.split_ascii_whitespace().nth(1)?;
    u32::from_str_radix(delay, 16).ok().map(u64::from)
}

/// Returns the bodies of the boxes of type `kind` that are directly in `bytes`.
fn boxes<'a>(bytes: &'a [u8], kind: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let size = u64::from(u32_at(rest, 0)?);
            let found = rest.get(4..8)?;
            let (header, size) = match size {
                // The box lasts to the end of the file.
                0 => (8, rest.len() as u64),
                1 => (
                    16,
                    u64::from(u32_at(rest, 8)?) << 32 | u64::from(u32_at(rest, 12)?),
                ),
                size => (8, size),
            };
            let end = usize::try_from(size).ok()?;
            let body = rest.get(header..end.min(rest.len()))?;
            rest = rest.get(end..).unwrap_or_default();
            if found == kind {
                return Some(body);
            }
        }
    })
}

/// Returns the number of a track.
fn track_id(tkhd: &[u8]) -> Option<u32> {
    // It follows the version and the times of creation and change, which are longer in version 1.
    u32_at(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })
}

/// Returns where the first edit that is not a pause begins in the media.
fn first_edit(elst: &[u8]) -> Option<u64> {
    let wide = elst.first()? == &1;
    let entries = elst.get(8..)?;
    entries
        .chunks_exact(if wide { 20 } else { 12 })
        .take(u32_at(elst, 4)? as usize)
        .find_map(|entry| {
            let time = if wide {
                i64::from(u32_at(entry, 8)?.cast_signed()) << 32 | i64::from(u32_at(entry, 12)?)
            } else {
                i64::from(u32_at(entry, 4)?.cast_signed())
            };
            u64::try_from(time).ok()
        })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(bytes: &[u8], track: u32) -> Option<u64> {
        TrackStarts::read(bytes).of(track)
    }

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = (body.len() as u32 + 8).to_be_bytes();
        [&size, &kind[..], body].concat()
    }

    fn track(id: u8, elst: &[u8]) -> Vec<u8> {
        let tkhd = [0; 12].into_iter().chain([0, 0, 0, id]).chain([0; 60]);
        let tkhd = boxed(b"tkhd", &tkhd.collect::<Vec<_>>());
        let edts = boxed(b"edts", &boxed(b"elst", elst));
        boxed(b"trak", &[tkhd, edts].concat())
    }

    #[test]
    fn the_first_edit_that_is_not_a_pause_counts() {
        let pause = [0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0];
        let delay = [0, 0, 0, 9, 0, 0, 8, 64, 0, 1, 0, 0];
        let narrow = [&[0, 0, 0, 0, 0, 0, 0, 2], &pause[..], &delay[..]].concat();
        let wide = [
            &[1, 0, 0, 0, 0, 0, 0, 1],
            &[0; 8][..],
            &1_024_u64.to_be_bytes(),
            &[0; 4],
        ];
        let moov = boxed(
            b"moov",
            &[track(1, &narrow), track(2, &wide.concat())].concat(),
        );
        let file = [boxed(b"ftyp", b"M4A "), boxed(b"free", &[]), moov].concat();
        assert_eq!(start(&file, 1), Some(2_112));
        assert_eq!(start(&file, 2), Some(1_024));
        assert_eq!(start(&file, 3), None);
    }

    #[test]
    fn without_an_edit_list_the_comment_of_itunes_counts() {
        let text = b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001CA 0000000000002F42";
        let comment = [b"\0\0\0\0iTunSMPB", boxed(b"data", text).as_slice()].concat();
        let comment = boxed(b"udta", &comment);
        let none = track(
            1,
            &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 0],
        );
        let moov = boxed(b"moov", &[none, comment].concat());
        assert_eq!(start(&moov, 1), Some(2_112));
        for cut in 0..moov.len() - 40 {
            assert_eq!(start(&moov[..cut], 1), None);
        }
    }

    #[test]
    fn damaged_boxes_are_ignored() {
        let whole = boxed(
            b"moov",
            &track(1, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0]),
        );
        for cut in 0..=whole.len() {
            assert_eq!(start(&whole[..cut], 1), None);
        }
        // A box smaller than its own header.
        assert_eq!(start(&[0, 0, 0, 3, b'm', b'o', b'o', b'v', 0, 0], 1), None);
    }
}
