//! CAF, Apple's Core Audio Format: chunks of 64-bit sizes, the first of which describes the samples.
//!
//! Samples that stand one after the other are read here as they come. Packets (IMA ADPCM, ALAC, AAC)
//! go on to `container`, once all of the file is there: their index stands anywhere.

use super::input::Input;
use super::pcm::{Coding, Pcm};
use super::{AudioError, Ending, Job, Sink, container};

const ORIGIN: &str = "the CAF header";

/// Bytes up to the end of the description: the file's own header, a chunk's, and its body.
const HEAD: usize = 8 + CHUNK + 32;

/// Bytes of a chunk's type and size.
const CHUNK: usize = 12;

/// The size of data that end with the file, which only they may have.
const ENDLESS: i64 = -1;

/// Decodes input that begins with `caff`.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    let caf = Caf::read(&mut input)?;
    super::lanes::check_channels(ORIGIN, caf.channels, job.limits.channels)?;
    super::lanes::check_rate(ORIGIN, caf.rate)?;
    let Some(coding) = caf.coding else {
        return container::decode(input, "CAF", job, sink);
    };
    let channels = u16::try_from(caf.channels).unwrap_or(u16::MAX);
    let samples = Pcm::new(ORIGIN, coding, caf.rate, channels, job)?;
    let size = data(&mut input)?;
    samples.read(input, size.unwrap_or(u64::MAX), size.is_some(), sink)
}

/// What the description says.
#[derive(Debug)]
pub(super) struct Caf {
    pub(super) rate: u32,
    pub(super) channels: u32,
    /// How samples are written that stand one after the other; packets have none.
    pub(super) coding: Option<Coding>,
}

impl Caf {
    /// Looks at the description, which the format puts first.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, AudioError> {
        let head = input.peek(HEAD)?;
        let Some(head) = head.first_chunk::<HEAD>() else {
            let bytes = head.len();
            return Err(AudioError::malformed(format!(
                "the CAF header is cut: {bytes} of {HEAD} bytes"
            )));
        };
        let (name, desc) = (&head[8..12], &head[8 + CHUNK..]);
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
            // Saturates, and NaN is 0, so that what is no rate is refused.
            rate: rate.round() as u32,
            channels,
            coding: match &desc[8..12] {
                b"lpcm" => Some(linear(flags, width, bits)?),
                b"ulaw" => Some(Coding::Mulaw),
                b"alaw" => Some(Coding::Alaw),
                _ => None,
            },
        })
    }
}

/// Takes everything before the samples; gives how many bytes they have, if that is known.
pub(super) fn data(input: &mut Input<'_>) -> Result<Option<u64>, AudioError> {
    input.skip(8)?;
    loop {
        let head = input.peek(CHUNK + 4)?;
        let (Some(name), Some(size)) = (head.get(..4), i64_at(head, 4)) else {
            return Err(AudioError::NoAudio);
        };
        let is_data = name == b"data";
        input.skip(CHUNK as u64)?;
        match u64::try_from(size) {
            // In front of the samples stands a count of edits. Less than that was never filled in.
            Ok(size) if is_data => {
                input.skip(4)?;
                return Ok(size.checked_sub(4).filter(|&size| size > 0));
            }
            Err(_) if is_data && size == ENDLESS => {
                input.skip(4)?;
                return Ok(None);
            }
            Ok(size) => {
                input.skip(size)?;
            }
            Err(_) => {
                return Err(AudioError::malformed(format!(
                    "a CAF chunk says {size} bytes"
                )));
            }
        }
    }
}

/// What is to be changed in a file of packets that does not end where its chunks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Where the size of the data stands, and what it is: whole packets.
    at: usize,
    size: u64,
    /// Something is missing.
    pub(super) cut: bool,
}

impl End {
    /// Nothing is to be changed in `bytes` if there is none.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let packet = u32_at(bytes, 8 + CHUNK + 16).map_or(1, |bytes| u64::from(bytes.max(1)));
        let mut at = 8;
        loop {
            let size = i64_at(bytes, at + 4)?;
            let there = (bytes.len() - at - CHUNK) as u64;
            let endless = size == ENDLESS;
            let claimed = u64::try_from(size).ok();
            if claimed.is_some_and(|size| size <= there) {
                at += CHUNK + usize::try_from(size).ok()?;
                continue;
            }
            let is_data = bytes[at..].starts_with(b"data");
            let (samples, edits) = (there.saturating_sub(4), there.min(4));
            let over = samples % packet;
            return (is_data && (endless || claimed.is_some())).then_some(Self {
                at: at + 4,
                size: edits + samples - over,
                cut: !endless || over > 0,
            });
        }
    }

    /// Gives the data the size that they have, as symphonia wants it, and ends the file behind them.
    pub(super) fn mend(self, bytes: &mut Vec<u8>) {
        if let Some(size) = bytes.get_mut(self.at..self.at + 8) {
            size.copy_from_slice(&self.size.to_be_bytes());
        }
        let end = usize::try_from(self.size).map_or(usize::MAX, |size| self.at + 8 + size);
        bytes.truncate(end);
    }
}

fn linear(flags: u32, width: u32, bits: u32) -> Result<Coding, AudioError> {
    let width = match width {
        0 => bits.div_ceil(8),
        width => width,
    };
    let (float, little) = (flags & 1 != 0, flags & 2 != 0);
    let coding = match (float, width, bits) {
        (false, 1, 1..=8) => [Coding::S8, Coding::S8],
        (false, 2, 9..=16) => [Coding::S16Be, Coding::S16],
        (false, 3, 17..=24) => [Coding::S24Be, Coding::S24],
        (false, 4, 25..=32) => [Coding::S32Be, Coding::S32],
        (true, 4, 32) => [Coding::F32Be, Coding::F32],
        (true, 8, 64) => [Coding::F64Be, Coding::F64],
        _ => {
            let kind = if float { "float" } else { "integer" };
            return Err(AudioError::Unsupported {
                codec: format!("CAF with {kind} samples of {bits} bits in {width} bytes"),
            });
        }
    };
    Ok(coding[usize::from(little)])
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk();
    bytes.copied().map(u32::from_be_bytes)
}

fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..)?.first_chunk();
    bytes.copied().map(i64::from_be_bytes)
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
    fn data_of_any_claimed_size_give_their_samples() {
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
    fn every_kind_of_linear_sample_is_read_or_named() {
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
                "says -5 bytes",
            ),
            (file(&[desc(f64::NAN, b"alaw", 0, 1, 8)]), "says 0 Hz"),
            (file(&[desc(1e300, b"alaw", 0, 1, 8)]), "says 4294967295 Hz"),
        ];
        for (bytes, words) in cases {
            let error = decoded(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }

    #[test]
    fn packets_end_where_the_file_does() {
        let desc = desc(8e3, b"ima4", 0, 34, 0);
        let whole = file(&[desc.clone(), chunk(b"data", 4 + 68, &[7; 72])]);
        assert_eq!(End::of(&whole), None);
        for (size, there, cut) in [
            (-1, 72, false),
            (-1, 80, true),
            (900, 72, true),
            (900, 105, true),
        ] {
            let mut bytes = file(&[desc.clone(), chunk(b"data", size, &vec![7; there])]);
            let end = End::of(&bytes).unwrap();
            end.mend(&mut bytes);
            assert_eq!((end.cut, bytes), (cut, whole.clone()));
        }
        assert_eq!(End::of(&file(&[desc, chunk(b"pakt", 99, &[7; 9])])), None);
        assert_eq!(End::of(b"caff"), None);
    }
}
