//! AU, the audio format of Sun and NeXT: six big-endian numbers, then samples.

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::pcm::{PcmDecoder, SampleCoding};
use super::{AudioError, Ending};

const ORIGIN: &str = "the AU header";

/// Bytes of the six numbers.
const HEADER: usize = 24;

/// Sizes that mean "not known yet": the value that the format defines, and a field that was never filled in.
const UNKNOWN_SIZES: [u32; 2] = [u32::MAX, 0];

/// Decodes input that begins with `.snd`.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    let AuHeader {
        coding,
        rate,
        channels,
        size,
    } = AuHeader::read(&mut input)?;
    let samples = PcmDecoder::new(ORIGIN, coding, rate, channels, job)?;
    samples.read(input, size.unwrap_or(u64::MAX), size.is_some(), sink)
}

/// The contents of the header.
#[derive(Debug)]
pub(super) struct AuHeader {
    pub(super) coding: SampleCoding,
    /// Hz.
    pub(super) rate: u32,
    pub(super) channels: u16,
    /// Bytes of samples, if the writer knew them.
    pub(super) size: Option<u64>,
}

impl AuHeader {
    /// Reads everything before the samples.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, AudioError> {
        let head = input.peek(HEADER)?;
        let (fields, _) = head.as_chunks::<4>();
        let &[_, start, size, encoding, rate, channels, ..] = fields else {
            let length = head.len();
            return Err(AudioError::malformed(format!(
                "the AU header is cut: {length} of {HEADER} bytes"
            )));
        };
        let [start, size, encoding, rate, channels] =
            [start, size, encoding, rate, channels].map(u32::from_be_bytes);
        input.skip(u64::from(start))?;
        Ok(Self {
            coding: coding(encoding)?,
            rate,
            // A count that does not fit is refused as too many, like any large count.
            channels: u16::try_from(channels).unwrap_or(u16::MAX),
            size: (!UNKNOWN_SIZES.contains(&size)).then_some(u64::from(size)),
        })
    }
}

/// Returns the coding of samples by the number in the header.
fn coding(encoding: u32) -> Result<SampleCoding, AudioError> {
    let refused = match encoding {
        1 => return Ok(SampleCoding::Mulaw),
        2 => return Ok(SampleCoding::S8),
        3 => return Ok(SampleCoding::S16Be),
        4 => return Ok(SampleCoding::S24Be),
        5 => return Ok(SampleCoding::S32Be),
        6 => return Ok(SampleCoding::F32Be),
        7 => return Ok(SampleCoding::F64Be),
        27 => return Ok(SampleCoding::Alaw),
        23 => "G.721 in AU".into(),
        24 => "G.722 in AU".into(),
        25 | 26 => "G.723 in AU".into(),
        _ => format!("AU encoding {encoding}"),
    };
    Err(AudioError::Unsupported { codec: refused })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Stop;
    use super::super::timer::DecodeTimer;
    use super::*;

    fn file(size: u32, encoding: u32, data: &[u8]) -> Vec<u8> {
        let numbers = [28, size, encoding, 8_000, 1, 0];
        let header = numbers.map(u32::to_be_bytes).concat();
        [b".snd", header.as_slice(), data].concat()
    }

    /// Returns the header, and how many bytes follow it.
    fn read(bytes: &[u8]) -> Result<(AuHeader, usize), AudioError> {
        let timer = DecodeTimer::start(Duration::MAX, Stop::default());
        let mut input = Input::whole(bytes, timer);
        let au = AuHeader::read(&mut input)?;
        Ok((au, input.fill()?.len()))
    }

    #[test]
    fn the_header_gives_the_position_and_coding_of_the_samples() {
        let cases = [
            ("whole", 3, Some(3)),
            ("cut", 900, Some(900)),
            ("live", u32::MAX, None),
            ("never finished", 0, None),
        ];
        for (what, claimed, size) in cases {
            let (au, there) = read(&file(claimed, 27, &[1, 2, 3, 4])).unwrap();
            assert_eq!((au.size, there), (size, 4), "{what}");
            assert_eq!(
                (au.coding, au.rate, au.channels),
                (SampleCoding::Alaw, 8_000, 1)
            );
        }
    }

    #[test]
    fn unsupported_encodings_are_refused_by_name() {
        let cases = [
            (
                b".snd\0\0\0\x18".to_vec(),
                "the AU header is cut: 8 of 24 bytes",
            ),
            (file(4, 23, &[0; 4]), "G.721 in AU is not supported"),
            (file(4, 99, &[0; 4]), "AU encoding 99 is not supported"),
        ];
        for (bytes, words) in cases {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
