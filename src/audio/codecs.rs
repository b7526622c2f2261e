//! The decoder of a track, made only once the track's parameters are within reason.

use std::sync::LazyLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known as codec_ids,
};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::default::register_enabled_codecs;

use super::lanes::{check_channels, check_rate};
use super::{AudioError, Job, aac, vorbis};

/// Frames a packet or block may hold; decoders allocate by it. FLAC's largest block is 65,535.
pub(super) const MAX_FRAMES: u64 = 131_072;

/// Channels a decoder may be made for, whatever the limit says.
const MAX_CHANNELS: usize = 32;

/// Who claims a shape, in errors.
pub(super) const ORIGIN: &str = "the stream";

/// symphonia's decoders and ours.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    register_enabled_codecs(&mut registry);
    #[cfg(feature = "opus")]
    registry.register_audio_decoder::<super::opus::OpusDecoder>();
    registry
});

/// What symphonia said, about the file of this name.
pub(super) fn cannot_read(name: &str, source: Error) -> AudioError {
    AudioError::Malformed {
        what: format!("cannot read this {name}"),
        source: Some(source),
    }
}

/// The layer that a codec of MPEG audio is.
pub(super) fn mpeg_layer(codec: AudioCodecId) -> Option<u8> {
    (1..=3).find(|&layer| mpeg_codec(layer) == codec)
}

/// The codec of a layer of MPEG audio.
pub(super) fn mpeg_codec(layer: u8) -> AudioCodecId {
    match layer {
        1 => codec_ids::CODEC_ID_MP1,
        2 => codec_ids::CODEC_ID_MP2,
        _ => codec_ids::CODEC_ID_MP3,
    }
}

/// The rate at which sound was sampled that is decoded at `rate`, both in Hz.
pub(super) fn captured_rate(params: &AudioCodecParameters, rate: u32) -> u32 {
    match params.codec {
        #[cfg(feature = "opus")]
        codec_ids::CODEC_ID_OPUS => {
            super::opus::captured_rate(params).map_or(rate, |captured| captured.min(rate))
        }
        _ => rate,
    }
}

/// The first audio track that can be decoded, or the name of the one that cannot.
pub(super) fn select<'r>(
    name: &str,
    reader: &'r (dyn FormatReader + '_),
) -> Result<(&'r Track, AudioCodecParameters), AudioError> {
    let audio = |track: &'r Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    };
    let known = |id| CODECS.get_audio_decoder(id).is_some();
    let mut tracks = reader.tracks().iter().filter_map(audio);
    if let Some((track, params)) = tracks.clone().find(|(_, params)| known(params.codec)) {
        #[cfg(feature = "opus")]
        let params = &super::opus::with_head(params.clone(), track.delay);
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

/// Hz of a track's timestamps, if they count frames of some rate.
pub(super) fn ticks(track: &Track) -> Option<u32> {
    let base = track.time_base?;
    (base.numer.get() == 1).then_some(base.denom.get())
}

/// Makes a decoder once its parameters are within reason.
pub(super) fn make_decoder(
    name: &str,
    params: &AudioCodecParameters,
    job: &Job,
) -> Result<Box<dyn AudioDecoder>, AudioError> {
    if let Some(rate) = params.sample_rate {
        check_rate(ORIGIN, rate)?;
    }
    let rewritten = match (params.codec, &params.extra_data) {
        (codec_ids::CODEC_ID_AAC, Some(config)) => aac::core(config)?,
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
                "this {name} claims {frames} frames a packet; at most {MAX_FRAMES} are taken"
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
    if let Some(known) = CODECS.get_audio_decoder(id) {
        return known.codec.info.long_name.into();
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
    let name = names.iter().find(|(known, _)| *known == id);
    name.map_or_else(|| format!("codec {id}"), |(_, name)| (*name).into())
}
