//! A file that is read while it is decoded, so that it is never all in memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::audio::{self, Encoding, Estimate, SAMPLE_RATE};

/// Bytes at the start of a file from which its format and length are estimated, and bytes read at a time.
const HEAD: usize = 64 << 10;

/// A recording in a file, a pipe or a device. It is read once, from its current position.
#[derive(Debug)]
pub struct AudioFile {
    file: File,
    /// The first bytes, which are already read.
    head: Vec<u8>,
    /// Size of the file in bytes; 0 if it is not known.
    size: u64,
    decoded: DecodeProgress,
}

/// How much of a recording is decoded, for a progress display. Clones report the same recording.
#[derive(Clone, Debug, Default)]
pub struct DecodeProgress(Arc<AtomicU64>);

impl DecodeProgress {
    /// Returns the seconds of audio that are decoded.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / f64::from(SAMPLE_RATE)
    }

    pub(super) fn set_samples(&self, samples: usize) {
        self.0.store(samples as u64, Ordering::Relaxed);
    }
}

impl AudioFile {
    /// Opens a file and reads its first bytes. `decoded` is updated while the file is decoded.
    ///
    /// # Errors
    /// The system's error.
    pub fn open(path: &Path, decoded: DecodeProgress) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut head = Vec::new();
        (&file).take(HEAD as u64).read_to_end(&mut head)?;
        Ok(Self {
            size: if metadata.is_file() {
                metadata.len()
            } else {
                0
            },
            file,
            head,
            decoded,
        })
    }

    /// Estimates the length of the recording.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let whole = audio::estimate(&self.head, Encoding::Auto);
        let beyond = self.size.saturating_sub(self.head.len() as u64);
        if beyond == 0 {
            return whole;
        }
        // If the header states the length, both estimates are equal. Otherwise the length grows with the bytes.
        let half = audio::estimate(&self.head[..self.head.len() / 2], Encoding::Auto);
        let seconds_per_byte = (whole.seconds - half.seconds) / (self.head.len() / 2) as f64;
        Estimate {
            seconds: whole.seconds + seconds_per_byte.max(0.0) * beyond as f64,
            exact: false,
            ..whole
        }
    }

    pub(super) fn decoded(&self) -> &DecodeProgress {
        &self.decoded
    }

    /// Passes all bytes to `receive`, block by block.
    pub(super) fn read<E: From<io::Error>>(
        &self,
        mut receive: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        receive(&self.head)?;
        let mut block = vec![0; HEAD];
        loop {
            match (&self.file).read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(count) => receive(&block[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn the_length_of_a_large_file_is_estimated_from_its_head_and_its_size() {
        let mut wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\xff\xff\xff\xff".to_vec();
        wav.resize(wav.len() + 32_000 * 60, 0);
        let mut flac = include_bytes!("../../tests/audio/book.flac").to_vec();
        flac.resize(2 * HEAD, 0);
        let mp3 = [&b"\xff\xfb\x50\xc0"[..], &[0; 8_000 * 60 - 4]].concat();
        for (bytes, seconds) in [(wav, 60.0), (flac, 6.0), (mp3, 60.0)] {
            let file = file(&bytes);
            let opened = AudioFile::open(file.path(), DecodeProgress::default()).unwrap();
            let estimate = opened.estimate().seconds;
            assert!((estimate - seconds).abs() < 0.01, "{estimate}");
        }
    }

    #[test]
    fn every_byte_is_passed_on_once() {
        let bytes: Vec<u8> = (0..3 * HEAD + 5).map(|i| i as u8).collect();
        for length in [0, 1, HEAD, HEAD + 1, bytes.len()] {
            let file = file(&bytes[..length]);
            let opened = AudioFile::open(file.path(), DecodeProgress::default()).unwrap();
            let mut received = Vec::new();
            let read = opened.read(|block| {
                received.extend_from_slice(block);
                Ok::<_, io::Error>(())
            });
            read.unwrap();
            assert_eq!(received, bytes[..length]);
        }
    }
}
