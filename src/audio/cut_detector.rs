//! Detects that a file was cut, because its bytes end inside one of the container's elements.
//!
//! In Matroska of unknown size, in fragmented MP4 and in MPEG audio, symphonia treats the end of the input as the
//! end of the recording, because live recordings end so. An element that states its length shows whether the file
//! was cut. The detector receives the bytes as symphonia reads them. It keeps only bytes that may be the start of
//! an element.

use std::sync::{Arc, Mutex, PoisonError};

use super::mpeg::{FrameHeader, HEADER, LONGEST_FRAME};

/// Bytes of the longest header of an element, which is that of an MP4 box with a 64-bit size.
const LONGEST_HEADER: usize = 16;

/// Bytes of FLAC that are kept. They suffice for two of the longest frames in use, which have 4,608 samples in
/// eight channels of 24 bits that could not be compressed.
const FLAC_FRAMES: usize = 256 << 10;

/// Bytes of the last frame that are compared to find it again.
const COMPARED: usize = 512;

/// Receives the bytes of one recording. Clones share one state.
#[derive(Clone, Debug)]
pub(super) struct CutDetector(Arc<Mutex<CutDetection>>);

#[derive(Debug)]
enum CutDetection {
    ElementWalk(ElementWalk),
    FrameTail(FrameTail),
}

impl CutDetector {
    /// Creates a detector for a Matroska or WebM file (RFC 8794).
    pub(super) fn matroska() -> Self {
        Self::new(CutDetection::ElementWalk(ElementWalk::new(ebml_header)))
    }

    /// Creates a detector for an MP4 file (ISO/IEC 14496-12, section 4.2).
    pub(super) fn mp4() -> Self {
        Self::new(CutDetection::ElementWalk(ElementWalk::new(mp4_header)))
    }

    /// Creates a detector for frames of MPEG audio.
    pub(super) fn mpeg() -> Self {
        Self::new(CutDetection::FrameTail(FrameTail {
            tail: Vec::new(),
            kept: 2 * LONGEST_FRAME,
            is_begun: is_begun_mpeg,
        }))
    }

    /// Creates a detector for a FLAC file.
    pub(super) fn flac() -> Self {
        Self::new(CutDetection::FrameTail(FrameTail {
            tail: Vec::new(),
            kept: FLAC_FRAMES,
            is_begun: is_begun_flac,
        }))
    }

    fn new(elements: CutDetection) -> Self {
        Self(Arc::new(Mutex::new(elements)))
    }

    /// Adds the next bytes.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut elements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *elements {
            CutDetection::ElementWalk(nested) => nested.push(bytes),
            CutDetection::FrameTail(frames) => frames.push(bytes),
        }
    }

    /// Returns whether the bytes so far end inside an element. `last` is the last frame that was read completely.
    pub(super) fn is_cut(&self, last: &[u8]) -> bool {
        let elements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*elements {
            CutDetection::ElementWalk(nested) => nested.is_inside(),
            CutDetection::FrameTail(frames) => frames.is_cut(last),
        }
    }
}

/// What follows the header of an element.
#[derive(Clone, Copy)]
enum ElementBody {
    /// This many bytes that can be skipped.
    Skip(u64),
    /// Inner elements. They end after this many bytes, if that is known.
    Elements(Option<u64>),
    /// The rest of the file, or unknown data.
    Rest,
}

/// Reads the header at the start of the bytes. Returns its length and what follows. `None` requests more bytes.
type ReadHeader = fn(&[u8]) -> Option<(usize, ElementBody)>;

/// Follows a sequence of elements, some of which contain others.
#[derive(Debug)]
struct ElementWalk {
    read_header: ReadHeader,
    /// The header that is not complete yet.
    header: Vec<u8>,
    position: u64,
    /// Bytes left to skip.
    skip: u64,
    /// The end of the outermost element that contains others: `None` until it begins, `Some(None)` if its size is
    /// unknown.
    outer_end: Option<Option<u64>>,
    /// The farthest end that any element claims.
    farthest_end: u64,
    /// Later bytes do not matter.
    done: bool,
}

impl ElementWalk {
    fn new(read_header: ReadHeader) -> Self {
        Self {
            read_header,
            header: Vec::with_capacity(LONGEST_HEADER),
            position: 0,
            skip: 0,
            outer_end: None,
            farthest_end: 0,
            done: false,
        }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.done {
                return;
            }
            if self.skip > 0 {
                let now = usize::try_from(self.skip).map_or(bytes.len(), |n| n.min(bytes.len()));
                self.skip -= now as u64;
                self.position = self.position.saturating_add(now as u64);
                bytes = &bytes[now..];
            } else {
                self.header.push(first);
                self.position = self.position.saturating_add(1);
                bytes = rest;
                if let Some((length, body)) = (self.read_header)(&self.header) {
                    debug_assert_eq!(length, self.header.len());
                    self.header.clear();
                    self.enter(body);
                }
            }
            self.done |= self.skip == 0
                && self.header.is_empty()
                && self
                    .outer_end
                    .flatten()
                    .is_some_and(|end| self.position >= end);
        }
    }

    fn enter(&mut self, body: ElementBody) {
        match body {
            ElementBody::Skip(size) => self.skip = size,
            ElementBody::Elements(size) => {
                let end = size.map(|size| self.position.saturating_add(size));
                self.farthest_end = self.farthest_end.max(end.unwrap_or(0));
                self.outer_end.get_or_insert(end);
            }
            ElementBody::Rest => self.done = true,
        }
    }

    fn is_inside(&self) -> bool {
        let incomplete =
            self.skip > 0 || !self.header.is_empty() || self.position < self.farthest_end;
        !self.done && incomplete
    }
}

/// Reads the header of an EBML element: an identifier of 1 to 4 bytes and a size of 1 to 8 bytes. The leading zeros
/// of each give its width.
fn ebml_header(bytes: &[u8]) -> Option<(usize, ElementBody)> {
    const SEGMENT: &[u8] = b"\x18\x53\x80\x67";
    const CLUSTER: &[u8] = b"\x1f\x43\xb6\x75";
    let id_width = bytes.first()?.leading_zeros() as usize + 1;
    if id_width > 4 {
        return Some((bytes.len(), ElementBody::Rest));
    }
    let first = *bytes.get(id_width)?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return Some((bytes.len(), ElementBody::Rest));
    }
    let length = id_width + width;
    let size = bytes
        .get(id_width..length)?
        .iter()
        .fold(0, |size, &byte| size << 8 | u64::from(byte));
    // The marker of the width is not part of the size. A size of ones alone means unknown.
    let most = (1_u64 << (7 * width)) - 1;
    let size = Some(size & most).filter(|&size| size < most);
    let body = match (&bytes[..id_width], size) {
        (SEGMENT | CLUSTER, size) => ElementBody::Elements(size),
        (_, Some(size)) => ElementBody::Skip(size),
        (_, None) => ElementBody::Rest,
    };
    Some((length, body))
}

/// Reads the header of a top-level MP4 box: a size of 4 bytes, a type of 4, and a size of 8 if the first is 1.
fn mp4_header(bytes: &[u8]) -> Option<(usize, ElementBody)> {
    let (&size, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    if !kind
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
    {
        return Some((bytes.len(), ElementBody::Rest));
    }
    let (header, size) = match u32::from_be_bytes(size) {
        1 => (16, u64::from_be_bytes(*rest.first_chunk()?)),
        size => (8, u64::from(size)),
    };
    // 0 means to the end of the file. Less than the header is invalid.
    let body = size
        .checked_sub(header)
        .map_or(ElementBody::Rest, ElementBody::Skip);
    Some((bytes.len(), body))
}

/// Keeps the end of a stream of frames. Readers drop an incomplete last frame without an error.
#[derive(Debug)]
struct FrameTail {
    /// The last bytes, `kept` or more.
    tail: Vec<u8>,
    kept: usize,
    /// Returns whether the bytes after the last frame are the start of another. The second argument is the last
    /// frame.
    is_begun: fn(&[u8], &[u8]) -> bool,
}

impl FrameTail {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.kept)..];
        if self.tail.len() + bytes.len() > 2 * self.kept {
            self.tail.drain(..self.tail.len().saturating_sub(self.kept));
        }
        self.tail.extend_from_slice(bytes);
    }

    fn is_cut(&self, last: &[u8]) -> bool {
        // A frame is found by its last bytes.
        let end = &last[last.len().saturating_sub(COMPARED)..];
        if end.is_empty() {
            return false;
        }
        let at = self
            .tail
            .windows(end.len())
            .rposition(|window| window == end);
        at.is_some_and(|at| (self.is_begun)(&self.tail[at + end.len()..], last))
    }
}

/// Returns whether `rest` is the start of a frame like `last` without its end. Tags and padding start with other
/// bytes.
fn is_begun_mpeg(rest: &[u8], last: &[u8]) -> bool {
    let Some(shape) = FrameHeader::parse(last).map(|header| header.shape) else {
        return false;
    };
    match FrameHeader::parse(rest) {
        Some(next) => next.shape.layer == shape.layer && next.size > rest.len(),
        None => (1..HEADER).contains(&rest.len()) && last.starts_with(&rest[..rest.len().min(2)]),
    }
}

/// Returns whether `rest` begins like the frame `last` (RFC 9639, section 9.1.1).
fn is_begun_flac(rest: &[u8], last: &[u8]) -> bool {
    !rest.is_empty() && last.starts_with(&rest[..rest.len().min(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lengths at which `bytes` are not cut. The result is the same for bytes pushed one by one and at once.
    fn whole_lengths(new: fn() -> CutDetector, bytes: &[u8]) -> Vec<usize> {
        let one_by_one = new();
        let mut whole = Vec::new();
        for end in 0..=bytes.len() {
            let at_once = new();
            at_once.push(&bytes[..end]);
            assert_eq!(at_once.is_cut(&[]), one_by_one.is_cut(&[]), "{end}");
            if !at_once.is_cut(&[]) {
                whole.push(end);
            }
            one_by_one.push(&bytes[end..bytes.len().min(end + 1)]);
        }
        whole
    }

    #[test]
    fn a_live_matroska_file_is_complete_after_each_element() {
        let live = b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\xff\x15\x49\xa9\x66\x81i\
            \x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\0\xa3\x84abcd\
            \x1f\x43\xb6\x75\x88\xe7\x81\0\xa3\x83abc";
        assert_eq!(
            whole_lengths(CutDetector::matroska, live),
            [0, 7, 12, 18, 30, 33, 39, 52]
        );
    }

    #[test]
    fn a_matroska_file_of_known_size_is_complete_only_at_its_end() {
        let sized = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x8e\
            \x1f\x43\xb6\x75\xff\xe7\x81\0\xa3\x84abcdjunk\xa3\x99";
        let whole = whole_lengths(CutDetector::matroska, sized);
        assert_eq!(whole[..2], [0, 5]);
        assert!(
            whole[2..]
                .iter()
                .eq(&(24..=sized.len()).collect::<Vec<_>>())
        );
    }

    #[test]
    fn an_mp4_file_is_complete_after_each_box() {
        let boxes = b"\0\0\0\x0cftypM4A \0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab\0\0\0\0free1";
        let whole = whole_lengths(CutDetector::mp4, boxes);
        assert_eq!(whole[..3], [0, 12, 30]);
        assert_eq!(
            whole[3..],
            [38, 39],
            "a box that lasts to the end is never cut"
        );
    }

    #[test]
    fn a_cut_last_frame_of_flac_is_detected() {
        let frame = |number: u8| [&[0xff, 0xf8, 0xc9, 0x18, number][..], &[number; 9_000]].concat();
        let is_cut = |rest: &[u8]| {
            let cut_detector = CutDetector::flac();
            (0..100).for_each(|number| cut_detector.push(&frame(number)));
            cut_detector.push(rest);
            cut_detector.is_cut(&frame(99))
        };
        for length in [1, 2, 9, 9_004] {
            assert!(is_cut(&frame(100)[..length]), "{length}");
        }
        for rest in [&b""[..], b"TAG and a name", &[0; 500]] {
            assert!(!is_cut(rest));
        }
    }

    #[test]
    fn a_cut_last_frame_of_mpeg_audio_is_detected() {
        let mut frame = vec![7; 144];
        frame[..4].copy_from_slice(&[0xff, 0xf3, 0x48, 0xc0]);
        let is_cut = |rest: &[u8]| {
            let cut_detector = CutDetector::mpeg();
            for _ in 0..200 {
                cut_detector.push(&frame);
            }
            cut_detector.push(rest);
            cut_detector.is_cut(&frame)
        };
        assert!(!CutDetector::mpeg().is_cut(&[]));
        for length in [1, 2, 3, 4, 143] {
            assert!(is_cut(&frame[..length]), "{length}");
        }
        for rest in [
            &b""[..],
            b"TAG and a name",
            b"APETAGEX",
            &[0; 500],
            &[0; 60_000],
        ] {
            assert!(!is_cut(rest), "{rest:?}");
        }
    }
}
