//! Wave64: WAV whose chunks have 16-byte names and 64-bit sizes, as Sony's editors write it.
//!
//! The chunks are walked here; what they hold is `wav`'s to read.

use super::wav::{Wav, WavFormat};
use super::{AudioError, Job, Recording};

/// Bytes of a chunk's name and size, which its size counts in.
const HEADER: usize = 24;

/// The file's own header and the form's name, which no size follows.
const FIRST_CHUNK: usize = 40;

/// Sizes from here on mean "not known yet": what ffmpeg writes to pipes.
const LIVE: u64 = i64::MAX as u64;

/// Decodes `bytes`, which begin with `riff` and its identifier.
pub(super) fn decode(bytes: &[u8], job: &Job<'_>) -> Result<Recording, AudioError> {
    parse(bytes)?.decode(None, job)
}

fn parse(bytes: &[u8]) -> Result<Wav<'_>, AudioError> {
    let mut format = None;
    let mut rest = bytes.get(FIRST_CHUNK..).unwrap_or_default();
    loop {
        let Some((header, body)) = rest.split_first_chunk::<HEADER>() else {
            return Err(match format {
                Some(_) => AudioError::NoAudio,
                None => AudioError::malformed(format!(
                    "the Wave64 header is cut: {} bytes and no fmt chunk",
                    bytes.len()
                )),
            });
        };
        let [n0, n1, n2, n3, .., s0, s1, s2, s3, s4, s5, s6, s7] = *header;
        let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let Some(size) = size.checked_sub(HEADER as u64) else {
            return Err(AudioError::malformed(format!(
                "a Wave64 chunk says {size} bytes; its header alone has {HEADER}"
            )));
        };
        let within = usize::try_from(size)
            .ok()
            .filter(|&size| size <= body.len());
        let chunk = &body[..within.unwrap_or(body.len())];
        match (&[n0, n1, n2, n3], format) {
            (b"fmt ", _) => format = Some(WavFormat::parse(chunk)?),
            (b"data", Some(format)) => {
                return Ok(Wav {
                    format,
                    data: chunk,
                    short: within.is_none() && size < LIVE - HEADER as u64,
                });
            }
            (b"data", None) => {
                return Err(AudioError::malformed(
                    "the Wave64 file has data before its fmt",
                ));
            }
            _ => {}
        }
        rest = body
            .get(chunk.len().next_multiple_of(8)..)
            .unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], size: u64, body: &[u8]) -> Vec<u8> {
        let rest_of_name = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
        let mut chunk = [&name[..], rest_of_name, &size.to_le_bytes(), body].concat();
        chunk.resize(chunk.len().next_multiple_of(8), 0);
        chunk
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        let riff = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";
        let wave = b"wave\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
        [&riff[..], &[0; 8], wave, &chunks.concat()].concat()
    }

    /// 8 kHz, one channel, 16 bits.
    const FMT: &[u8] = &[1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 16, 0];

    #[test]
    fn chunks_are_walked_to_the_data() {
        let odd = chunk(b"junk", 24 + 3, &[7; 3]);
        let fmt = chunk(b"fmt ", 24 + 16, FMT);
        let cases = [
            ("whole", 24 + 4, false),
            ("cut", 24 + 400, true),
            ("live", i64::MAX as u64, false),
        ];
        for (what, size, short) in cases {
            let bytes = file(&[
                odd.clone(),
                fmt.clone(),
                chunk(b"data", size, &[1, 2, 3, 4]),
            ]);
            let wav = parse(&bytes).unwrap();
            assert_eq!(wav.data[..4], [1, 2, 3, 4], "{what}");
            assert_eq!(wav.short, short, "{what}");
        }
    }

    #[test]
    fn damage_is_named() {
        let fmt = chunk(b"fmt ", 24 + 16, FMT);
        let data = chunk(b"data", 24 + 4, &[0; 4]);
        let cases = [
            (file(&[]), "header is cut: 40 bytes and no fmt"),
            (file(&[])[..20].to_vec(), "header is cut: 20 bytes"),
            (file(std::slice::from_ref(&fmt)), "no audio in it"),
            (file(&[data]), "data before its fmt"),
            (file(&[chunk(b"fmt ", 23, FMT)]), "chunk says 23 bytes"),
        ];
        for (bytes, words) in cases {
            let error = parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
