//! The bytes of a recording, read once from front to back: all there, or still arriving.
//!
//! Everything that decodes reads from here, so a recording that comes in pieces takes the same way
//! as one that comes whole. Looking ahead keeps what was seen, no more.

use std::borrow::Cow;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::cut::Watcher;
use super::decoder::Pipe;
use super::limits::Watch;
use super::{AudioError, sniff};

/// Bytes of one recording, from where it is read now.
pub(super) struct Input<'a> {
    rest: Rest<'a>,
    /// Seen or put back, but not yet taken: from `at` on, before `rest`.
    ahead: Vec<u8>,
    at: usize,
    /// Bytes taken so far.
    position: u64,
    /// Bytes left until the input counts as ended.
    left: u64,
    /// Sees what is read.
    watcher: Option<Watcher>,
    watch: Watch,
}

enum Rest<'a> {
    Whole(&'a [u8]),
    Arriving(Pipe),
}

impl<'a> Input<'a> {
    pub(super) fn whole(bytes: &'a [u8], watch: Watch) -> Self {
        Self::new(Rest::Whole(bytes), watch)
    }

    pub(super) fn arriving(pipe: Pipe, watch: Watch) -> Self {
        Self::new(Rest::Arriving(pipe), watch)
    }

    fn new(rest: Rest<'a>, watch: Watch) -> Self {
        Self {
            rest,
            ahead: Vec::new(),
            at: 0,
            position: 0,
            left: u64::MAX,
            watcher: None,
            watch,
        }
    }

    /// Bytes taken so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What is there to be taken: nothing only at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], AudioError> {
        self.watch.check()?;
        let there = if self.at < self.ahead.len() {
            &self.ahead[self.at..]
        } else {
            self.rest.fill()?
        };
        Ok(cut(there, self.left))
    }

    /// Takes `count` of the bytes that [`Input::fill`] or [`Input::peek`] showed.
    pub(super) fn consume(&mut self, count: usize) {
        let count = within(self.left, count);
        self.position += count as u64;
        self.left -= count as u64;
        if self.at < self.ahead.len() {
            self.at = self.ahead.len().min(self.at + count);
            if self.at == self.ahead.len() {
                // An index of megabytes may have been looked at; it is not kept.
                (self.ahead, self.at) = (Vec::new(), 0);
            }
        } else {
            self.rest.consume(count);
        }
    }

    /// The next bytes, `count` or more, or all that are left; they are not taken.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], AudioError> {
        if self.at == self.ahead.len()
            && let Rest::Whole(bytes) = self.rest
        {
            return Ok(cut(bytes, self.left));
        }
        let count = within(self.left, count);
        if self.at > 0 && self.ahead.len() - self.at < count {
            // A reader that always looks a little ahead would keep all that it took.
            self.ahead.drain(..self.at);
            self.at = 0;
        }
        while self.ahead.len() - self.at < count {
            self.watch.check()?;
            let more = self.rest.fill()?;
            let taken = more.len();
            if taken == 0 {
                break;
            }
            self.ahead.extend_from_slice(more);
            self.rest.consume(taken);
        }
        Ok(cut(&self.ahead[self.at..], self.left))
    }

    /// Takes up to `count` bytes unseen; gives how many there were.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, AudioError> {
        let mut skipped = 0;
        while skipped < count {
            let there = self.fill()?.len() as u64;
            if there == 0 {
                break;
            }
            let now = there.min(count - skipped);
            self.consume(now as usize);
            skipped += now;
        }
        Ok(skipped)
    }

    /// Takes zeros.
    pub(super) fn skip_zeros(&mut self) -> Result<(), AudioError> {
        loop {
            let there = self.fill()?;
            let zeros = there.iter().take_while(|&&byte| byte == 0).count();
            let all = zeros == there.len();
            self.consume(zeros);
            if zeros == 0 || !all {
                return Ok(());
            }
        }
    }

    /// Takes ID3v2 tags, which players put before any format; gives whether there was one.
    pub(super) fn skip_tags(&mut self) -> Result<bool, AudioError> {
        let mut tagged = false;
        while let Some(size) = sniff::id3_size(self.peek(sniff::ID3_HEADER)?) {
            if self.skip(size)? < size {
                return Err(AudioError::malformed(format!(
                    "cannot read this MP3: its ID3 tag claims {size} bytes and the file ends before"
                )));
            }
            tagged = true;
        }
        Ok(tagged)
    }

    /// Puts bytes in front of what is left.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.ahead.splice(..self.at, bytes.iter().copied());
        self.at = 0;
        self.left = self.left.saturating_add(bytes.len() as u64);
    }

    /// Ends the input after `count` bytes more.
    pub(super) fn end_after(&mut self, count: u64) {
        self.left = count;
    }

    /// Shows `watcher` what is read from here on.
    pub(super) fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// All that is left, as a source in which one can seek.
    pub(super) fn hold(mut self, limit: usize) -> Result<Held<'a>, AudioError> {
        let bytes = match self.rest {
            Rest::Whole(bytes) if self.ahead.is_empty() => Cow::Borrowed(cut(bytes, self.left)),
            _ => Cow::Owned(self.gather(limit)?),
        };
        Ok(Held {
            bytes: Cursor::new(bytes),
            watch: self.watch,
        })
    }

    fn gather(&mut self, limit: usize) -> Result<Vec<u8>, AudioError> {
        let mut gathered = Vec::new();
        loop {
            let there = self.fill()?;
            let count = there.len();
            if count == 0 {
                return Ok(gathered);
            }
            if gathered.len() + count > limit {
                return Err(AudioError::TooMuchHeld { limit });
            }
            gathered.extend_from_slice(there);
            self.consume(count);
        }
    }
}

/// The first `left` of `bytes`.
fn cut(bytes: &[u8], left: u64) -> &[u8] {
    &bytes[..within(left, bytes.len())]
}

fn within(left: u64, count: usize) -> usize {
    usize::try_from(left).map_or(count, |left| left.min(count))
}

impl Rest<'_> {
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
        let there = self.fill().map_err(io::Error::other)?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        if let Some(watcher) = &self.watcher {
            watcher.push(&buffer[..count]);
        }
        Ok(count)
    }
}

/// A recording that is all there, until time is up.
pub(super) struct Held<'a> {
    bytes: Cursor<Cow<'a, [u8]>>,
    watch: Watch,
}

impl Held<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get_ref()
    }

    /// The bytes to be changed, which copies them if they were not gathered.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.bytes.get_mut().to_mut()
    }
}

impl Read for Held<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.check().map_err(io::Error::other)?;
        self.bytes.read(buffer)
    }
}

impl Seek for Held<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}

impl MediaSource for Held<'_> {
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

    use super::super::limits::Stop;
    use super::*;

    fn input(bytes: &[u8]) -> Input<'_> {
        Input::whole(bytes, Watch::start(Duration::MAX, Stop::default()))
    }

    fn held(input: Input<'_>) -> Vec<u8> {
        let held = input.hold(usize::MAX);
        held.map(|held| Held::bytes(&held).to_vec()).unwrap()
    }

    #[test]
    fn nothing_behind_the_end_is_shown_or_taken() {
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
    fn what_is_put_back_is_shown_before_what_is_left() {
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
    fn what_is_held_ends_where_the_input_does() {
        let bytes: Vec<u8> = (0..9).collect();
        let mut input = input(&bytes);
        input.end_after(4);
        assert_eq!(held(input), [0, 1, 2, 3]);
    }

    #[test]
    fn taking_more_than_is_there_takes_all_of_it() {
        let mut input = input(&[1, 2, 3]);
        input.end_after(2);
        input.put_back(&[0]);
        input.consume(9);
        assert!(input.peek(1).unwrap().is_empty() && input.fill().unwrap().is_empty());
        input.consume(9);
        assert!(input.fill().unwrap().is_empty());
    }
}
