//! AIFF and AIFF-C (Audio Interchange File Format 1.3, sections 4 and 5): chunks with big-endian sizes, one of which
//! contains the samples.
//!
//! The chunks are read here, because symphonia refuses a chunk that is longer than the size in the file's header.
//! Only the sizes of the chunks matter here. The size of the file is ignored. IMA ADPCM is decoded by `container`,
//! after its header is replaced by one of CAF.

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::layout::IMA_IN_AIFF;
use super::pcm::{PcmDecoder, SampleCoding};
use super::source_checks::{check_channels, check_rate};
use super::{AudioError, Ending, container};

const ORIGIN: &str = "the AIFF header";

/// Bytes read of a COMM chunk: 18, and the codec's name in AIFF-C.
const COMM: usize = 22;

/// Sizes of this or more mean "not known yet": 0xFFFFFFFF, and the value that sox writes to pipes.
const UNKNOWN_SIZE: u32 = 0x7fff_0000;

/// Decodes input that begins with FORM and AIFF or AIFC.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    match AiffHeader::read(&mut input)? {
        AiffLayout::HeaderFirst(aiff) => aiff.decode(input, job, sink),
        AiffLayout::SamplesFirst => {
            // The samples come first. They are held until the chunk that describes them has arrived.
            let held = input.hold(job.limits.held_bytes)?;
            let bytes = held.bytes();
            let (aiff, data) = find_header_after(bytes)?;
            let data = Input::whole(data, job.timer.clone());
            Ok(Ending {
                held: true,
                ..aiff.decode(data, job, sink)?
            })
        }
    }
}

/// The order of the samples and their description.
pub(super) enum AiffLayout {
    /// The description comes first. The input is at the samples now.
    HeaderFirst(AiffHeader),
    /// The samples come first. The input is at their chunk now.
    SamplesFirst,
}

/// The contents of the COMM chunk and of the header of the samples.
#[derive(Debug)]
pub(super) struct AiffHeader {
    coding: AiffCoding,
    /// Hz.
    pub(super) rate: u32,
    pub(super) channels: u16,
    /// Bytes of samples, if the writer knew them.
    pub(super) size: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AiffCoding {
    /// Samples that follow one another.
    Plain(SampleCoding),
    /// IMA ADPCM.
    Ima,
}

impl AiffHeader {
    /// Reads everything before the samples.
    pub(super) fn read(input: &mut Input<'_>) -> Result<AiffLayout, AudioError> {
        input.skip(12)?;
        let mut described = None;
        loop {
            let head = input.peek(8)?;
            let Some((name, size)) = chunk(head) else {
                return Err(match described {
                    Some(_) => AudioError::NoAudio,
                    None => AudioError::malformed("the AIFF header is cut: no COMM chunk"),
                });
            };
            match &name {
                b"COMM" => {
                    input.skip(8)?;
                    let most = COMM.min(size as usize);
                    let body = input.peek(most)?;
                    described = Some(Self::parse(&body[..body.len().min(most)])?);
                    input.skip(u64::from(size) + u64::from(size % 2))?;
                }
                b"SSND" => {
                    let Some(mut aiff) = described else {
                        return Ok(AiffLayout::SamplesFirst);
                    };
                    aiff.size = read_samples_header(input, size)?;
                    return Ok(AiffLayout::HeaderFirst(aiff));
                }
                _ => {
                    input.skip(8 + u64::from(size) + u64::from(size % 2))?;
                }
            }
        }
    }

    fn parse(body: &[u8]) -> Result<Self, AudioError> {
        let &[
            c0,
            c1,
            _,
            _,
            _,
            _,
            b0,
            b1,
            e0,
            e1,
            m0,
            m1,
            m2,
            m3,
            m4,
            m5,
            m6,
            m7,
            ref codec @ ..,
        ] = body
        else {
            let bytes = body.len();
            return Err(AudioError::malformed(format!(
                "the AIFF COMM chunk has only {bytes} bytes"
            )));
        };
        let mantissa = u64::from_be_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
        Ok(Self {
            coding: coding(codec.first_chunk(), u16::from_be_bytes([b0, b1]))?,
            rate: rate(u16::from_be_bytes([e0, e1]), mantissa),
            channels: u16::from_be_bytes([c0, c1]),
            size: None,
        })
    }

    /// Returns the coding of samples that follow one another. `None` for IMA ADPCM.
    pub(super) fn plain(&self) -> Option<SampleCoding> {
        match self.coding {
            AiffCoding::Plain(coding) => Some(coding),
            AiffCoding::Ima => None,
        }
    }

    fn decode(
        &self,
        mut input: Input<'_>,
        job: &DecodeJob,
        sink: LaneSink<'_>,
    ) -> Result<Ending, AudioError> {
        check_channels(ORIGIN, u32::from(self.channels), job.limits.channels)?;
        check_rate(ORIGIN, self.rate)?;
        let most = self.size.unwrap_or(u64::MAX);
        match self.coding {
            AiffCoding::Plain(coding) => {
                let samples = PcmDecoder::new(ORIGIN, coding, self.rate, self.channels, job)?;
                samples.read(input, most, self.size.is_some(), sink)
            }
            AiffCoding::Ima => {
                input.end_after(most);
                input.put_back(&self.caf_header());
                let sized = self.size.is_some();
                container::decode_sized(input, IMA_IN_AIFF, sized, job, sink)
            }
        }
    }

    /// Returns the header of a CAF file with the same packets, because symphonia reads them only in CAF.
    fn caf_header(&self) -> Vec<u8> {
        let channels = u32::from(self.channels);
        let numbers = [0, 34 * channels, 64, channels, 0];
        let size = self.size.and_then(|size| i64::try_from(size + 4).ok());
        let mut header = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
        header.extend(f64::from(self.rate).to_be_bytes());
        header.extend(b"ima4");
        header.extend(numbers.map(u32::to_be_bytes).as_flattened());
        header.extend(b"data");
        header.extend(size.unwrap_or(-1).to_be_bytes());
        header.extend([0; 4]);
        header
    }
}

/// Reads the header of the samples, in a chunk of `size` bytes. Returns the bytes of the samples, if known.
fn read_samples_header(input: &mut Input<'_>, size: u32) -> Result<Option<u64>, AudioError> {
    let offset = input.peek(12)?.get(8..12).and_then(<[u8]>::first_chunk);
    let offset = offset.copied().map_or(0, u32::from_be_bytes);
    input.skip(16 + u64::from(offset))?;
    // A size that was written before the audio and never corrected is 0, or the eight bytes before the audio.
    let is_known = (9..UNKNOWN_SIZE).contains(&size);
    Ok(is_known.then(|| u64::from(size - 8).saturating_sub(u64::from(offset))))
}

/// Returns the description and the samples of a file. `bytes` begin with the chunk of the samples.
fn find_header_after(bytes: &[u8]) -> Result<(AiffHeader, &[u8]), AudioError> {
    let missing = || AudioError::malformed("this AIFF has no COMM chunk, or was cut before it");
    let (_, size) = chunk(bytes).ok_or_else(missing)?;
    let mut at = 0;
    let mut aiff = loop {
        let rest = bytes.get(at..).ok_or_else(missing)?;
        let (name, size) = chunk(rest).ok_or_else(missing)?;
        if &name == b"COMM" {
            let body = &rest[8..];
            break AiffHeader::parse(&body[..body.len().min(COMM).min(size as usize)])?;
        }
        at = at.saturating_add(8 + size as usize + size as usize % 2);
    };
    let offset = bytes.get(8..12).and_then(<[u8]>::first_chunk).copied();
    let offset = offset.map_or(0, u32::from_be_bytes);
    let data = bytes.get(16_usize.saturating_add(offset as usize)..);
    aiff.size = Some(u64::from(size.saturating_sub(8).saturating_sub(offset)));
    Ok((aiff, data.unwrap_or_default()))
}

/// Returns the name and size of the chunk at the start of `bytes`.
fn chunk(bytes: &[u8]) -> Option<([u8; 4], u32)> {
    let (name, rest) = bytes.split_first_chunk()?;
    let size = rest.first_chunk().copied().map(u32::from_be_bytes)?;
    Some((*name, size))
}

/// Returns the rate in Hz from an 80-bit float, rounded. 0 if it is not a rate.
fn rate(exponent: u16, mantissa: u64) -> u32 {
    let exponent = i32::from(exponent & 0x7fff) - 16_383 - 63;
    let rate = mantissa as f64 * 2_f64.powi(exponent);
    // The cast saturates, so a rate that does not fit is refused as too high.
    rate.round() as u32
}

/// Returns the coding of samples of `bits` bits with the codec of AIFF-C. AIFF has no codec field.
fn coding(codec: Option<&[u8; 4]>, bits: u16) -> Result<AiffCoding, AudioError> {
    let integer = |codings: [SampleCoding; 4]| match bits {
        1..=32 => Some(codings[usize::from(bits - 1) / 8]),
        _ => None,
    };
    let big = [
        SampleCoding::S8,
        SampleCoding::S16Be,
        SampleCoding::S24Be,
        SampleCoding::S32Be,
    ];
    let little = [
        SampleCoding::S8,
        SampleCoding::S16,
        SampleCoding::S24,
        SampleCoding::S32,
    ];
    let coding = match codec {
        None | Some(b"NONE" | b"twos") => integer(big),
        Some(b"sowt") => integer(little),
        Some(b"raw ") if bits == 8 => Some(SampleCoding::U8),
        Some(b"in24") => Some(SampleCoding::S24Be),
        Some(b"in32") => Some(SampleCoding::S32Be),
        Some(b"42ni") => Some(SampleCoding::S24),
        Some(b"23ni") => Some(SampleCoding::S32),
        Some(b"fl32" | b"FL32") => Some(SampleCoding::F32Be),
        Some(b"fl64" | b"FL64") => Some(SampleCoding::F64Be),
        Some(b"ulaw" | b"ULAW") => Some(SampleCoding::Mulaw),
        Some(b"alaw" | b"ALAW") => Some(SampleCoding::Alaw),
        Some(b"ima4") => return Ok(AiffCoding::Ima),
        Some(codec) => {
            let name = match codec {
                b"MAC3" | b"MAC6" => "MACE in AIFF".into(),
                b"QDMC" | b"QDM2" => "QDesign Music in AIFF".into(),
                b"GSM " | b"agsm" => "GSM 6.10 in AIFF".into(),
                b"Qclp" | b"QCLP" => "QCELP in AIFF".into(),
                codec => format!("AIFF codec '{}'", codec.escape_ascii()),
            };
            return Err(AudioError::Unsupported { codec: name });
        }
    };
    coding
        .map(AiffCoding::Plain)
        .ok_or_else(|| AudioError::Unsupported {
            codec: format!("AIFF with {bits}-bit samples"),
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::timer::DecodeTimer;
    use super::super::{Encoding, LaneChoice, Limits, Recording, Stop, decode};
    use super::*;

    /// 8 kHz, one channel.
    fn comm(bits: u8, codec: &[u8]) -> Vec<u8> {
        let rate = b"\x40\x0b\xfa\0\0\0\0\0\0\0";
        let body = [&[0, 1, 0, 0, 0, 4, 0, bits][..], rate, codec].concat();
        [b"COMM", &(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    fn ssnd(size: u32, data: &[u8]) -> Vec<u8> {
        [b"SSND", &size.to_be_bytes()[..], &[0; 8], data].concat()
    }

    fn file(form: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"FORM\0\0\0\x04", &form[..], &chunks.concat()].concat()
    }

    fn decoded(bytes: &[u8]) -> Result<Recording, AudioError> {
        decode(bytes, Encoding::Auto, LaneChoice::Auto, &Limits::default())
    }

    #[test]
    fn every_order_of_chunks_and_every_size_decodes() {
        let sound = [0x40, 0, 0x20, 0, 0x10, 0, 0x08, 0].repeat(100);
        let (comm, size) = (comm(16, b""), 8 + 800);
        let odd = b"NAME\0\0\0\x03abc\0".to_vec();
        let whole = decoded(&file(b"AIFF", &[comm.clone(), ssnd(size, &sound)])).unwrap();
        assert_eq!(whole.lanes[0].len(), 800);
        assert!(!whole.truncated);
        let tail = b"ANNO\xff\xff\xff\0".to_vec();
        for (chunks, truncated) in [
            (vec![odd.clone(), comm.clone(), ssnd(size, &sound)], false),
            (vec![ssnd(size, &sound), odd, comm.clone()], false),
            (vec![comm.clone(), ssnd(0, &sound)], false),
            (vec![comm.clone(), ssnd(8, &sound)], false),
            (vec![comm.clone(), ssnd(u32::MAX, &sound)], false),
            (vec![comm.clone(), ssnd(size, &sound), tail], false),
            (vec![comm.clone(), ssnd(size + 2, &sound)], true),
        ] {
            let recording = decoded(&file(b"AIFF", &chunks)).unwrap();
            assert_eq!(recording.truncated, truncated);
            assert_eq!(recording.lanes, whole.lanes);
        }
    }

    #[test]
    fn every_codec_of_aiff_c_decodes_or_is_named() {
        for (codec, bits, name) in [
            (b"NONE", 16, "pcm_s16be"),
            (b"twos", 24, "pcm_s24be"),
            (b"sowt", 16, "pcm_s16le"),
            (b"raw ", 8, "pcm_u8"),
            (b"fl32", 32, "pcm_f32be"),
            (b"FL64", 64, "pcm_f64be"),
            (b"23ni", 32, "pcm_s32le"),
            (b"ulaw", 16, "pcm_mulaw"),
            (b"ALAW", 16, "pcm_alaw"),
        ] {
            let bytes = file(b"AIFC", &[comm(bits, codec), ssnd(8 + 160, &[0; 160])]);
            assert_eq!(decoded(&bytes).unwrap().source.codec, name);
        }
        for (codec, words) in [
            (b"MAC3", "MACE in AIFF is not supported"),
            (b"\0\xffxy", "codec '\\x00\\xffxy' is not supported"),
        ] {
            let error = decoded(&file(b"AIFC", &[comm(16, codec)])).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn damage_is_named() {
        let cases = [
            (file(b"AIFF", &[]), "no COMM chunk"),
            (file(b"AIFF", &[comm(16, b"")]), "no audio in it"),
            (
                file(b"AIFF", &[comm(16, b"")[..20].to_vec()]),
                "only 12 bytes",
            ),
            (
                file(b"AIFF", &[ssnd(12, &[0; 4])]),
                "no COMM chunk, or was cut",
            ),
            (file(b"AIFF", &[comm(33, b"")]), "33-bit samples"),
        ];
        for (bytes, words) in cases {
            let error = decoded(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }

    #[test]
    fn rates_are_rounded_and_bounded() {
        for (exponent, mantissa, hertz) in [
            (0x400b, 0xfa00_u64 << 48, 8_000),
            (0x400e, 0xac44_u64 << 48, 44_100),
            (0x7fff, u64::MAX, u32::MAX),
            (0, 0, 0),
        ] {
            assert_eq!(rate(exponent, mantissa), hertz);
        }
        let timer = DecodeTimer::start(Duration::MAX, Stop::default());
        let bytes = file(b"AIFF", &[comm(16, b""), ssnd(8 + 4, &[0; 4])]);
        let mut input = Input::whole(&bytes, timer);
        assert!(
            matches!(AiffHeader::read(&mut input), Ok(AiffLayout::HeaderFirst(aiff)) if aiff.rate == 8_000)
        );
    }
}
