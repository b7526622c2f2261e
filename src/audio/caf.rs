//! CAF, Apple's Core Audio Format: chunks with 64-bit sizes, of which the first describes the samples.
//!
//! Samples that follow one another are decoded here as they come. Packets (IMA ADPCM, ALAC, AAC) are decoded
//! by `container` once the whole file is there, because their index may be anywhere.

use super::caf_chunks::{CHUNK_HEADER, FILE_HEADER, skip_to_samples, u32_at};
use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::pcm::{PcmDecoder, SampleCoding};
use super::source_checks::{check_channels, check_rate};
use super::{AudioError, Ending, container};

const ORIGIN: &str = "the CAF header";

/// Bytes up to the end of the description: the headers of the file and of the chunk, and the chunk's body.
const HEAD: usize = FILE_HEADER + CHUNK_HEADER + 32;

/// Decodes input that begins with `caff`.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    let caf = CafDescription::read(&mut input)?;
    check_channels(ORIGIN, caf.channels, job.limits.channels)?;
    check_rate(ORIGIN, caf.rate)?;
    let Some(coding) = caf.coding else {
        return container::decode(input, "CAF", job, sink);
    };
    let channels = u16::try_from(caf.channels).unwrap_or(u16::MAX);
    let samples = PcmDecoder::new(ORIGIN, coding, caf.rate, channels, job)?;
    let size = skip_to_samples(&mut input)?;
    samples.read(input, size.unwrap_or(u64::MAX), size.is_some(), sink)
}

/// The description of the samples.
#[derive(Debug)]
pub(super) struct CafDescription {
    /// Hz.
    pub(super) rate: u32,
    pub(super) channels: u32,
    /// The coding of samples that follow one another. Packets have none.
    pub(super) coding: Option<SampleCoding>,
}

impl CafDescription {
    /// Reads the description, which must come first, without consuming it.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, AudioError> {
        let head = input.peek(HEAD)?;
        let Some(head) = head.first_chunk::<HEAD>() else {
            let bytes = head.len();
            return Err(AudioError::malformed(format!(
                "the CAF header is cut: {bytes} of {HEAD} bytes"
            )));
        };
        let (name, desc) = (&head[8..12], &head[FILE_HEADER + CHUNK_HEADER..]);
        if name != b"desc" {
            return Err(AudioError::malformed(format!(
                "the CAF file begins with a '{}' chunk; its description (desc) must come first",
                name.escape_ascii()
            )));
        }
        let field = |at| u32_at(desc, at).unwrap_or(0);
        let rate = f64::from_bits(u64::from(field(0)) << 32 | u64::from(field(4)));
        let (flags, width, channels, bits) = (field(12), field(16), field(24), field(28));
        let width = width.checked_div(channels).unwrap_or(0);
        Ok(Self {
            // The cast saturates and turns NaN into 0, so an impossible rate is refused.
            rate: rate.round() as u32,
            channels,
            coding: match &desc[8..12] {
                b"lpcm" => Some(linear(flags, width, bits)?),
                b"ulaw" => Some(SampleCoding::Mulaw),
                b"alaw" => Some(SampleCoding::Alaw),
                _ => None,
            },
        })
    }
}

/// Returns the coding of linear samples of `bits` bits in `width` bytes.
fn linear(flags: u32, width: u32, bits: u32) -> Result<SampleCoding, AudioError> {
    let width = match width {
        0 => bits.div_ceil(8),
        width => width,
    };
    let (float, little) = (flags & 1 != 0, flags & 2 != 0);
    let coding = match (float, width, bits) {
        (false, 1, 1..=8) => [SampleCoding::S8, SampleCoding::S8],
        (false, 2, 9..=16) => [SampleCoding::S16Be, SampleCoding::S16],
        (false, 3, 17..=24) => [SampleCoding::S24Be, SampleCoding::S24],
        (false, 4, 25..=32) => [SampleCoding::S32Be, SampleCoding::S32],
        (true, 4, 32) => [SampleCoding::F32Be, SampleCoding::F32],
        (true, 8, 64) => [SampleCoding::F64Be, SampleCoding::F64],
        _ => {
            let kind = if float { "float" } else { "integer" };
            return Err(AudioError::Unsupported {
                codec: format!("CAF with {kind} samples of {bits} bits in {width} bytes"),
            });
        }
    };
    Ok(coding[usize::from(little)])
}

#[cfg(test)]
mod tests {
    use super::super::{Encoding, LaneChoice, Limits, Recording, decode};
    use super::*;

    fn chunk(name: &[u8; 4], size: i64, body: &[u8]) -> Vec<u8> {
        [&name[..], &size.to_be_bytes(), body].concat()
    }

    fn desc(rate: f64, codec: &[u8; 4], flags: u32, width: u32, bits: u32) -> Vec<u8> {
        let numbers = [flags, width, 1, 1, bits].map(u32::to_be_bytes).concat();
        let body = [&rate.to_be_bytes()[..], codec, &numbers].concat();
        chunk(b"desc", 32, &body)
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"caff\0\x01\0\0".to_vec(), chunks.concat()].concat()
    }

    fn decoded(bytes: &[u8]) -> Result<Recording, AudioError> {
        decode(bytes, Encoding::Auto, LaneChoice::Auto, &Limits::default())
    }

    #[test]
    fn data_with_any_claimed_size_decode() {
        let sound = [0, 0, 0, 0].into_iter().chain([0xd0; 800]);
        let sound: Vec<u8> = sound.collect();
        let desc = desc(8_000.0, b"ulaw", 0, 1, 8);
        let info = chunk(b"info", 3, b"abc");
        for (size, truncated) in [(804, false), (-1, false), (0, false), (900, true)] {
            let bytes = file(&[desc.clone(), info.clone(), chunk(b"data", size, &sound)]);
            let recording = decoded(&bytes).unwrap();
            assert_eq!((recording.seconds(), recording.truncated), (0.1, truncated));
        }
    }

    #[test]
    fn every_kind_of_linear_sample_decodes_or_is_named() {
        let data = chunk(b"data", 804, &[0; 804]);
        for (flags, width, bits, name) in [
            (0, 1, 8, "pcm_s8"),
            (0, 2, 16, "pcm_s16be"),
            (2, 2, 16, "pcm_s16le"),
            (2, 3, 24, "pcm_s24le"),
            (0, 4, 32, "pcm_s32be"),
            (1, 4, 32, "pcm_f32be"),
            (3, 8, 64, "pcm_f64le"),
        ] {
            let bytes = file(&[desc(8e3, b"lpcm", flags, width, bits), data.clone()]);
            assert_eq!(decoded(&bytes).unwrap().source.codec, name);
        }
        let odd = decoded(&file(&[desc(8e3, b"lpcm", 1, 2, 16), data])).unwrap_err();
        assert!(
            odd.to_string()
                .contains("float samples of 16 bits in 2 bytes"),
            "{odd}"
        );
    }

    #[test]
    fn damage_is_named() {
        let fine = || desc(8e3, b"alaw", 0, 1, 8);
        let cases = [
            (b"caff\0\x01\0\0".to_vec(), "header is cut: 8 of 52 bytes"),
            (
                file(&[chunk(b"free", 99, &[0; 99])]),
                "begins with a 'free' chunk",
            ),
            (file(&[fine()]), "no audio in it"),
            (
                file(&[fine(), chunk(b"info", -5, &[0; 9])]),
                "claims -5 bytes",
            ),
            (file(&[desc(f64::NAN, b"alaw", 0, 1, 8)]), "claims 0 Hz"),
            (
                file(&[desc(1e300, b"alaw", 0, 1, 8)]),
                "claims 4294967295 Hz",
            ),
        ];
        for (bytes, words) in cases {
            let error = decoded(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
