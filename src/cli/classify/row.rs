//! Rows of the output: one for each lane, as JSON or as cells of the table.
//!
//! Scripts depend on the names and the meaning of the JSON keys.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::service::pb::{AbstentionReason, ClassifyResponse, Lane, Prediction, Span};

/// Stands in the table in place of the confidence of a prediction that abstains.
const NO_CONFIDENCE: &str = "-";

/// One lane of one file.
#[derive(Serialize)]
pub(super) struct LaneRow<'a> {
    file: &'a str,
    lane: u32,
    duration_s: f64,
    narrow_band: bool,
    truncated: bool,
    remixed: bool,
    #[serde(flatten)]
    total: PredictionRow<'a>,
    turns: Vec<TurnRow<'a>>,
    model: String,
}

/// One turn of a lane.
#[derive(Serialize)]
struct TurnRow<'a> {
    start_s: f64,
    end_s: f64,
    #[serde(flatten)]
    prediction: PredictionRow<'a>,
}

/// The prediction for a lane or a turn.
#[derive(Serialize)]
struct PredictionRow<'a> {
    label: &'a str,
    confidence: f32,
    abstained: bool,
    reason: Option<&'static str>,
    probabilities: Map<String, Value>,
}

impl<'a> LaneRow<'a> {
    /// The head of the table whose cells [`LaneRow::cells`] returns.
    pub(super) const HEAD: [&'static str; 6] =
        ["file", "lane", "seconds", "label", "confidence", "note"];

    pub(super) fn new(file: &'a str, lane: &'a Lane, response: &ClassifyResponse) -> Self {
        let model = response.model.clone().unwrap_or_default();
        Self {
            file,
            lane: lane.index,
            duration_s: seconds(response.audio_duration),
            narrow_band: response.narrow_band,
            truncated: response.truncated,
            remixed: response.channels_changed,
            total: prediction(lane.total.as_ref()),
            turns: lane.turns.iter().map(turn).collect(),
            model: format!("{} {}", model.name, model.version),
        }
    }

    /// Returns the cells of the table. A prediction that abstains shows its reason in place of the label, so that
    /// nobody mistakes the label for an answer.
    pub(super) fn cells(&self) -> [String; 6] {
        let total = &self.total;
        let (label, confidence) = if total.abstained {
            (total.reason.unwrap_or("ABSTAINED"), NO_CONFIDENCE.into())
        } else {
            (total.label, format!("{:.3}", total.confidence))
        };
        // The column holds seven characters. With one digit less from 10,000 s on, this is enough up to 28 hours.
        let digits = if self.duration_s < 9_999.995 { 2 } else { 1 };
        [
            self.file.to_owned(),
            self.lane.to_string(),
            format!("{:.digits$}", self.duration_s),
            label.to_owned(),
            confidence,
            self.note(),
        ]
    }

    fn note(&self) -> String {
        let notes = [
            self.narrow_band.then_some("narrow band"),
            self.truncated.then_some("truncated"),
            self.remixed.then_some("channels change"),
        ];
        let notes: Vec<&str> = notes.into_iter().flatten().collect();
        notes.join(", ")
    }
}

fn turn(span: &Span) -> TurnRow<'_> {
    TurnRow {
        start_s: seconds(span.start),
        end_s: seconds(span.end),
        prediction: prediction(span.prediction.as_ref()),
    }
}

fn prediction(prediction: Option<&Prediction>) -> PredictionRow<'_> {
    let emotions = prediction.map_or(&[][..], |prediction| &prediction.emotions);
    PredictionRow {
        label: prediction.map_or("", |prediction| &prediction.label),
        confidence: prediction.map_or(0.0, |prediction| prediction.confidence),
        abstained: prediction.is_some_and(|prediction| prediction.abstained),
        reason: prediction.and_then(|prediction| reason(prediction.reason())),
        probabilities: emotions
            .iter()
            .map(|emotion| (emotion.label.clone(), emotion.probability.into()))
            .collect(),
    }
}

fn reason(reason: AbstentionReason) -> Option<&'static str> {
    match reason {
        AbstentionReason::Unspecified => None,
        AbstentionReason::NoSpeech => Some("NO_SPEECH"),
        AbstentionReason::TooShort => Some("TOO_SHORT"),
        AbstentionReason::LowConfidence => Some("LOW_CONFIDENCE"),
    }
}

/// Returns a duration in seconds.
pub(super) fn seconds(duration: Option<prost_types::Duration>) -> f64 {
    let duration = duration.unwrap_or_default();
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}
