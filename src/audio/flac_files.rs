//! FLAC files laid end to end, each with a header of its own, which may say other channels or another rate.
//!
//! symphonia's reader takes the second header for garbage. Here each file gets a reader, whose source ends
//! where the next file begins.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::errors::{Error, Result};
use symphonia::core::formats::{
    FormatInfo, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track,
};
use symphonia::core::io::{MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::Metadata;
use symphonia::core::packet::Packet;

use super::container::probe;
use super::input::Input;

/// Bytes that a file begins with (RFC 9639, section 8): the magic number, and the header of a STREAMINFO block
/// of 34 bytes, which the highest bit calls the last one or not.
const BEGINNING: usize = 8;

/// One file behind the other.
pub(super) struct FlacFiles<'a> {
    files: Files<'a>,
    reader: Box<dyn FormatReader + 'a>,
}

impl<'a> FlacFiles<'a> {
    /// Of input that begins with a file.
    pub(super) fn new(input: Input<'a>) -> Result<Self> {
        let files = Files(Arc::new(Mutex::new(File {
            input,
            begun: false,
        })));
        let reader = files.read()?;
        Ok(Self { files, reader })
    }
}

impl FormatReader for FlacFiles<'_> {
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
            None if self.files.start_next()? => {
                self.reader = self.files.read()?;
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

/// The input, of which each reader gets a file. Never locked by two at a time.
#[derive(Clone)]
struct Files<'a>(Arc<Mutex<File<'a>>>);

impl<'a> Files<'a> {
    fn read(&self) -> Result<Box<dyn FormatReader + 'a>> {
        probe(Box::new(ReadOnlySource::new(self.clone())))
    }

    /// Whether there is another file, which is then the one that is read.
    fn start_next(&self) -> Result<bool> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = file.input.peek(BEGINNING).map_err(io::Error::other)?;
        let next = begins(there);
        file.begun &= !next;
        Ok(next)
    }
}

impl Read for Files<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.read(buffer)
    }
}

/// What is left of the input, up to the next file.
struct File<'a> {
    input: Input<'a>,
    /// The beginning of this file was read.
    begun: bool,
}

impl Read for File<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.input.peek(BEGINNING).map_err(io::Error::other)?;
        let there = &there[..there.len().min(buffer.len() + BEGINNING)];
        let own = usize::from(!self.begun);
        let next = there.windows(BEGINNING).skip(own).position(begins);
        // The beginning of a next file may be cut by the end of what is there.
        let whole = (there.len() + 1).saturating_sub(BEGINNING);
        let most = match next {
            Some(at) => at + own,
            None if whole == 0 => there.len(),
            None => whole,
        };
        let count = most.min(buffer.len());
        self.begun |= count > 0;
        self.input.read(&mut buffer[..count])
    }
}

fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [b'f', b'L', b'a', b'C', 0 | 0x80, 0, 0, 34, ..])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Stop;
    use super::super::limits::Watch;
    use super::*;

    #[test]
    fn a_source_ends_where_the_next_file_begins() {
        let file = |fill: u8, length: usize| {
            [b"fLaC\0\0\0\x22".as_slice(), &vec![fill; length], b"fLaC"].concat()
        };
        let (one, two) = (file(1, 50), file(2, 0));
        let both = [one.as_slice(), &two].concat();
        for piece in 1..80 {
            let watch = Watch::start(Duration::MAX, Stop::default());
            let mut file = File {
                input: Input::whole(&both, watch),
                begun: false,
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
                file.begun = false;
            }
        }
    }
}
