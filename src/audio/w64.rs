//! Wave64, the variant of WAV that Sony's editors write: chunks have 16-byte names and 64-bit sizes.
//!
//! The chunks are found here. `wav` reads their contents.

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::wav::{FORMAT, WavFormat, WavHeader};
use super::{AudioError, Ending};

/// Bytes of a chunk's name and size. The size includes them.
const HEADER: usize = 24;

/// Bytes of the file's own header and the form's name, which has no size.
const FIRST_CHUNK: u64 = 40;

/// Sizes of this or more mean "not known yet": the value that ffmpeg writes to pipes.
const UNKNOWN_SIZE: u64 = i64::MAX as u64;

/// Decodes input that begins with `riff` and its identifier.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    read(&mut input)?.decode(input, "Wave64", job, sink)
}

/// Reads everything before the data.
pub(super) fn read(input: &mut Input<'_>) -> Result<WavHeader, AudioError> {
    let start = input.position();
    input.skip(FIRST_CHUNK)?;
    let mut format = None;
    loop {
        let at = input.position() - start;
        let head = input.peek(HEADER)?;
        let Some(header) = head.first_chunk::<HEADER>() else {
            let bytes = at + head.len() as u64;
            return Err(match format {
                Some(_) => AudioError::NoAudio,
                None => AudioError::malformed(format!(
                    "the Wave64 header is cut: {bytes} bytes and no fmt chunk"
                )),
            });
        };
        let [n0, n1, n2, n3, .., s0, s1, s2, s3, s4, s5, s6, s7] = *header;
        let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let is_data = header.starts_with(b"data");
        // The size was written before the audio and never corrected.
        let unfinished = is_data && size <= HEADER as u64;
        let Some(size) = size.checked_sub(HEADER as u64).or(unfinished.then_some(0)) else {
            return Err(AudioError::malformed(format!(
                "a Wave64 chunk claims {size} bytes; its header alone has {HEADER}"
            )));
        };
        input.skip(HEADER as u64)?;
        match &[n0, n1, n2, n3] {
            b"fmt " => {
                let most = usize::try_from(size).map_or(FORMAT, |size| size.min(FORMAT));
                let body = input.peek(most)?;
                let body = body[..body.len().min(most)].to_vec();
                format = Some((WavFormat::parse(&body)?, body));
            }
            b"data" => {
                let Some((format, body)) = format else {
                    return Err(AudioError::malformed(
                        "the Wave64 file has data before its fmt",
                    ));
                };
                return Ok(WavHeader {
                    format,
                    body,
                    size: (!unfinished).then_some(size),
                    size_is_reliable: !unfinished && size < UNKNOWN_SIZE - HEADER as u64,
                });
            }
            _ => {}
        }
        input.skip(size.checked_next_multiple_of(8).unwrap_or(u64::MAX))?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Stop;
    use super::super::timer::DecodeTimer;
    use super::*;

    /// Returns the header, and the bytes that follow it.
    fn read(bytes: &[u8]) -> Result<(WavHeader, Vec<u8>), AudioError> {
        let timer = DecodeTimer::start(Duration::MAX, Stop::default());
        let mut input = Input::whole(bytes, timer);
        let wav = super::read(&mut input)?;
        Ok((wav, input.fill()?.to_vec()))
    }

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
    fn chunks_before_the_data_are_skipped() {
        let odd = chunk(b"junk", 24 + 3, &[7; 3]);
        let fmt = chunk(b"fmt ", 24 + 16, FMT);
        let cases = [
            ("whole", 24 + 4, true),
            ("cut", 24 + 400, true),
            ("live", i64::MAX as u64, false),
            ("never finished", 24, false),
            ("never begun", 0, false),
        ];
        for (what, size, size_is_reliable) in cases {
            let bytes = file(&[
                odd.clone(),
                fmt.clone(),
                chunk(b"data", size, &[1, 2, 3, 4]),
            ]);
            let (wav, rest) = read(&bytes).unwrap();
            assert_eq!(rest[..4], [1, 2, 3, 4], "{what}");
            let known = (size > 24).then(|| size - 24);
            assert_eq!(
                (wav.size, wav.size_is_reliable),
                (known, size_is_reliable),
                "{what}"
            );
        }
    }

    #[test]
    fn each_damage_has_its_own_error() {
        let fmt = chunk(b"fmt ", 24 + 16, FMT);
        let data = chunk(b"data", 24 + 4, &[0; 4]);
        let cases = [
            (file(&[]), "header is cut: 40 bytes and no fmt"),
            (file(&[])[..20].to_vec(), "header is cut: 20 bytes"),
            (file(std::slice::from_ref(&fmt)), "no audio in it"),
            (file(&[data]), "data before its fmt"),
            (file(&[chunk(b"fmt ", 23, FMT)]), "chunk claims 23 bytes"),
        ];
        for (bytes, words) in cases {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
