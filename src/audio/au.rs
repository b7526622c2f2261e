//! AU, the audio file of Sun and NeXT: six big-endian numbers, then samples.

use super::input::Input;
use super::pcm::{Coding, Pcm};
use super::{AudioError, Ending, Job, Sink};

const ORIGIN: &str = "the AU header";

/// Bytes of the six numbers.
const HEADER: usize = 24;

/// Sizes that mean "not known yet": the one that the format names, and what was never filled in.
const LIVE: [u32; 2] = [u32::MAX, 0];

/// Decodes input that begins with `.snd`.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    let Au {
        coding,
        rate,
        channels,
        size,
    } = Au::read(&mut input)?;
    let samples = Pcm::new(ORIGIN, coding, rate, channels, job)?;
    samples.read(input, size.unwrap_or(u64::MAX), size.is_some(), sink)
}

/// What the header says.
#[derive(Debug)]
pub(super) struct Au {
    pub(super) coding: Coding,
    pub(super) rate: u32,
    pub(super) channels: u16,
    /// Bytes of samples, if they were known.
    pub(super) size: Option<u64>,
}

impl Au {
    /// Takes everything before the samples.
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
            // What does not fit is refused as too many, like what is merely large.
            channels: u16::try_from(channels).unwrap_or(u16::MAX),
            size: (!LIVE.contains(&size)).then_some(u64::from(size)),
        })
    }
}

fn coding(encoding: u32) -> Result<Coding, AudioError> {
    let refused = match encoding {
        1 => return Ok(Coding::Mulaw),
        2 => return Ok(Coding::S8),
        3 => return Ok(Coding::S16Be),
        4 => return Ok(Coding::S24Be),
        5 => return Ok(Coding::S32Be),
        6 => return Ok(Coding::F32Be),
        7 => return Ok(Coding::F64Be),
        27 => return Ok(Coding::Alaw),
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
    use super::super::limits::Watch;
    use super::*;

    fn file(size: u32, encoding: u32, data: &[u8]) -> Vec<u8> {
        let numbers = [28, size, encoding, 8_000, 1, 0];
        let header = numbers.map(u32::to_be_bytes).concat();
        [b".snd", header.as_slice(), data].concat()
    }

    /// The header, and how many bytes follow it.
    fn read(bytes: &[u8]) -> Result<(Au, usize), AudioError> {
        let watch = Watch::start(Duration::MAX, Stop::default());
        let mut input = Input::whole(bytes, watch);
        let au = Au::read(&mut input)?;
        Ok((au, input.fill()?.len()))
    }

    #[test]
    fn the_header_says_where_and_what_the_samples_are() {
        let cases = [
            ("whole", 3, Some(3)),
            ("cut", 900, Some(900)),
            ("live", u32::MAX, None),
            ("never finished", 0, None),
        ];
        for (what, claimed, size) in cases {
            let (au, there) = read(&file(claimed, 27, &[1, 2, 3, 4])).unwrap();
            assert_eq!((au.size, there), (size, 4), "{what}");
            assert_eq!((au.coding, au.rate, au.channels), (Coding::Alaw, 8_000, 1));
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
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
