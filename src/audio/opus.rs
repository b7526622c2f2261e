//! Opus (RFC 6716): symphonia's packets to f32 at 48 kHz.
//!
//! symphonia reads the containers that Opus comes in and has no decoder for it. This is libopus'
//! fixed-point decoder, ported to Rust by `ropus`, behind symphonia's trait, and what RFC 7845 asks
//! around it: channel mapping, output gain, pre-skip, trimming at the end.

use ropus::OpusMSDecoder;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{
    AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult,
};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

/// What Opus is decoded at, and what its pre-skip and granule positions count (RFC 7845, 4).
const RATE: u32 = 48_000;

/// Frames of the longest packet: 120 ms (RFC 6716, 3.2.5).
const MAX_FRAMES: usize = 5_760;

/// Channels of the largest layout taken. Each stream costs 100 KB of state.
const MAX_CHANNELS: u8 = 32;

/// For 3 to 8 channels in the order of WAV, where each stands in Vorbis' (RFC 7845, 5.1.1.2).
const WAV_ORDER: [&[u8]; 6] = [
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 5, 3, 4],
    &[0, 2, 1, 6, 5, 3, 4],
    &[0, 2, 1, 7, 5, 6, 3, 4],
];

/// The decoder of one Opus stream, of one or several coded streams a packet.
pub(super) struct OpusDecoder {
    params: AudioCodecParameters,
    decoder: OpusMSDecoder,
    channels: usize,
    /// Factor of the output gain.
    gain: f32,
    /// Of the pre-skip, the frames still to be dropped.
    skip: usize,
    /// `[frame, channel]`, as it comes from the decoder.
    pcm: Vec<i16>,
    decoded: AudioBuffer<f32>,
}

impl OpusDecoder {
    fn new(params: &AudioCodecParameters) -> Result<Self> {
        let Some(bytes) = &params.extra_data else {
            return decode_error("opus: the identification header is missing");
        };
        let head = Head::parse(bytes)?;
        let channels = head.mapping.len();
        let decoder = OpusMSDecoder::new(
            RATE as i32,
            channels as i32,
            i32::from(head.streams),
            i32::from(head.coupled),
            &head.mapping,
        )
        .map_err(|_| Error::DecodeError("opus: the channel mapping names streams not there"))?;
        let layout = Channels::Discrete(channels as u16);
        Ok(Self {
            params: params.clone(),
            decoder,
            channels,
            gain: 10_f32.powf(f32::from(head.gain) / (20.0 * 256.0)),
            skip: usize::from(head.pre_skip),
            pcm: vec![0; MAX_FRAMES * channels],
            decoded: AudioBuffer::new(AudioSpec::new(RATE, layout), MAX_FRAMES),
        })
    }

    fn decode_packet(&mut self, packet: &PacketRef<'_>) -> Result<()> {
        self.decoded.clear();
        // To the decoder, no bytes are a lost packet of any length.
        if packet.data.is_empty() {
            return decode_error("opus: a packet is empty");
        }
        let length = i32::try_from(packet.data.len())
            .map_err(|_| Error::DecodeError("opus: a packet is too long"))?;
        let frames = self
            .decoder
            .decode(
                Some(packet.data),
                length,
                &mut self.pcm,
                MAX_FRAMES as i32,
                false,
            )
            .map_err(|_| Error::DecodeError("opus: a packet is damaged"))?;
        let frames = usize::try_from(frames).unwrap_or(0).min(MAX_FRAMES);
        let scale = self.gain / 32_768.0;
        self.decoded.render_uninit(Some(frames));
        for (channel, plane) in self.decoded.iter_planes_mut().enumerate() {
            let samples = self.pcm.iter().skip(channel).step_by(self.channels);
            for (to, &from) in plane.iter_mut().zip(samples) {
                *to = f32::from(from) * scale;
            }
        }
        let skipped = self.skip.min(frames);
        self.skip -= skipped;
        let surplus = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
        self.decoded.trim(skipped, surplus);
        Ok(())
    }
}

impl AudioDecoder for OpusDecoder {
    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &OPUS.info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.decode_packet(packet)?;
        Ok(self.decoded.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.decoded.as_generic_audio_buffer_ref()
    }
}

const OPUS: SupportedAudioCodec = SupportedAudioCodec {
    id: CODEC_ID_OPUS,
    info: CodecInfo {
        short_name: "opus",
        long_name: "Opus",
        profiles: &[],
    },
};

impl RegisterableAudioDecoder for OpusDecoder {
    fn try_registry_new(
        params: &AudioCodecParameters,
        _options: &AudioDecoderOptions,
    ) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(params)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        &[OPUS]
    }
}

/// Gives parameters without an identification header one that says what they do: CAF has none. `delay` is
/// in frames.
pub(super) fn with_head(
    mut params: AudioCodecParameters,
    delay: Option<u32>,
) -> AudioCodecParameters {
    let channels = params
        .channels
        .as_ref()
        .map(symphonia::core::audio::Channels::count);
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

/// Hz of what was coded, if the header says a rate that sound can have.
pub(super) fn captured_rate(params: &AudioCodecParameters) -> Option<u32> {
    let head = Head::parse(params.extra_data.as_deref()?).ok()?;
    super::RATES.contains(&head.rate).then_some(head.rate)
}

/// The identification header (RFC 7845, 5.1).
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Frames to drop at the start.
    pre_skip: u16,
    /// Hz of what was coded; 0 where nobody knows.
    rate: u32,
    /// 1/256 dB.
    gain: i16,
    /// Coded streams in a packet, and how many of them, the first ones, are stereo.
    streams: u8,
    coupled: u8,
    /// For each channel, in the order of WAV, the decoded one that it is; 255 is silence.
    mapping: Vec<u8>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self> {
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
        // The box of MP4 has these fields big-endian (Opus in ISOBMFF, 4.3.2) and symphonia hands
        // it on as it is. The rate of what was coded gives it away.
        let rate = u32::from_le_bytes([*r0, *r1, *r2, *r3]);
        let swapped = rate > *super::RATES.end();
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
            (_, 0) => return decode_error("opus: the header says 0 channels"),
            (0, 1 | 2) => (1, channels - 1, (0..*channels).collect()),
            (1, 1..=8) | (255, 1..=MAX_CHANNELS) => {
                let [streams, coupled, mapping @ ..] = table else {
                    return decode_error("opus: the channel mapping is cut");
                };
                let Some(mapping) = mapping.get(..usize::from(*channels)) else {
                    return decode_error("opus: the channel mapping is cut");
                };
                if streams > channels {
                    return decode_error("opus: the header says more streams than channels");
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

/// Family 1 has the channels in Vorbis' order, the others in none.
fn in_wav_order(mapping: &[u8], family: u8) -> Vec<u8> {
    match mapping.len().checked_sub(3).and_then(|i| WAV_ORDER.get(i)) {
        Some(order) if family == 1 => order.iter().map(|&at| mapping[usize::from(at)]).collect(),
        _ => mapping.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use ropus::{Application, Channels as Coded, Encoder};
    use symphonia::core::units::{Duration, Timestamp};

    use super::*;

    fn head(channels: u8, family: u8, table: &[u8]) -> Vec<u8> {
        let fixed = [
            b"OpusHead\x01".as_slice(),
            &[channels, 0x38, 0x01, 0x80, 0x3e, 0, 0, 0x00, 0xfd, family],
        ];
        [&fixed.concat(), table].concat()
    }

    #[test]
    fn the_header_is_read_in_either_byte_order() {
        let stereo = Head {
            pre_skip: 312,
            rate: 16_000,
            gain: -768,
            streams: 1,
            coupled: 1,
            mapping: vec![0, 1],
        };
        assert_eq!(Head::parse(&head(2, 0, &[])).unwrap(), stereo);
        let mut mp4 = head(2, 0, &[]);
        mp4[10..12].reverse();
        mp4[12..16].reverse();
        mp4[16..18].reverse();
        assert_eq!(Head::parse(&mp4).unwrap(), stereo);
    }

    /// Half a second of a tone, in packets of 20 ms.
    fn packets() -> Vec<Vec<u8>> {
        let builder = Encoder::builder(RATE, Coded::Mono, Application::Audio);
        let mut encoder = builder.build().unwrap();
        let tone = |i: usize| (8_000.0 * (i as f32 * 0.06).sin()) as i16;
        let mut coded = [0; 1_500];
        (0..25)
            .map(|packet| {
                let pcm: Vec<i16> = (packet * 960..(packet + 1) * 960).map(tone).collect();
                let length = encoder.encode(&pcm, &mut coded).unwrap();
                coded[..length].to_vec()
            })
            .collect()
    }

    fn decoder(pre_skip: u16, gain: i16) -> OpusDecoder {
        let mut head = head(1, 0, &[]);
        head[10..12].copy_from_slice(&pre_skip.to_le_bytes());
        head[16..18].copy_from_slice(&gain.to_le_bytes());
        let mut params = AudioCodecParameters::new();
        params.with_extra_data(head.into());
        OpusDecoder::new(&params).unwrap()
    }

    fn decode(decoder: &mut OpusDecoder, data: &[u8], trim_end: u64) -> Result<Vec<f32>> {
        let mut packet = PacketRef::new(0, Timestamp::new(0), Duration::new(960), data);
        packet.trim_end = Duration::new(trim_end);
        let mut samples = Vec::new();
        decoder
            .decode_ref(&packet)?
            .copy_to_vec_interleaved(&mut samples);
        Ok(samples)
    }

    #[test]
    fn the_header_is_obeyed_and_so_is_the_end() {
        let (mut plain, mut asked) = (decoder(0, 0), decoder(1_000, -6 * 256));
        let (mut all, mut some) = (Vec::new(), Vec::new());
        for (i, packet) in packets().iter().enumerate() {
            all.extend(decode(&mut plain, packet, 0).unwrap());
            let padding = if i == 24 { 500 } else { 0 };
            some.extend(decode(&mut asked, packet, padding).unwrap());
        }
        assert_eq!(all.len(), 24_000);
        assert!(all[12_000..].iter().any(|&x| x > 0.2), "a tone is heard");
        let factor = 10_f32.powf(-6.0 / 20.0);
        let expected: Vec<f32> = all[1_000..23_500].iter().map(|x| x * factor).collect();
        assert_eq!(some.len(), expected.len());
        let off = some.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-6);
    }

    #[test]
    fn a_lost_packet_costs_its_place_alone() {
        let packets = packets();
        let mut decoder = decoder(312, 0);
        assert_eq!(
            decode(&mut decoder, &packets[0], 0).unwrap().len(),
            960 - 312
        );
        for damaged in [&[][..], &[0xff], &[0x03, 0x3f, 1, 2]] {
            assert!(decode(&mut decoder, damaged, 0).is_err(), "{damaged:?}");
            assert_eq!(decoder.last_decoded().frames(), 0);
        }
        // A packet of its first byte alone: the encoder says that there is nothing to say.
        let concealed = decode(&mut decoder, &packets[1][..1], 0).unwrap();
        assert_eq!(concealed.len(), 960);
        for packet in &packets[2..] {
            let samples = decode(&mut decoder, packet, 0).unwrap();
            assert_eq!(samples.len(), 960);
            assert!(samples.iter().all(|x| x.abs() < 1.0));
        }
    }

    #[test]
    fn channels_come_in_the_order_of_wav() {
        // 5.1 as libopus writes it: left, centre, right, surround left and right, LFE.
        let surround = Head::parse(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!(surround.mapping, [0, 1, 4, 5, 2, 3]);
        let discrete = Head::parse(&head(6, 255, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!(discrete.mapping, [0, 4, 1, 2, 3, 5]);
    }

    #[test]
    fn what_no_decoder_can_be_made_for_is_refused() {
        let cases: [(Vec<u8>, &str); 8] = [
            (b"OpusHead\x01\x02".to_vec(), "header is cut"),
            (head(0, 0, &[]), "0 channels"),
            (head(3, 0, &[]), "channel count"),
            (
                head(9, 1, &[9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
                "channel count",
            ),
            (head(4, 2, &[]), "ambisonics"),
            (head(3, 1, &[2, 1, 0, 1]), "mapping is cut"),
            (head(2, 1, &[200, 1, 0, 1]), "more streams than channels"),
            (head(2, 255, &[1, 0, 0, 1]), "names streams not there"),
        ];
        for (bytes, words) in cases {
            let mut params = AudioCodecParameters::new();
            params.with_extra_data(bytes.into());
            let error = OpusDecoder::new(&params).err().unwrap().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
