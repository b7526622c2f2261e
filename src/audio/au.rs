//! AU, the audio file of Sun and NeXT: six big-endian numbers, then samples.

use super::pcm::{Coding, Stream};
use super::{AudioError, Job, Recording};

const ORIGIN: &str = "the AU header";

/// A size that means "not known yet".
const LIVE: u32 = u32::MAX;

/// Decodes `bytes`, which begin with `.snd`.
pub(super) fn decode(bytes: &[u8], job: &Job<'_>) -> Result<Recording, AudioError> {
    parse(bytes)?.decode(job)
}

fn parse(bytes: &[u8]) -> Result<Stream<'_>, AudioError> {
    let (fields, _) = bytes.as_chunks::<4>();
    let &[_, start, size, encoding, rate, channels, ..] = fields else {
        let length = bytes.len();
        return Err(AudioError::malformed(format!(
            "the AU header is cut: {length} of 24 bytes"
        )));
    };
    let [start, size, encoding, sample_rate, channels] =
        [start, size, encoding, rate, channels].map(u32::from_be_bytes);
    let rest = bytes.get(start as usize..).unwrap_or_default();
    let within = rest.get(..size as usize);
    Ok(Stream {
        coding: coding(encoding)?,
        sample_rate,
        // What does not fit is refused as too many, like what is merely large.
        channels: u16::try_from(channels).unwrap_or(u16::MAX),
        data: within.unwrap_or(rest),
        short: within.is_none() && size != LIVE,
        origin: ORIGIN,
    })
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
    use super::*;

    fn file(size: u32, encoding: u32, data: &[u8]) -> Vec<u8> {
        let numbers = [28, size, encoding, 8_000, 1, 0];
        let header = numbers.map(u32::to_be_bytes).concat();
        [b".snd", header.as_slice(), data].concat()
    }

    #[test]
    fn the_header_says_where_and_what_the_samples_are() {
        let cases = [
            ("whole", 3, 3, false),
            ("cut", 900, 4, true),
            ("live", LIVE, 4, false),
        ];
        for (what, size, length, short) in cases {
            let bytes = file(size, 27, &[1, 2, 3, 4]);
            let stream = parse(&bytes).unwrap();
            assert_eq!(stream.data.len(), length, "{what}");
            assert_eq!(stream.short, short, "{what}");
            assert_eq!((stream.coding, stream.sample_rate), (Coding::Alaw, 8_000));
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
            let error = parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
