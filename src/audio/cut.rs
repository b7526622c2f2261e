//! Whether the bytes of a container end inside one of its elements, which means that the file was cut.
//!
//! symphonia takes the end of input for the end of the recording in Matroska of unknown size, in fragmented
//! MP4 and in MPEG audio, because live recordings end so. An element that says how long it is tells the
//! difference. The bytes are watched as symphonia reads them, so nothing is held but what may be the
//! beginning of an element.

use std::sync::{Arc, Mutex, PoisonError};

use super::mpeg::{FrameHeader, HEADER, LONGEST_FRAME};

/// Bytes of the longest header of an element: a box of MP4 with a 64-bit size, or an EBML element's.
const LONGEST_HEADER: usize = 16;

/// Bytes of frames of FLAC that are kept: two of the longest in use, of 4,608 frames in eight channels of 24
/// bits that could not be compressed.
const FLAC_FRAMES: usize = 256 << 10;

/// Bytes by which the last frame is found again.
const COMPARED: usize = 512;

/// What watches the bytes of one recording.
#[derive(Clone, Debug)]
pub(super) struct Watcher(Arc<Mutex<Elements>>);

#[derive(Debug)]
enum Elements {
    Nested(Nested),
    Frames(Frames),
}

impl Watcher {
    /// Of a Matroska or WebM file (RFC 8794).
    pub(super) fn matroska() -> Self {
        Self::new(Elements::Nested(Nested::new(ebml)))
    }

    /// Of an MP4 file (ISO/IEC 14496-12, section 4.2).
    pub(super) fn mp4() -> Self {
        Self::new(Elements::Nested(Nested::new(mp4_box)))
    }

    /// Of frames of MPEG audio.
    pub(super) fn mpeg() -> Self {
        Self::new(Elements::Frames(Frames {
            tail: Vec::new(),
            kept: 2 * LONGEST_FRAME,
            begun: mpeg_begun,
        }))
    }

    /// Of a FLAC file.
    pub(super) fn flac() -> Self {
        Self::new(Elements::Frames(Frames {
            tail: Vec::new(),
            kept: FLAC_FRAMES,
            begun: flac_begun,
        }))
    }

    fn new(elements: Elements) -> Self {
        Self(Arc::new(Mutex::new(elements)))
    }

    /// Takes the next bytes.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut elements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *elements {
            Elements::Nested(nested) => nested.push(bytes),
            Elements::Frames(frames) => frames.push(bytes),
        }
    }

    /// Whether the bytes so far end inside an element; `last` is the last frame that was read whole.
    pub(super) fn is_cut(&self, last: &[u8]) -> bool {
        let elements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*elements {
            Elements::Nested(nested) => nested.is_inside(),
            Elements::Frames(frames) => frames.is_cut(last),
        }
    }
}

/// What follows an element's header.
#[derive(Clone, Copy)]
enum Body {
    /// So many bytes to pass over.
    Skip(u64),
    /// Elements, which end after so many bytes if that is known.
    Elements(Option<u64>),
    /// All the rest, however long, or nothing known.
    Rest,
}

/// Reads a header that `bytes` begin with: its length and what follows; `None` asks for more bytes.
type ReadHeader = fn(&[u8]) -> Option<(usize, Body)>;

/// Elements one behind the other, of which some hold others.
#[derive(Debug)]
struct Nested {
    read_header: ReadHeader,
    header: Vec<u8>,
    position: u64,
    /// Bytes to pass over.
    skip: u64,
    /// Where the outermost element that holds others ends, once it has begun and if it says so.
    outer_end: Option<Option<u64>>,
    /// The farthest end that any element says.
    farthest_end: u64,
    /// Nothing more is to be told from the bytes.
    over: bool,
}

impl Nested {
    fn new(read_header: ReadHeader) -> Self {
        Self {
            read_header,
            header: Vec::with_capacity(LONGEST_HEADER),
            position: 0,
            skip: 0,
            outer_end: None,
            farthest_end: 0,
            over: false,
        }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.over {
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
            self.over |= self.skip == 0
                && self.header.is_empty()
                && self
                    .outer_end
                    .flatten()
                    .is_some_and(|end| self.position >= end);
        }
    }

    fn enter(&mut self, body: Body) {
        match body {
            Body::Skip(size) => self.skip = size,
            Body::Elements(size) => {
                let end = size.map(|size| self.position.saturating_add(size));
                self.farthest_end = self.farthest_end.max(end.unwrap_or(0));
                self.outer_end.get_or_insert(end);
            }
            Body::Rest => self.over = true,
        }
    }

    fn is_inside(&self) -> bool {
        let owed = self.skip > 0 || !self.header.is_empty() || self.position < self.farthest_end;
        !self.over && owed
    }
}

/// An EBML element: an identifier of 1 to 4 bytes and a size of 1 to 8, each of which says its width by the
/// zeros that it begins with.
fn ebml(bytes: &[u8]) -> Option<(usize, Body)> {
    const SEGMENT: &[u8] = b"\x18\x53\x80\x67";
    const CLUSTER: &[u8] = b"\x1f\x43\xb6\x75";
    let id_width = bytes.first()?.leading_zeros() as usize + 1;
    if id_width > 4 {
        return Some((bytes.len(), Body::Rest));
    }
    let first = *bytes.get(id_width)?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return Some((bytes.len(), Body::Rest));
    }
    let length = id_width + width;
    let size = bytes
        .get(id_width..length)?
        .iter()
        .fold(0, |size, &byte| size << 8 | u64::from(byte));
    // The mark of the width is no part of the size; a size of ones alone is unknown.
    let most = (1_u64 << (7 * width)) - 1;
    let size = Some(size & most).filter(|&size| size < most);
    let body = match (&bytes[..id_width], size) {
        (SEGMENT | CLUSTER, size) => Body::Elements(size),
        (_, Some(size)) => Body::Skip(size),
        (_, None) => Body::Rest,
    };
    Some((length, body))
}

/// A box at the top of an MP4 file: a size of 4 bytes, a type of 4, and a size of 8 if the first is 1.
fn mp4_box(bytes: &[u8]) -> Option<(usize, Body)> {
    let (&size, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    if !kind
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
    {
        return Some((bytes.len(), Body::Rest));
    }
    let (header, size) = match u32::from_be_bytes(size) {
        1 => (16, u64::from_be_bytes(*rest.first_chunk()?)),
        size => (8, u64::from(size)),
    };
    // 0 means to the end of the file; less than the header means nothing.
    let body = size.checked_sub(header).map_or(Body::Rest, Body::Skip);
    Some((bytes.len(), body))
}

/// Frames that only their successors end, of which the reader drops the last if it is not whole.
#[derive(Debug)]
struct Frames {
    /// The end of what came, `kept` bytes or more.
    tail: Vec<u8>,
    kept: usize,
    /// Whether what follows the last frame is the beginning of another.
    begun: fn(&[u8], &[u8]) -> bool,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.kept)..];
        if self.tail.len() + bytes.len() > 2 * self.kept {
            self.tail.drain(..self.tail.len().saturating_sub(self.kept));
        }
        self.tail.extend_from_slice(bytes);
    }

    fn is_cut(&self, last: &[u8]) -> bool {
        // A frame is known by its end; one as long as all that is kept is longer than any.
        let end = &last[last.len().saturating_sub(COMPARED)..];
        if end.is_empty() {
            return false;
        }
        let at = self
            .tail
            .windows(end.len())
            .rposition(|window| window == end);
        at.is_some_and(|at| (self.begun)(&self.tail[at + end.len()..], last))
    }
}

/// Whether `rest` begins a frame like `last` that does not end in it. Tags and padding begin otherwise.
fn mpeg_begun(rest: &[u8], last: &[u8]) -> bool {
    let Some(shape) = FrameHeader::parse(last).map(|header| header.shape) else {
        return false;
    };
    match FrameHeader::parse(rest) {
        Some(next) => next.shape.layer == shape.layer && next.size > rest.len(),
        None => (1..HEADER).contains(&rest.len()) && last.starts_with(&rest[..rest.len().min(2)]),
    }
}

/// Whether `rest` begins like the frame `last` (RFC 9639, section 9.1.1).
fn flac_begun(rest: &[u8], last: &[u8]) -> bool {
    !rest.is_empty() && last.starts_with(&rest[..rest.len().min(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each beginning of `bytes` is cut, with the bytes pushed one by one and at once.
    fn cuts(new: fn() -> Watcher, bytes: &[u8]) -> Vec<usize> {
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
    fn a_live_matroska_file_is_whole_behind_each_element() {
        let live = b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\xff\x15\x49\xa9\x66\x81i\
            \x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\0\xa3\x84abcd\
            \x1f\x43\xb6\x75\x88\xe7\x81\0\xa3\x83abc";
        assert_eq!(
            cuts(Watcher::matroska, live),
            [0, 7, 12, 18, 30, 33, 39, 52]
        );
    }

    #[test]
    fn a_matroska_file_of_known_size_is_whole_at_its_end_alone() {
        let sized = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x8e\
            \x1f\x43\xb6\x75\xff\xe7\x81\0\xa3\x84abcdjunk\xa3\x99";
        let whole = cuts(Watcher::matroska, sized);
        assert_eq!(whole[..2], [0, 5]);
        assert!(
            whole[2..]
                .iter()
                .eq(&(24..=sized.len()).collect::<Vec<_>>())
        );
    }

    #[test]
    fn an_mp4_file_is_whole_behind_each_box() {
        let boxes = b"\0\0\0\x0cftypM4A \0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab\0\0\0\0free1";
        let whole = cuts(Watcher::mp4, boxes);
        assert_eq!(whole[..3], [0, 12, 30]);
        assert_eq!(
            whole[3..],
            [38, 39],
            "a box that lasts to the end is never cut"
        );
    }

    #[test]
    fn the_last_frame_of_flac_is_whole_or_cut() {
        let frame = |number: u8| [&[0xff, 0xf8, 0xc9, 0x18, number][..], &[number; 9_000]].concat();
        let watched = |rest: &[u8]| {
            let watcher = Watcher::flac();
            (0..100).for_each(|number| watcher.push(&frame(number)));
            watcher.push(rest);
            watcher.is_cut(&frame(99))
        };
        for length in [1, 2, 9, 9_004] {
            assert!(watched(&frame(100)[..length]), "{length}");
        }
        for rest in [&b""[..], b"TAG and a name", &[0; 500]] {
            assert!(!watched(rest));
        }
    }

    #[test]
    fn the_last_frame_of_mpeg_audio_is_whole_or_cut() {
        let mut frame = vec![7; 144];
        frame[..4].copy_from_slice(&[0xff, 0xf3, 0x48, 0xc0]);
        let watched = |rest: &[u8]| {
            let watcher = Watcher::mpeg();
            for _ in 0..200 {
                watcher.push(&frame);
            }
            watcher.push(rest);
            watcher.is_cut(&frame)
        };
        assert!(!Watcher::mpeg().is_cut(&[]));
        for length in [1, 2, 3, 4, 143] {
            assert!(watched(&frame[..length]), "{length}");
        }
        for rest in [
            &b""[..],
            b"TAG and a name",
            b"APETAGEX",
            &[0; 500],
            &[0; 60_000],
        ] {
            assert!(!watched(rest), "{rest:?}");
        }
    }
}
