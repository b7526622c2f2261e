//! Conversion between the protocol's messages and the engine's types.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

use super::pb;
use super::status::invalid;
use crate::audio::{Encoding, LaneChoice, RawFormat};
use crate::bundle::{Manifest, Turns};
use crate::decision::{Abstention, Prediction, SHORTEST_WINDOW, Span};
use crate::engine::{Caller, Class, Classification, Engine, Lane, Request, Timing};
use crate::frontend::{NarrowBand, SAMPLE_RATE, SEGMENT_SAMPLES};

const DEFAULT_WINDOW: Duration = Duration::from_secs(1);
/// The formats that `GetModel` lists. A file of such a format may still be refused because of its codec.
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

/// Converts a request for the engine. The caller's class applies to a request without a priority.
///
/// # Errors
/// INVALID_ARGUMENT with the path of the field, or NOT_FOUND for another model.
pub(super) fn request(
    request: pb::ClassifyRequest,
    manifest: &Manifest,
    mut caller: Caller,
) -> Result<Request, Status> {
    let config = request.config.unwrap_or_default();
    let options = request.options.unwrap_or_default();
    check_model(&options.model, manifest)?;
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
            let message = format!("priority {priority} is not defined; use INTERACTIVE or BULK");
            Err(invalid("options.priority", message))
        }
    }
}

/// Returns whether the response must contain the timing.
pub(super) fn wants_timing(request: &pb::ClassifyRequest) -> bool {
    let options = request.options.as_ref();
    options.is_some_and(|options| options.timing)
}

/// Checks that a model is the served one.
///
/// # Errors
/// NOT_FOUND for another model.
pub(super) fn check_model(name: &str, manifest: &Manifest) -> Result<(), Status> {
    if name.is_empty() || name == manifest.name {
        return Ok(());
    }
    let served = &manifest.name;
    Err(Status::not_found(format!(
        "there is no model `{name}` on this server; it serves `{served}`"
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
            let message = format!(
                "encoding {} is not defined; use one of AudioEncoding",
                config.encoding
            );
            return Err(invalid("config.encoding", message));
        }
    };
    if config.sample_rate_hz == 0 {
        let message = "a headerless encoding needs its sample rate in this field";
        return Err(invalid("config.sample_rate_hz", message));
    }
    let channels = u16::try_from(config.channels.max(1)).map_err(|_| {
        invalid(
            "config.channels",
            format!(
                "{} channels are too many; at most {} are possible",
                config.channels,
                u16::MAX
            ),
        )
    })?;
    Ok(Encoding::Raw {
        format,
        sample_rate: config.sample_rate_hz,
        channels,
    })
}

fn lanes(lanes: Option<pb::LaneChoice>) -> Result<LaneChoice, Status> {
    use pb::lane_choice::Choice;
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

fn window(options: &pb::ClassifyOptions) -> Result<Option<Duration>, Status> {
    let window = match options.window {
        None => DEFAULT_WINDOW,
        Some(window) => Duration::try_from(window).map_err(|_| {
            let least = SHORTEST_WINDOW.as_millis();
            let message =
                format!("the window is not a positive duration; the shortest is {least} ms");
            invalid("options.window", message)
        })?,
    };
    if window < SHORTEST_WINDOW {
        let least = SHORTEST_WINDOW.as_millis();
        let message = format!(
            "a window of {} ms is too short; the shortest is {least} ms",
            window.as_millis()
        );
        return Err(invalid("options.window", message));
    }
    Ok(options.timeline.then_some(window))
}

/// Converts a classification into a response, with its timing if `timing` is true.
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
        channels_changed: answer.channels_changed,
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

/// Returns a status as the error of one recording of a `BatchClassify` call.
pub(super) fn batch_error(status: &Status) -> pb::BatchClassifyError {
    let field = status.get_details_bad_request().and_then(|details| {
        let first = details.field_violations.into_iter().next();
        first.map(|violation| violation.field)
    });
    let retry_delay = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    pb::BatchClassifyError {
        code: status.code().into(),
        message: status.message().to_owned(),
        field: field.unwrap_or_default(),
        retry_delay: retry_delay.map(duration),
    }
}

/// Returns the response of `GetModel`.
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
            narrow_band_handling: narrow_band_handling(manifest.frontend.narrow_band).into(),
        }),
        limits: Some(pb::Limits {
            max_audio_bytes: limits.bytes as u64,
            max_audio_duration: Some(duration(Duration::from_secs_f64(limits.seconds))),
            max_channels: limits.channels.into(),
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
        min_speech: milliseconds(least_speech_ms),
        end_silence: milliseconds(end_silence_ms),
        lead_in: milliseconds(lead_in_ms),
        lead_out: milliseconds(lead_out_ms),
    }
}

fn narrow_band_handling(handling: NarrowBand) -> pb::NarrowBandHandling {
    match handling {
        NarrowBand::AsIs => pb::NarrowBandHandling::AsIs,
        NarrowBand::Mean => pb::NarrowBandHandling::TrainingMean,
    }
}

fn model_ref(manifest: &Manifest) -> pb::ModelRef {
    pb::ModelRef {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
    }
}

/// Converts a duration. The conversion is exact for all durations below 2⁶³ seconds.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::status;

    #[test]
    fn a_batch_error_keeps_the_fields_of_its_status() {
        let retry_after = Duration::from_millis(70);
        let busy = status::busy("full".into(), retry_after);
        let error = batch_error(&busy);
        assert_eq!((error.code, &*error.message), (8, busy.message()));
        assert_eq!(error.retry_delay, Some(duration(retry_after)));
        assert_eq!(batch_error(&invalid("audio", "empty")).field, "audio");
    }
}
