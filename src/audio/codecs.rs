//! Selects a track of a container and creates its decoder, after checking the track's parameters.
//!
//! Decoders allocate memory by these parameters before they read a packet.

use std::sync::LazyLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known as codec_ids,
};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::default::register_enabled_codecs;

use super::job::DecodeJob;
use super::source_checks::{check_channels, check_rate};
use super::{AudioError, aac, vorbis};

/// Frames that a packet or block may hold. Decoders allocate this many. FLAC's largest block has 65,535.
pub(super) const MAX_FRAMES: u64 = 131_072;

/// Channels that a decoder may be created for, even if the limit is higher.
const MAX_CHANNELS: usize = 32;

/// Who claims a rate or channel count, in errors.
pub(super) const ORIGIN: &str = "the stream";

/// symphonia's decoders, and the decoder of Opus.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    register_enabled_codecs(&mut registry);
    #[cfg(feature = "opus")]
    registry.register_audio_decoder::<super::opus::OpusDecoder>();
    registry
});

/// Returns the error for a file of the format `name` that symphonia cannot read.
pub(super) fn cannot_read(name: &str, source: Error) -> AudioError {
    AudioError::Malformed {
        what: format!("cannot read this {name}"),
        source: Some(source),
    }
}

/// Returns the MPEG audio layer of a codec, 1 to 3.
pub(super) fn mpeg_layer(codec: AudioCodecId) -> Option<u8> {
    (1..=3).find(|&layer| mpeg_codec(layer) == codec)
}

/// Returns the codec of an MPEG audio layer.
pub(super) fn mpeg_codec(layer: u8) -> AudioCodecId {
    match layer {
        1 => codec_ids::CODEC_ID_MP1,
        2 => codec_ids::CODEC_ID_MP2,
        _ => codec_ids::CODEC_ID_MP3,
    }
}

/// Returns the rate in Hz at which the sound was sampled, if it is decoded at `rate` Hz.
pub(super) fn captured_rate(params: &AudioCodecParameters, rate: u32) -> u32 {
    match params.codec {
        #[cfg(feature = "opus")]
        codec_ids::CODEC_ID_OPUS => {
            super::opus_header::captured_rate(params).map_or(rate, |captured| captured.min(rate))
        }
        _ => rate,
    }
}

/// Returns the first audio track that can be decoded.
///
/// # Errors
/// [`AudioError::Unsupported`] names the codec of the first audio track if none can be decoded.
pub(super) fn select_track<'r>(
    name: &str,
    reader: &'r (dyn FormatReader + '_),
) -> Result<(&'r Track, AudioCodecParameters), AudioError> {
    let audio = |track: &'r Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    };
    let supported = |id| CODECS.get_audio_decoder(id).is_some();
    let mut tracks = reader.tracks().iter().filter_map(audio);
    if let Some((track, params)) = tracks.clone().find(|(_, params)| supported(params.codec)) {
        #[cfg(feature = "opus")]
        let params = &super::opus_header::with_header(params.clone(), track.delay);
        return Ok((track, params.clone()));
    }
    match tracks.next() {
        Some((_, params)) => Err(AudioError::Unsupported {
            codec: codec_name(params.codec),
        }),
        None if reader.first_track(TrackType::Video).is_some() => Err(AudioError::malformed(
            format!("this {name} has video but no audio track"),
        )),
        None => Err(AudioError::Unsupported {
            codec: format!("the audio in this {name}"),
        }),
    }
}

/// Returns the ticks per second of a track's timestamps, if that is a whole number.
pub(super) fn ticks_per_second(track: &Track) -> Option<u32> {
    let base = track.time_base?;
    (base.numer.get() == 1).then_some(base.denom.get())
}

/// Creates a decoder if its parameters are within the limits.
pub(super) fn make_decoder(
    name: &str,
    params: &AudioCodecParameters,
    job: &DecodeJob,
) -> Result<Box<dyn AudioDecoder>, AudioError> {
    if let Some(rate) = params.sample_rate {
        check_rate(ORIGIN, rate)?;
    }
    let rewritten = match (params.codec, &params.extra_data) {
        (codec_ids::CODEC_ID_AAC, Some(config)) => aac::core_config(config)?,
        _ => None,
    };
    let changed = rewritten.map(|config| AudioCodecParameters {
        extra_data: Some(config.into()),
        ..params.clone()
    });
    let params = changed.as_ref().unwrap_or(params);
    if let Some(channels) = &params.channels {
        let limit = job.limits.channels.min(MAX_CHANNELS as u16);
        check_channels(ORIGIN, channels.count() as u32, limit)?;
    }
    for frames in [params.max_frames_per_packet, params.frames_per_block]
        .into_iter()
        .flatten()
    {
        if frames > MAX_FRAMES {
            return Err(AudioError::malformed(format!(
                "this {name} claims {frames} frames per packet; at most {MAX_FRAMES} are accepted"
            )));
        }
    }
    if let (codec_ids::CODEC_ID_VORBIS, Some(extra)) = (params.codec, &params.extra_data) {
        vorbis::check_codebooks(name, extra)?;
    }
    CODECS
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|source| match source {
            Error::Unsupported(feature) => AudioError::Unsupported {
                codec: format!("{} ({feature})", codec_name(params.codec)),
            },
            source => cannot_read(name, source),
        })
}

fn codec_name(id: AudioCodecId) -> String {
    if let Some(registered) = CODECS.get_audio_decoder(id) {
        return registered.codec.info.long_name.into();
    }
    let names = [
        (codec_ids::CODEC_ID_OPUS, "Opus"),
        (codec_ids::CODEC_ID_SPEEX, "Speex"),
        (codec_ids::CODEC_ID_AC3, "AC-3"),
        (codec_ids::CODEC_ID_EAC3, "E-AC-3"),
        (codec_ids::CODEC_ID_AC4, "AC-4"),
        (codec_ids::CODEC_ID_DCA, "DTS"),
        (codec_ids::CODEC_ID_WMA, "Windows Media Audio (WMA)"),
        (codec_ids::CODEC_ID_WAVPACK, "WavPack"),
        (codec_ids::CODEC_ID_TTA, "True Audio (TTA)"),
        (codec_ids::CODEC_ID_MUSEPACK, "Musepack"),
        (codec_ids::CODEC_ID_MONKEYS_AUDIO, "Monkey's Audio (APE)"),
        (codec_ids::CODEC_ID_TRUEHD, "TrueHD"),
        (codec_ids::CODEC_ID_ADPCM_G722, "G.722"),
        (codec_ids::CODEC_ID_ADPCM_G726, "G.726"),
        (codec_ids::CODEC_ID_ADPCM_G726LE, "G.726"),
    ];
    let name = names.iter().find(|(codec, _)| *codec == id);
    name.map_or_else(|| format!("codec {id}"), |(_, name)| (*name).into())
}
