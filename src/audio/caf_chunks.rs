//! The chunks of a CAF file: how to find the samples, and how to repair a wrong data size.

use super::AudioError;
use super::input::Input;

/// Bytes of the file's own header.
pub(super) const FILE_HEADER: usize = 8;

/// Bytes of a chunk's type and size.
pub(super) const CHUNK_HEADER: usize = 12;

/// The size of data that last to the end of the file. Only the data chunk may have it.
const ENDLESS: i64 = -1;

/// Skips everything before the samples. Returns the bytes of the samples, if the file states them.
pub(super) fn skip_to_samples(input: &mut Input<'_>) -> Result<Option<u64>, AudioError> {
    input.skip(FILE_HEADER as u64)?;
    loop {
        let head = input.peek(CHUNK_HEADER + 4)?;
        let (Some(name), Some(size)) = (head.get(..4), i64_at(head, 4)) else {
            return Err(AudioError::NoAudio);
        };
        let is_data = name == b"data";
        input.skip(CHUNK_HEADER as u64)?;
        match u64::try_from(size) {
            // A count of edits of 4 bytes comes before the samples. A smaller size was never filled in.
            Ok(size) if is_data => {
                input.skip(4)?;
                return Ok(size.checked_sub(4).filter(|&size| size > 0));
            }
            Err(_) if is_data && size == ENDLESS => {
                input.skip(4)?;
                return Ok(None);
            }
            Ok(size) => {
                input.skip(size)?;
            }
            Err(_) => {
                return Err(AudioError::malformed(format!(
                    "a CAF chunk claims {size} bytes"
                )));
            }
        }
    }
}

/// The correction of a file of packets that does not end where its chunks claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataSizeRepair {
    /// Position of the data chunk's size.
    at: usize,
    /// Bytes of the data, in whole packets.
    size: u64,
    /// A part of the file is missing.
    pub(super) cut: bool,
}

impl DataSizeRepair {
    /// Returns the correction that `bytes` need; `None` if they need none or have no data chunk.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let packet_size = u32_at(bytes, FILE_HEADER + CHUNK_HEADER + 16);
        let packet = packet_size.map_or(1, |bytes| u64::from(bytes.max(1)));
        let mut at = FILE_HEADER;
        loop {
            let size = i64_at(bytes, at + 4)?;
            let available = (bytes.len() - at - CHUNK_HEADER) as u64;
            let endless = size == ENDLESS;
            let claimed = u64::try_from(size).ok();
            if claimed.is_some_and(|size| size <= available) {
                at += CHUNK_HEADER + usize::try_from(size).ok()?;
                continue;
            }
            let is_data = bytes[at..].starts_with(b"data");
            let (samples, edits) = (available.saturating_sub(4), available.min(4));
            let incomplete = samples % packet;
            return (is_data && (endless || claimed.is_some())).then_some(Self {
                at: at + 4,
                size: edits + samples - incomplete,
                cut: !endless || incomplete > 0,
            });
        }
    }

    /// Writes the true size of the data, which symphonia requires, and ends the file after them.
    pub(super) fn apply(self, bytes: &mut Vec<u8>) {
        if let Some(size) = bytes.get_mut(self.at..self.at + 8) {
            size.copy_from_slice(&self.size.to_be_bytes());
        }
        let end = usize::try_from(self.size).map_or(usize::MAX, |size| self.at + 8 + size);
        bytes.truncate(end);
    }
}

/// Reads a big-endian number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk();
    bytes.copied().map(u32::from_be_bytes)
}

fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..)?.first_chunk();
    bytes.copied().map(i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], size: i64, body: &[u8]) -> Vec<u8> {
        [&name[..], &size.to_be_bytes(), body].concat()
    }

    /// A description of packets of 34 bytes.
    fn description() -> Vec<u8> {
        let numbers = [0, 34, 1, 1, 0_u32].map(u32::to_be_bytes).concat();
        let body = [&8e3_f64.to_be_bytes()[..], b"ima4", &numbers].concat();
        chunk(b"desc", 32, &body)
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"caff\0\x01\0\0".to_vec(), chunks.concat()].concat()
    }

    #[test]
    fn packets_end_where_the_file_does() {
        let desc = description();
        let whole = file(&[desc.clone(), chunk(b"data", 4 + 68, &[7; 72])]);
        assert_eq!(DataSizeRepair::of(&whole), None);
        for (size, there, cut) in [
            (-1, 72, false),
            (-1, 80, true),
            (900, 72, true),
            (900, 105, true),
        ] {
            let mut bytes = file(&[desc.clone(), chunk(b"data", size, &vec![7; there])]);
            let repair = DataSizeRepair::of(&bytes).unwrap();
            repair.apply(&mut bytes);
            assert_eq!((repair.cut, bytes), (cut, whole.clone()));
        }
        assert_eq!(
            DataSizeRepair::of(&file(&[desc, chunk(b"pakt", 99, &[7; 9])])),
            None
        );
        assert_eq!(DataSizeRepair::of(b"caff"), None);
    }
}
