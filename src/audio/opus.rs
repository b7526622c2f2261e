//! Decodes Opus (RFC 6716): symphonia's packets become f32 at 48 kHz.
//!
//! symphonia reads the containers of Opus and has no decoder for it. Here symphonia's trait is implemented with the
//! crate `ropus`, a port of the fixed-point decoder of libopus to Rust. RFC 7845 requires some more steps, which
//! are implemented here: channel mapping, output gain, pre-skip, and trimming at the end.

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
use symphonia::core::errors::{Error, Result, decode_error};
use symphonia::core::packet::PacketRef;

use super::opus_header::{OpusHeader, RATE};

/// Frames of the longest packet: 120 ms (RFC 6716, 3.2.5).
const MAX_FRAMES: usize = 5_760;

/// Decodes one Opus stream, in which each packet consists of one or several coded streams.
pub(super) struct OpusDecoder {
    params: AudioCodecParameters,
    decoder: OpusMSDecoder,
    channels: usize,
    /// Factor of the output gain.
    gain: f32,
    /// Frames of the pre-skip that are still to be dropped.
    skip: usize,
    /// `[frame, channel]`, the output of the decoder.
    pcm: Vec<i16>,
    decoded: AudioBuffer<f32>,
}

impl OpusDecoder {
    fn new(params: &AudioCodecParameters) -> Result<Self> {
        let Some(bytes) = &params.extra_data else {
            return decode_error("opus: the identification header is missing");
        };
        let head = OpusHeader::parse(bytes)?;
        let channels = head.mapping.len();
        let decoder = OpusMSDecoder::new(
            RATE as i32,
            channels as i32,
            i32::from(head.streams),
            i32::from(head.coupled),
            &head.mapping,
        )
        .map_err(|_| {
            Error::DecodeError("opus: the channel mapping names streams that do not exist")
        })?;
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
        // The decoder treats an empty packet as a lost packet of any length.
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

#[cfg(test)]
mod tests {
    use ropus::{Application, Channels as Coded, Encoder};
    use symphonia::core::units::{Duration, Timestamp};

    use super::super::opus_header::tests::head;
    use super::*;

    /// Returns half a second of a tone, in packets of 20 ms.
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
    fn gain_pre_skip_and_padding_are_applied() {
        let (mut plain, mut changed) = (decoder(0, 0), decoder(1_000, -6 * 256));
        let (mut all, mut some) = (Vec::new(), Vec::new());
        for (i, packet) in packets().iter().enumerate() {
            all.extend(decode(&mut plain, packet, 0).unwrap());
            let padding = if i == 24 { 500 } else { 0 };
            some.extend(decode(&mut changed, packet, padding).unwrap());
        }
        assert_eq!(all.len(), 24_000);
        assert!(all[12_000..].iter().any(|&x| x > 0.2), "the tone is there");
        let factor = 10_f32.powf(-6.0 / 20.0);
        let expected: Vec<f32> = all[1_000..23_500].iter().map(|x| x * factor).collect();
        assert_eq!(some.len(), expected.len());
        let off = some.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-6);
    }

    #[test]
    fn a_damaged_packet_costs_only_its_place() {
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
        // A packet of its first byte alone means that the encoder had no sound to code.
        let concealed = decode(&mut decoder, &packets[1][..1], 0).unwrap();
        assert_eq!(concealed.len(), 960);
        for packet in &packets[2..] {
            let samples = decode(&mut decoder, packet, 0).unwrap();
            assert_eq!(samples.len(), 960);
            assert!(samples.iter().all(|x| x.abs() < 1.0));
        }
    }

    #[test]
    fn headers_without_a_possible_decoder_are_refused() {
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
            (
                head(2, 255, &[1, 0, 0, 1]),
                "names streams that do not exist",
            ),
        ];
        for (bytes, words) in cases {
            let mut params = AudioCodecParameters::new();
            params.with_extra_data(bytes.into());
            let error = OpusDecoder::new(&params).err().unwrap().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
    }
}
