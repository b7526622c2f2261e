//! The identification header of an Opus stream (RFC 7845, 5.1).

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::errors::{Result, decode_error, unsupported_error};

use super::rates::SOURCE_RATES;

/// Sample rate in Hz at which Opus is decoded. Its pre-skip and granule positions count at this rate (RFC 7845, 4).
pub(super) const RATE: u32 = 48_000;

/// Channels of the largest accepted layout. Each stream needs 100 KB of state.
const MAX_CHANNELS: u8 = 32;

/// For 3 to 8 channels in the order of WAV: the position of each in the order of Vorbis (RFC 7845, 5.1.1.2).
const WAV_ORDER: [&[u8]; 6] = [
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 5, 3, 4],
    &[0, 2, 1, 6, 5, 3, 4],
    &[0, 2, 1, 7, 5, 6, 3, 4],
];

/// Adds an identification header to parameters that have none, with the same contents. CAF has no such header.
/// `delay` is in frames.
pub(super) fn with_header(
    mut params: AudioCodecParameters,
    delay: Option<u32>,
) -> AudioCodecParameters {
    let channels = params.channels.as_ref().map(Channels::count);
    if params.codec == CODEC_ID_OPUS
        && params.extra_data.is_none()
        && let Some(channels @ (1 | 2)) = channels
    {
        let pre_skip = u16::try_from(delay.unwrap_or(0)).unwrap_or(u16::MAX);
        let mut head = b"OpusHead\x01".to_vec();
        head.push(channels as u8);
        head.extend(pre_skip.to_le_bytes());
        head.extend(RATE.to_le_bytes());
        head.extend([0; 3]);
        params.extra_data = Some(head.into());
    }
    params
}

/// Returns the rate in Hz of the encoder's input, if the header has an accepted rate.
pub(super) fn captured_rate(params: &AudioCodecParameters) -> Option<u32> {
    let head = OpusHeader::parse(params.extra_data.as_deref()?).ok()?;
    SOURCE_RATES.contains(&head.rate).then_some(head.rate)
}

/// The identification header (RFC 7845, 5.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpusHeader {
    /// Frames to drop at the start.
    pub(super) pre_skip: u16,
    /// Hz of the encoder's input. 0 if unknown.
    rate: u32,
    /// Output gain in 1/256 dB.
    pub(super) gain: i16,
    /// Coded streams in a packet.
    pub(super) streams: u8,
    /// The number of stereo streams, which come first.
    pub(super) coupled: u8,
    /// For each channel in the order of WAV, the index of the decoded channel. 255 is silence.
    pub(super) mapping: Vec<u8>,
}

impl OpusHeader {
    /// Parses the header.
    ///
    /// # Errors
    /// An error of symphonia names what is wrong, or what is not supported.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let [
            b'O',
            b'p',
            b'u',
            b's',
            b'H',
            b'e',
            b'a',
            b'd',
            version,
            channels,
            skip0,
            skip1,
            r0,
            r1,
            r2,
            r3,
            gain0,
            gain1,
            family,
            table @ ..,
        ] = bytes
        else {
            return decode_error("opus: the identification header is cut");
        };
        if version & 0xf0 != 0 {
            return unsupported_error("version of the header");
        }
        // In the box of MP4 these fields are big-endian (Opus in ISOBMFF, 4.3.2), and symphonia returns them
        // unchanged. An impossible rate reveals that order.
        let rate = u32::from_le_bytes([*r0, *r1, *r2, *r3]);
        let swapped = rate > *SOURCE_RATES.end();
        let (pre_skip, rate, gain) = if swapped {
            (
                u16::from_be_bytes([*skip0, *skip1]),
                rate.swap_bytes(),
                i16::from_be_bytes([*gain0, *gain1]),
            )
        } else {
            (
                u16::from_le_bytes([*skip0, *skip1]),
                rate,
                i16::from_le_bytes([*gain0, *gain1]),
            )
        };
        let (streams, coupled, mapping) = match (family, channels) {
            (_, 0) => return decode_error("opus: the header claims 0 channels"),
            (0, 1 | 2) => (1, channels - 1, (0..*channels).collect()),
            (1, 1..=8) | (255, 1..=MAX_CHANNELS) => {
                let [streams, coupled, mapping @ ..] = table else {
                    return decode_error("opus: the channel mapping is cut");
                };
                let Some(mapping) = mapping.get(..usize::from(*channels)) else {
                    return decode_error("opus: the channel mapping is cut");
                };
                if streams > channels {
                    return decode_error("opus: the header claims more streams than channels");
                }
                (*streams, *coupled, in_wav_order(mapping, *family))
            }
            (0 | 1 | 255, _) => return unsupported_error("channel count"),
            _ => return unsupported_error("channel mapping family, perhaps ambisonics"),
        };
        Ok(Self {
            pre_skip,
            rate,
            gain,
            streams,
            coupled,
            mapping,
        })
    }
}

/// Returns the mapping in the order of WAV. Family 1 has the order of Vorbis, and other families have no order.
fn in_wav_order(mapping: &[u8], family: u8) -> Vec<u8> {
    match mapping.len().checked_sub(3).and_then(|i| WAV_ORDER.get(i)) {
        Some(order) if family == 1 => order.iter().map(|&at| mapping[usize::from(at)]).collect(),
        _ => mapping.to_vec(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the bytes of a header with a pre-skip of 312, a rate of 16 kHz and a gain of −3 dB.
    pub(in super::super) fn head(channels: u8, family: u8, table: &[u8]) -> Vec<u8> {
        let fixed = [
            b"OpusHead\x01".as_slice(),
            &[channels, 0x38, 0x01, 0x80, 0x3e, 0, 0, 0x00, 0xfd, family],
        ];
        [&fixed.concat(), table].concat()
    }

    #[test]
    fn the_header_is_read_in_either_byte_order() {
        let stereo = OpusHeader {
            pre_skip: 312,
            rate: 16_000,
            gain: -768,
            streams: 1,
            coupled: 1,
            mapping: vec![0, 1],
        };
        assert_eq!(OpusHeader::parse(&head(2, 0, &[])).unwrap(), stereo);
        let mut mp4 = head(2, 0, &[]);
        mp4[10..12].reverse();
        mp4[12..16].reverse();
        mp4[16..18].reverse();
        assert_eq!(OpusHeader::parse(&mp4).unwrap(), stereo);
    }

    #[test]
    fn channels_are_in_the_order_of_wav() {
        // 5.1 as libopus writes it: left, centre, right, surround left and right, LFE.
        let surround = OpusHeader::parse(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!(surround.mapping, [0, 1, 4, 5, 2, 3]);
        let discrete = OpusHeader::parse(&head(6, 255, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!(discrete.mapping, [0, 4, 1, 2, 3, 5]);
    }
}
