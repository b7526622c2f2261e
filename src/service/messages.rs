//! Between the protocol's messages and the engine's types.

use std::time::Duration;

use tonic::Status;

use super::pb;
use super::status::invalid;
use crate::audio::{Encoding, LaneChoice, RawFormat};
use crate::bundle::{Manifest, Turns};
use crate::decision::{Abstention, Prediction, SHORTEST_WINDOW, Span};
use crate::engine::{Caller, Class, Classification, Engine, Lane, Request, Timing};
use crate::frontend::{NarrowBand, SAMPLE_RATE, SEGMENT_SAMPLES};

const DEFAULT_WINDOW: Duration = Duration::from_secs(1);
/// What is told of formats; a codec inside them may still be refused by name.
const FORMATS: &[&str] = &[
    "WAV",
    "Wave64",
    "AU",
    "FLAC",
    "MP3",
    "MP2",
    "AAC (ADTS)",
    "MP4/M4A (AAC, ALAC)",
    "Ogg (Vorbis, FLAC)",
    "Matroska/WebM (Vorbis, FLAC, AAC, MP3, PCM)",
    #[cfg(feature = "opus")]
    "Opus (Ogg, Matroska/WebM, MP4)",
    "AIFF",
    "CAF",
    "PCM_S16LE",
    "PCM_F32LE",
    "MULAW",
    "ALAW",
];

/// A request as the engine takes it. The caller's class is for one that names no priority.
pub(super) fn request(
    request: pb::ClassifyRequest,
    manifest: &Manifest,
    mut caller: Caller,
) -> Result<Request, Status> {
    let config = request.config.unwrap_or_default();
    let options = request.options.unwrap_or_default();
    known_model(&options.model, manifest)?;
    if let Some(class) = class(options.priority)? {
        caller.class = class;
    }
    Ok(Request {
        encoding: encoding(&config)?,
        lanes: lanes(config.lanes)?,
        window: window(&options)?,
        audio: request.audio.into(),
        caller,
    })
}

fn class(priority: i32) -> Result<Option<Class>, Status> {
    match pb::Priority::try_from(priority) {
        Ok(pb::Priority::Unspecified) => Ok(None),
        Ok(pb::Priority::Interactive) => Ok(Some(Class::Interactive)),
        Ok(pb::Priority::Bulk) => Ok(Some(Class::Bulk)),
        Err(_) => {
            let message = format!("priority {priority} is not known to this server");
            Err(invalid("options.priority", message))
        }
    }
}

/// Whether the answer should say where the time went.
pub(super) fn wants_timing(request: &pb::ClassifyRequest) -> bool {
    let options = request.options.as_ref();
    options.is_some_and(|options| options.timing)
}

/// Refuses a model that is not served.
pub(super) fn known_model(name: &str, manifest: &Manifest) -> Result<(), Status> {
    if name.is_empty() || name == manifest.name {
        return Ok(());
    }
    let served = &manifest.name;
    Err(Status::not_found(format!(
        "there is no model `{name}` here; `{served}` is served"
    )))
}

fn encoding(config: &pb::AudioConfig) -> Result<Encoding, Status> {
    let format = match pb::AudioEncoding::try_from(config.encoding) {
        Ok(pb::AudioEncoding::Unspecified | pb::AudioEncoding::Auto) => return Ok(Encoding::Auto),
        Ok(pb::AudioEncoding::PcmS16le) => RawFormat::PcmS16Le,
        Ok(pb::AudioEncoding::PcmF32le) => RawFormat::PcmF32Le,
        Ok(pb::AudioEncoding::Mulaw) => RawFormat::Mulaw,
        Ok(pb::AudioEncoding::Alaw) => RawFormat::Alaw,
        Err(_) => {
            let message = format!("encoding {} is not known to this server", config.encoding);
            return Err(invalid("config.encoding", message));
        }
    };
    if config.sample_rate_hz == 0 {
        let message = "a raw encoding has no header; its sample rate is needed here";
        return Err(invalid("config.sample_rate_hz", message));
    }
    let channels = u16::try_from(config.channels.max(1)).map_err(|_| {
        invalid(
            "config.channels",
            format!("{} channels are too many", config.channels),
        )
    })?;
    Ok(Encoding::Raw {
        format,
        sample_rate: config.sample_rate_hz,
        channels,
    })
}

fn lanes(lanes: Option<pb::Lanes>) -> Result<LaneChoice, Status> {
    use pb::lanes::Choice;
    Ok(match lanes.and_then(|lanes| lanes.choice) {
        None | Some(Choice::Mix(false) | Choice::Each(false)) => LaneChoice::Auto,
        Some(Choice::Mix(true)) => LaneChoice::Mix,
        Some(Choice::Each(true)) => LaneChoice::Each,
        Some(Choice::Select(channel)) => {
            LaneChoice::Select(u16::try_from(channel).map_err(|_| {
                invalid(
                    "config.lanes.select",
                    format!("there is no channel {channel}"),
                )
            })?)
        }
    })
}

fn window(options: &pb::Options) -> Result<Option<Duration>, Status> {
    let window = match options.window {
        None => DEFAULT_WINDOW,
        Some(window) => Duration::try_from(window)
            .map_err(|_| invalid("options.window", "the window is not a positive duration"))?,
    };
    if window < SHORTEST_WINDOW {
        let least = SHORTEST_WINDOW.as_millis();
        let message = format!(
            "a window of {} ms is too short; {least} ms are needed",
            window.as_millis()
        );
        return Err(invalid("options.window", message));
    }
    Ok(options.timeline.then_some(window))
}

/// The answer as the protocol gives it.
pub(super) fn response(
    answer: &Classification,
    manifest: &Manifest,
    timing: bool,
) -> pb::ClassifyResponse {
    pb::ClassifyResponse {
        model: Some(model_ref(manifest)),
        audio_duration: Some(duration(answer.duration)),
        lanes: answer
            .lanes
            .iter()
            .map(|lane| self::lane(lane, manifest))
            .collect(),
        truncated: answer.truncated,
        remixed: answer.remixed,
        narrow_band: answer.narrow_band,
        timing: timing.then(|| self::timing(answer.timing)),
    }
}

fn lane(lane: &Lane, manifest: &Manifest) -> pb::Lane {
    pb::Lane {
        index: u32::try_from(lane.index).unwrap_or(u32::MAX),
        total: Some(prediction(&lane.total, manifest)),
        turns: spans(&lane.turns, manifest),
        timeline: spans(&lane.timeline, manifest),
    }
}

fn spans(spans: &[Span], manifest: &Manifest) -> Vec<pb::Span> {
    spans
        .iter()
        .map(|span| self::span(span, manifest))
        .collect()
}

fn span(span: &Span, manifest: &Manifest) -> pb::Span {
    pb::Span {
        start: Some(duration(span.start)),
        end: Some(duration(span.end)),
        prediction: Some(prediction(&span.prediction, manifest)),
        speech_share: span.speech_share,
    }
}

fn prediction(prediction: &Prediction, manifest: &Manifest) -> pb::Prediction {
    use pb::AbstentionReason as Reason;
    let reason = match prediction.abstention {
        None => Reason::Unspecified,
        Some(Abstention::NoSpeech) => Reason::NoSpeech,
        Some(Abstention::TooShort) => Reason::TooShort,
        Some(Abstention::LowConfidence) => Reason::LowConfidence,
    };
    let emotions = manifest.labels.iter().zip(&prediction.probabilities);
    pb::Prediction {
        label: manifest.labels[prediction.label].clone(),
        confidence: prediction.confidence(),
        abstained: prediction.abstention.is_some(),
        reason: reason.into(),
        emotions: emotions
            .map(|(label, &probability)| pb::Emotion {
                label: label.clone(),
                probability,
            })
            .collect(),
    }
}

fn timing(timing: Timing) -> pb::Timing {
    pb::Timing {
        decode: Some(duration(timing.decode)),
        queue: Some(duration(timing.spent.queue)),
        device: Some(duration(timing.spent.device)),
    }
}

/// What is served, as the protocol says it.
pub(super) fn model(engine: &Engine) -> pb::GetModelResponse {
    let (manifest, limits) = (engine.manifest(), engine.limits());
    let samples = |samples: usize| Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE));
    let hop = manifest.frontend.segment_hop * manifest.frontend.frame_hop;
    pb::GetModelResponse {
        model: Some(model_ref(manifest)),
        labels: manifest.labels.clone(),
        front_end: Some(pb::FrontEnd {
            sample_rate_hz: SAMPLE_RATE,
            segment: Some(duration(samples(SEGMENT_SAMPLES))),
            hop: Some(duration(samples(hop))),
            narrow_band: narrow_band(manifest.frontend.narrow_band).into(),
        }),
        limits: Some(pb::Limits {
            audio_bytes: limits.bytes as u64,
            audio_duration: Some(duration(Duration::from_secs_f64(limits.seconds))),
            channels: limits.channels.into(),
        }),
        formats: FORMATS.iter().map(ToString::to_string).collect(),
        card: engine.card().to_owned(),
        device: engine.provider().name().into(),
        turn_detection: manifest.turns.map(turn_detection),
    }
}

fn turn_detection(turns: Turns) -> pb::TurnDetection {
    let Turns {
        least_speech_ms,
        end_silence_ms,
        lead_in_ms,
        lead_out_ms,
    } = turns;
    let milliseconds = |ms: u32| Some(duration(Duration::from_millis(ms.into())));
    pb::TurnDetection {
        least_speech: milliseconds(least_speech_ms),
        end_silence: milliseconds(end_silence_ms),
        lead_in: milliseconds(lead_in_ms),
        lead_out: milliseconds(lead_out_ms),
    }
}

fn narrow_band(handling: NarrowBand) -> pb::NarrowBand {
    match handling {
        NarrowBand::AsIs => pb::NarrowBand::AsIs,
        NarrowBand::Mean => pb::NarrowBand::Mean,
    }
}

fn model_ref(manifest: &Manifest) -> pb::ModelRef {
    pb::ModelRef {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
    }
}

/// Exact: a day of audio is far inside the range of the protocol's durations.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}
