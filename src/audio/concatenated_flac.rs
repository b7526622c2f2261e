//! Reads several FLAC files one after another. Their headers may differ in channels and rate.
//!
//! symphonia's reader treats the second header as garbage. Here each file gets a reader of its own, with a source
//! that ends where the next file begins.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::errors::{Error, Result};
use symphonia::core::formats::{
    FormatInfo, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track,
};
use symphonia::core::io::{MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::Metadata;
use symphonia::core::packet::Packet;

use super::input::Input;
use super::probe::probe;

/// Bytes that identify the start of a file (RFC 9639, section 8): the magic number, and the header of a STREAMINFO
/// block of 34 bytes. The highest bit of that header states whether the block is the last one.
const START: usize = 8;

/// Reads the packets of all files in turn.
pub(super) struct ConcatenatedFlac<'a> {
    input: SharedFlacInput<'a>,
    reader: Box<dyn FormatReader + 'a>,
}

impl<'a> ConcatenatedFlac<'a> {
    /// Creates a reader of input that begins with a FLAC file.
    pub(super) fn new(input: Input<'a>) -> Result<Self> {
        let input = SharedFlacInput(Arc::new(Mutex::new(FlacFileInput {
            input,
            started: false,
        })));
        let reader = input.open_file()?;
        Ok(Self { input, reader })
    }
}

impl FormatReader for ConcatenatedFlac<'_> {
    fn format_info(&self) -> &FormatInfo {
        self.reader.format_info()
    }

    fn media_info(&self) -> &MediaInfo {
        self.reader.media_info()
    }

    fn metadata(&mut self) -> Metadata<'_> {
        self.reader.metadata()
    }

    fn tracks(&self) -> &[Track] {
        self.reader.tracks()
    }

    fn seek(&mut self, mode: SeekMode, to: SeekTo) -> Result<SeekedTo> {
        self.reader.seek(mode, to)
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        match self.reader.next_packet()? {
            None if self.input.start_next_file()? => {
                self.reader = self.input.open_file()?;
                Err(Error::ResetRequired)
            }
            packet => Ok(packet),
        }
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        self.reader.into_inner()
    }
}

/// The input, which the readers of all files share. Only one of them uses it at a time.
#[derive(Clone)]
struct SharedFlacInput<'a>(Arc<Mutex<FlacFileInput<'a>>>);

impl<'a> SharedFlacInput<'a> {
    /// Returns a reader of the current file.
    fn open_file(&self) -> Result<Box<dyn FormatReader + 'a>> {
        probe(Box::new(ReadOnlySource::new(self.clone())))
    }

    /// Moves to the next file. Returns false if there is none.
    fn start_next_file(&self) -> Result<bool> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = file.input.peek(START).map_err(io::Error::other)?;
        let next = is_file_start(bytes);
        file.started &= !next;
        Ok(next)
    }
}

impl Read for SharedFlacInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.read(buffer)
    }
}

/// The rest of the input, which ends at the next file.
struct FlacFileInput<'a> {
    input: Input<'a>,
    /// The first bytes of the current file were read.
    started: bool,
}

impl Read for FlacFileInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.input.peek(START).map_err(io::Error::other)?;
        let bytes = &bytes[..bytes.len().min(buffer.len() + START)];
        let own = usize::from(!self.started);
        let next = bytes.windows(START).skip(own).position(is_file_start);
        // The last bytes may be part of the start of the next file, so they are not returned yet.
        let whole = (bytes.len() + 1).saturating_sub(START);
        let most = match next {
            Some(at) => at + own,
            None if whole == 0 => bytes.len(),
            None => whole,
        };
        let count = most.min(buffer.len());
        self.started |= count > 0;
        self.input.read(&mut buffer[..count])
    }
}

/// Returns whether a FLAC file starts with `bytes`.
fn is_file_start(bytes: &[u8]) -> bool {
    matches!(bytes, [b'f', b'L', b'a', b'C', 0 | 0x80, 0, 0, 34, ..])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Stop;
    use super::super::timer::DecodeTimer;
    use super::*;

    #[test]
    fn a_source_ends_where_the_next_file_begins() {
        let file = |fill: u8, length: usize| {
            [b"fLaC\0\0\0\x22".as_slice(), &vec![fill; length], b"fLaC"].concat()
        };
        let (one, two) = (file(1, 50), file(2, 0));
        let both = [one.as_slice(), &two].concat();
        for piece in 1..80 {
            let timer = DecodeTimer::start(Duration::MAX, Stop::default());
            let mut file = FlacFileInput {
                input: Input::whole(&both, timer),
                started: false,
            };
            for expected in [&one, &two] {
                let mut read = Vec::new();
                let mut buffer = vec![0; piece];
                loop {
                    let count = file.read(&mut buffer).unwrap();
                    if count == 0 {
                        break;
                    }
                    read.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(&read, expected, "in pieces of {piece}");
                file.started = false;
            }
        }
    }
}
