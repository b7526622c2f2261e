//! The bytes of a recording, read once from front to back. They are all there, or still arrive.
//!
//! All decoders read from here, so a recording that arrives in pieces and one that is complete are decoded by
//! the same code. Bytes that a decoder looks at in advance are kept until it consumes them.

use std::borrow::Cow;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::cut_detector::CutDetector;
use super::pipe::BytePipe;
use super::timer::DecodeTimer;
use super::{AudioError, id3};

/// The bytes of one recording, from the current position on.
pub(super) struct Input<'a> {
    source: ByteSource<'a>,
    /// Bytes that were looked at or put back but not consumed. Those from `ahead_start` on come before
    /// `source`.
    ahead: Vec<u8>,
    ahead_start: usize,
    /// Bytes consumed so far.
    position: u64,
    /// Bytes left until the input counts as ended.
    left: u64,
    /// Receives what is read through [`Read`].
    cut_detector: Option<CutDetector>,
    timer: DecodeTimer,
}

enum ByteSource<'a> {
    Whole(&'a [u8]),
    Arriving(BytePipe),
}

impl<'a> Input<'a> {
    pub(super) fn whole(bytes: &'a [u8], timer: DecodeTimer) -> Self {
        Self::new(ByteSource::Whole(bytes), timer)
    }

    pub(super) fn arriving(pipe: BytePipe, timer: DecodeTimer) -> Self {
        Self::new(ByteSource::Arriving(pipe), timer)
    }

    fn new(source: ByteSource<'a>, timer: DecodeTimer) -> Self {
        Self {
            source,
            ahead: Vec::new(),
            ahead_start: 0,
            position: 0,
            left: u64::MAX,
            cut_detector: None,
            timer,
        }
    }

    /// Returns the number of bytes consumed so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the next bytes, at least one unless the input has ended. They are not consumed.
    pub(super) fn fill(&mut self) -> Result<&[u8], AudioError> {
        self.timer.check()?;
        let available = if self.ahead_start < self.ahead.len() {
            &self.ahead[self.ahead_start..]
        } else {
            self.source.fill()?
        };
        Ok(first(available, self.left))
    }

    /// Consumes `count` of the bytes that [`Input::fill`] or [`Input::peek`] returned.
    pub(super) fn consume(&mut self, count: usize) {
        let count = at_most(self.left, count);
        self.position += count as u64;
        self.left -= count as u64;
        if self.ahead_start < self.ahead.len() {
            self.ahead_start = self.ahead.len().min(self.ahead_start + count);
            if self.ahead_start == self.ahead.len() {
                // An index of megabytes may have been looked at. Its memory is freed.
                (self.ahead, self.ahead_start) = (Vec::new(), 0);
            }
        } else {
            self.source.consume(count);
        }
    }

    /// Returns the next bytes: `count` or more, or all that are left. They are not consumed.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], AudioError> {
        if self.ahead_start == self.ahead.len()
            && let ByteSource::Whole(bytes) = self.source
        {
            return Ok(first(bytes, self.left));
        }
        let count = at_most(self.left, count);
        if self.ahead_start > 0 && self.ahead.len() - self.ahead_start < count {
            // Without this, a reader that always looks a little ahead would keep all that it consumed.
            self.ahead.drain(..self.ahead_start);
            self.ahead_start = 0;
        }
        while self.ahead.len() - self.ahead_start < count {
            self.timer.check()?;
            let more = self.source.fill()?;
            let added = more.len();
            if added == 0 {
                break;
            }
            self.ahead.extend_from_slice(more);
            self.source.consume(added);
        }
        Ok(first(&self.ahead[self.ahead_start..], self.left))
    }

    /// Skips up to `count` bytes and returns how many there were.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, AudioError> {
        let mut skipped = 0;
        while skipped < count {
            let available = self.fill()?.len() as u64;
            if available == 0 {
                break;
            }
            let now = available.min(count - skipped);
            self.consume(now as usize);
            skipped += now;
        }
        Ok(skipped)
    }

    /// Skips zeros.
    pub(super) fn skip_zeros(&mut self) -> Result<(), AudioError> {
        loop {
            let available = self.fill()?;
            let zeros = available.iter().take_while(|&&byte| byte == 0).count();
            let all = zeros == available.len();
            self.consume(zeros);
            if zeros == 0 || !all {
                return Ok(());
            }
        }
    }

    /// Skips ID3v2 tags and returns whether there was one.
    pub(super) fn skip_tags(&mut self) -> Result<bool, AudioError> {
        let mut tagged = false;
        while let Some(size) = id3::tag_size(self.peek(id3::HEADER)?) {
            if self.skip(size)? < size {
                return Err(AudioError::malformed(format!(
                    "cannot read this MP3: its ID3 tag claims {size} bytes, but the file ends before"
                )));
            }
            tagged = true;
        }
        Ok(tagged)
    }

    /// Inserts `bytes` before the next byte.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.ahead.splice(..self.ahead_start, bytes.iter().copied());
        self.ahead_start = 0;
        self.left = self.left.saturating_add(bytes.len() as u64);
    }

    /// Makes the input end after `count` more bytes.
    pub(super) fn end_after(&mut self, count: u64) {
        self.left = count;
    }

    /// Passes to `cut_detector` what is read through [`Read`] from now on.
    pub(super) fn detect_cuts(&mut self, cut_detector: CutDetector) {
        self.cut_detector = Some(cut_detector);
    }

    /// Returns all bytes that are left as a source that can seek. Bytes that have to be copied are limited to
    /// `limit`.
    pub(super) fn hold(mut self, limit: usize) -> Result<HeldInput<'a>, AudioError> {
        let bytes = match self.source {
            ByteSource::Whole(bytes) if self.ahead.is_empty() => {
                Cow::Borrowed(first(bytes, self.left))
            }
            _ => Cow::Owned(self.collect(limit)?),
        };
        Ok(HeldInput {
            bytes: Cursor::new(bytes),
            timer: self.timer,
        })
    }

    fn collect(&mut self, limit: usize) -> Result<Vec<u8>, AudioError> {
        let mut collected = Vec::new();
        loop {
            let available = self.fill()?;
            let count = available.len();
            if count == 0 {
                return Ok(collected);
            }
            if collected.len() + count > limit {
                return Err(AudioError::TooMuchHeld { limit });
            }
            collected.extend_from_slice(available);
            self.consume(count);
        }
    }
}

/// Returns the first `left` of `bytes`.
fn first(bytes: &[u8], left: u64) -> &[u8] {
    &bytes[..at_most(left, bytes.len())]
}

fn at_most(left: u64, count: usize) -> usize {
    usize::try_from(left).map_or(count, |left| left.min(count))
}

impl ByteSource<'_> {
    fn fill(&mut self) -> Result<&[u8], AudioError> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::Arriving(pipe) => pipe.fill(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Whole(bytes) => *bytes = bytes.get(count..).unwrap_or_default(),
            Self::Arriving(pipe) => pipe.consume(count),
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill().map_err(io::Error::other)?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        if let Some(cut_detector) = &self.cut_detector {
            cut_detector.push(&buffer[..count]);
        }
        Ok(count)
    }
}

/// A recording in memory. Reading fails once the decode's time is used up.
pub(super) struct HeldInput<'a> {
    bytes: Cursor<Cow<'a, [u8]>>,
    timer: DecodeTimer,
}

impl HeldInput<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get_ref()
    }

    /// Returns the bytes for changes. Copies them if they are borrowed.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.bytes.get_mut().to_mut()
    }
}

impl Read for HeldInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timer.check().map_err(io::Error::other)?;
        self.bytes.read(buffer)
    }
}

impl Seek for HeldInput<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}

impl MediaSource for HeldInput<'_> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes().len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Stop;
    use super::*;

    fn input(bytes: &[u8]) -> Input<'_> {
        Input::whole(bytes, DecodeTimer::start(Duration::MAX, Stop::default()))
    }

    fn held(input: Input<'_>) -> Vec<u8> {
        let held = input.hold(usize::MAX);
        held.map(|held| HeldInput::bytes(&held).to_vec()).unwrap()
    }

    #[test]
    fn nothing_after_the_end_is_returned() {
        let bytes: Vec<u8> = (0..9).collect();
        let mut input = input(&bytes);
        input.end_after(4);
        assert_eq!(input.peek(1).unwrap(), [0, 1, 2, 3]);
        assert_eq!(input.fill().unwrap(), [0, 1, 2, 3]);
        input.consume(3);
        assert_eq!(input.peek(5).unwrap(), [3]);
        assert_eq!(input.skip(5).unwrap(), 1);
        assert!(input.peek(1).unwrap().is_empty() && input.fill().unwrap().is_empty());
    }

    #[test]
    fn bytes_put_back_come_before_the_rest() {
        let bytes: Vec<u8> = (0..9).collect();
        let mut input = input(&bytes);
        input.end_after(2);
        input.put_back(&[7, 8]);
        assert_eq!(input.peek(4).unwrap(), [7, 8, 0, 1]);
        assert_eq!(input.skip(3).unwrap(), 3);
        assert_eq!(input.peek(4).unwrap(), [1]);
        assert_eq!(held(input), [1]);
    }

    #[test]
    fn held_bytes_end_where_the_input_ends() {
        let bytes: Vec<u8> = (0..9).collect();
        let mut input = input(&bytes);
        input.end_after(4);
        assert_eq!(held(input), [0, 1, 2, 3]);
    }

    #[test]
    fn consuming_more_than_is_left_consumes_the_rest() {
        let mut input = input(&[1, 2, 3]);
        input.end_after(2);
        input.put_back(&[0]);
        input.consume(9);
        assert!(input.peek(1).unwrap().is_empty() && input.fill().unwrap().is_empty());
        input.consume(9);
        assert!(input.fill().unwrap().is_empty());
    }
}
