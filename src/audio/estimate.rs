//! Estimates the length of a recording from its first bytes and its size, without decoding it.
//!
//! Admission uses the estimate, so it is cheap and defined for all bytes. It is a claim of the sender or a guess,
//! except for samples that follow one another.

use std::time::Duration;

use super::aiff::{AiffHeader, AiffLayout};
use super::au::AuHeader;
use super::caf::CafDescription;
use super::input::Input;
use super::magic::SNIFF_BYTES;
use super::mpeg::FrameHeader;
use super::pcm::SampleCoding;
use super::sniff::{self, FileFormat};
use super::timer::DecodeTimer;
use super::wav::{WavCoding, WavHeader};
use super::{AudioError, Encoding, Stop, caf_chunks, id3, w64};

/// Bytes read of a WAV or Wave64 file to find its data.
const WAV_HEAD: usize = 64 << 10;

/// Bits per second of a lossy recording that does not state them, by format. These are usual values for speech.
const BIT_RATES: &[(&str, f64)] = &[("Ogg", 32e3), ("Matroska", 32e3), ("MP3", 64e3)];

/// Bits per second of a lossy recording in any other format.
const OTHER_BIT_RATE: f64 = 64e3;

/// The estimated size of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// Seconds of audio. 0 if the bytes cannot be decoded.
    pub seconds: f64,
    /// Channels. [`LaneChoice::count`](super::LaneChoice::count) returns how many lanes they make.
    pub channels: u16,
    /// The estimate equals the decoded length to a millisecond, if decoding succeeds. If this is false, the length
    /// of FLAC is that in its header, and the length of speech in a lossy codec is usually right within a factor
    /// of four.
    pub exact: bool,
}

impl Estimate {
    const NOTHING: Self = Self {
        seconds: 0.0,
        channels: 1,
        exact: false,
    };

    fn guess(bits: f64, bit_rate: f64, channels: u16) -> Self {
        Self {
            seconds: bits / bit_rate,
            channels,
            exact: false,
        }
    }
}

/// Estimates the length and channels of `bytes`. Reads some kilobytes of them.
///
/// # Example
/// ```
/// use undertone::audio::{Encoding, RawFormat, estimate};
///
/// let phone = Encoding::Raw { format: RawFormat::Mulaw, sample_rate: 8_000, channels: 2 };
/// let guess = estimate(&[0xff; 32_000], phone);
/// assert_eq!((guess.seconds, guess.channels, guess.exact), (2.0, 2, true));
/// ```
#[must_use]
pub fn estimate(bytes: &[u8], encoding: Encoding) -> Estimate {
    if let Encoding::Raw {
        format,
        sample_rate,
        channels,
    } = encoding
    {
        return plain(bytes.len() as u64, format.into(), sample_rate, channels);
    }
    let (inner, tagged) = skip_tags(bytes);
    let bits = 8.0 * inner.len() as f64;
    match sniff::sniff(&inner[..inner.len().min(SNIFF_BYTES)], tagged) {
        Ok(FileFormat::Wav) => wav(inner, WavHeader::read),
        Ok(FileFormat::Wave64) => wav(inner, w64::read),
        Ok(FileFormat::Au) => au(inner),
        Ok(FileFormat::Container { name: "FLAC" }) => flac(inner),
        Ok(FileFormat::Container { name: "MP3" }) => mp3(inner),
        Ok(FileFormat::Aiff) => aiff(inner),
        Ok(FileFormat::Caf) => caf(inner),
        Ok(FileFormat::Container { name }) => {
            Estimate::guess(bits, bit_rate(name), channels(inner))
        }
        Ok(FileFormat::Unmarked) => Estimate::guess(bits, bit_rate("MP3"), 2),
        Err(_) => Estimate::NOTHING,
    }
}

/// Returns the usual bits per second of speech in a format.
fn bit_rate(name: &str) -> f64 {
    let listed = BIT_RATES.iter().find(|(format, _)| *format == name);
    listed.map_or(OTHER_BIT_RATE, |(_, rate)| *rate)
}

/// Returns the bytes after ID3 tags, and whether there is a tag.
fn skip_tags(mut bytes: &[u8]) -> (&[u8], bool) {
    let mut tagged = false;
    while let Some(size) = id3::tag_size(bytes) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        (bytes, tagged) = (bytes.get(size..).unwrap_or_default(), true);
    }
    (bytes, tagged)
}

/// Estimates samples that follow one another.
fn plain(bytes: u64, coding: SampleCoding, rate: u32, channels: u16) -> Estimate {
    if rate == 0 || channels == 0 {
        return Estimate::NOTHING;
    }
    let frames = bytes / (coding.width() as u64 * u64::from(channels));
    Estimate {
        seconds: frames as f64 / f64::from(rate),
        channels,
        exact: true,
    }
}

/// Returns input without a time limit.
fn untimed(bytes: &[u8]) -> Input<'_> {
    Input::whole(bytes, DecodeTimer::start(Duration::MAX, Stop::default()))
}

fn wav(bytes: &[u8], read: fn(&mut Input<'_>) -> Result<WavHeader, AudioError>) -> Estimate {
    let mut input = untimed(&bytes[..bytes.len().min(WAV_HEAD)]);
    let Ok(wav) = read(&mut input) else {
        return Estimate::NOTHING;
    };
    let available = bytes.len() as u64 - input.position();
    let data = wav.size.unwrap_or(u64::MAX).min(available);
    let (rate, channels) = (wav.format.rate, wav.format.channels);
    match wav.format.coding() {
        Ok(WavCoding::Plain(coding)) => plain(data, coding, rate, channels),
        Ok(WavCoding::Packed(_)) => packed(data, rate, channels),
        Ok(WavCoding::Mp3) => mp3(&bytes[bytes.len() - available as usize..]),
        Err(_) => Estimate::NOTHING,
    }
}

fn au(bytes: &[u8]) -> Estimate {
    let mut input = untimed(bytes);
    let Ok(au) = AuHeader::read(&mut input) else {
        return Estimate::NOTHING;
    };
    let available = bytes.len() as u64 - input.position();
    let data = au.size.unwrap_or(u64::MAX).min(available);
    plain(data, au.coding, au.rate, au.channels)
}

/// Estimates FLAC by its STREAMINFO (RFC 9639, section 8.2), and never shorter than uncompressed samples would be.
fn flac(bytes: &[u8]) -> Estimate {
    let Some(info) = bytes.get(18..).and_then(<[u8]>::first_chunk) else {
        return Estimate::NOTHING;
    };
    let info = u64::from_be_bytes(*info);
    let rate = (info >> 44) as f64;
    let channels = (info >> 41 & 0x7) as u16 + 1;
    let width = (info >> 36 & 0x1f) as f64 + 1.0;
    let frames = (info & 0xf_ffff_ffff) as f64;
    if rate == 0.0 {
        return Estimate::NOTHING;
    }
    let uncompressed = 8.0 * bytes.len() as f64 / (rate * width * f64::from(channels));
    Estimate {
        seconds: match frames {
            // The length was unknown when the header was written. FLAC needs about half the bytes of uncompressed speech.
            0.0 => 2.0 * uncompressed,
            frames => uncompressed.max(frames / rate),
        },
        channels,
        exact: false,
    }
}

fn aiff(bytes: &[u8]) -> Estimate {
    let mut input = untimed(bytes);
    let Ok(AiffLayout::HeaderFirst(aiff)) = AiffHeader::read(&mut input) else {
        // The description follows the samples and may not have arrived. The rate is assumed to be that of a compact disc.
        return Estimate::guess(8.0 * bytes.len() as f64, 16.0 * 44_100.0, 1);
    };
    let available = bytes.len() as u64 - input.position();
    let data = aiff.size.unwrap_or(u64::MAX).min(available);
    let (rate, channels) = (aiff.rate, aiff.channels);
    match aiff.plain() {
        Some(coding) => plain(data, coding, rate, channels),
        None => packed(data, rate, channels),
    }
}

fn caf(bytes: &[u8]) -> Estimate {
    let mut input = untimed(bytes);
    let Ok(caf) = CafDescription::read(&mut input) else {
        return Estimate::NOTHING;
    };
    let channels = u16::try_from(caf.channels).unwrap_or(u16::MAX);
    let Some(coding) = caf.coding else {
        return Estimate::guess(8.0 * bytes.len() as f64, OTHER_BIT_RATE, channels.max(1));
    };
    let Ok(size) = caf_chunks::skip_to_samples(&mut input) else {
        return Estimate::NOTHING;
    };
    let available = bytes.len() as u64 - input.position();
    let data = size.unwrap_or(u64::MAX).min(available);
    plain(data, coding, caf.rate, channels)
}

/// Estimates ADPCM: four bits per sample, and a little more for the headers of the blocks.
fn packed(bytes: u64, rate: u32, channels: u16) -> Estimate {
    if rate == 0 || channels == 0 {
        return Estimate::NOTHING;
    }
    let bit_rate = 4.0 * f64::from(rate) * f64::from(channels);
    Estimate::guess(8.0 * bytes as f64, bit_rate, channels)
}

/// Estimates MP3 by the bit rate of the first frame, or by the frames that a Xing header counts if that is longer.
fn mp3(bytes: &[u8]) -> Estimate {
    let bits = 8.0 * bytes.len() as f64;
    let Some(frame) = FrameHeader::parse(bytes) else {
        return Estimate::guess(bits, bit_rate("MP3"), 2);
    };
    let xing = bytes.get(frame.tag_position()..).unwrap_or_default();
    let counted = match xing {
        [b'X', b'i', b'n', b'g', _, _, _, flags, a, b, c, d, ..]
        | [b'I', b'n', b'f', b'o', _, _, _, flags, a, b, c, d, ..]
            if flags & 1 == 1 =>
        {
            f64::from(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        _ => 0.0,
    };
    Estimate {
        seconds: (bits / f64::from(frame.bit_rate)).max(counted * frame.seconds()),
        channels: frame.shape.channels,
        exact: false,
    }
}

/// Returns the channels in the identification header of an Ogg stream; two without one.
fn channels(bytes: &[u8]) -> u16 {
    let head = &bytes[..bytes.len().min(SNIFF_BYTES)];
    // The position of the channel count after a marker: Opus (RFC 7845, section 5.1) and Vorbis I (section 4.2.2).
    for (marker, offset) in [(&b"OpusHead"[..], 1), (b"\x01vorbis", 4)] {
        if let Some(at) = head
            .windows(marker.len())
            .position(|window| window == marker)
        {
            let count = head.get(at + marker.len() + offset).copied();
            return count.map_or(2, |count| u16::from(count.max(1)));
        }
    }
    2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn auto(bytes: &[u8]) -> Estimate {
        estimate(bytes, Encoding::Auto)
    }

    #[test]
    fn flac_has_the_length_in_its_header_but_is_never_shorter_than_its_bytes() {
        let book = include_bytes!("../../tests/audio/book.flac");
        let guess = auto(book);
        assert_eq!((guess.seconds, guess.channels), (6.0, 1));
        let mut wrong = book.to_vec();
        wrong[22..26].copy_from_slice(&1_u32.to_be_bytes());
        assert!(auto(&wrong).seconds > 3.0, "{:?}", auto(&wrong));
        wrong[22..26].fill(0);
        let unknown = auto(&wrong).seconds;
        assert!((3.0..12.0).contains(&unknown), "{unknown}");
    }

    #[test]
    fn mp3_is_estimated_by_its_bit_rate_or_its_count() {
        // MPEG-1 layer III, 64 kbit/s, 44.1 kHz, mono.
        let mut bytes = [&b"\xff\xfb\x50\xc0"[..], &[0; 15_996]].concat();
        let guess = auto(&bytes);
        assert_eq!((guess.seconds, guess.channels), (2.0, 1));
        bytes[21..33].copy_from_slice(b"Xing\0\0\0\x01\0\0\x01\0");
        let counted = auto(&bytes).seconds;
        assert!((counted - 256.0 * 1_152.0 / 44_100.0).abs() < 1e-9);
        let tagged = [&b"ID3\x04\0\0\0\0\0\x02ab"[..], &bytes].concat();
        assert_eq!(auto(&tagged).seconds, counted);
    }

    #[test]
    fn bytes_that_cannot_be_decoded_have_no_length() {
        for bytes in [
            &b""[..],
            b"a letter",
            b"wvpk\0\0\0\0",
            b"RIFF\0\0\0\0WAVEfmt ",
        ] {
            assert_eq!(auto(bytes), Estimate::NOTHING, "{bytes:?}");
        }
    }

    proptest! {
        #![proptest_config(replay::defaults())]

        #[test]
        fn any_bytes_have_an_estimate(
            head in prop::sample::select(vec![
                &b""[..], b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x11\0\x01\0", b"fLaC", b"OggS\0\x02",
                b"\xff\xfb\x90\x64", b"ID3\x03\0\0\0\0\0\x05", b"ID3\x03\0\0\x7f\x7f\x7f\x7f",
                b"OggS\0\x02OpusHead", b"OggS\x01vorbis", b"riff\x2e\x91\xcf\x11",
                b".snd\0\0\0\x18", b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12", b"caff\0\x01\0\0desc\0\0\0\0\0\0\0 ",
            ]),
            tail in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let guess = auto(&[head, &tail].concat());
            prop_assert!(guess.seconds.is_finite() && guess.seconds >= 0.0 && guess.channels >= 1);
        }
    }
}
