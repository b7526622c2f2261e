//! `undertone classify`: files to judgements, by an engine of our own or by a server.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::{CliError, table};
use crate::engine::{Engine, Options};
use crate::service::Emotion;
use crate::service::pb::emotion_service_client::EmotionServiceClient;
use crate::service::pb::emotion_service_server::EmotionService as _;
use crate::service::pb::{
    AbstentionReason, ClassifyRequest, ClassifyResponse, Judgement, Lane, Span,
};

/// Files under way at a time: enough to fill batches, and few enough to hold in memory.
const FILES_AT_A_TIME: usize = 8;

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Audio files: WAV, FLAC, MP3, Ogg, M4A and more
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask a server instead, such as http://127.0.0.1:50051
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// One JSON object a line for each lane
    #[arg(long)]
    json: bool,
    /// Folder of the model's bundle [default: the embedded one]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    onnxruntime: Option<PathBuf>,
}

/// Who judges.
enum Judge {
    Here(Emotion),
    Server(EmotionServiceClient<Channel>),
}

/// One line of output.
#[derive(Serialize)]
struct Row<'a> {
    file: &'a str,
    lane: u32,
    duration_s: f64,
    narrow_band: bool,
    truncated: bool,
    remixed: bool,
    #[serde(flatten)]
    total: Said<'a>,
    turns: Vec<Turn<'a>>,
    model: String,
}

/// One turn of a lane.
#[derive(Serialize)]
struct Turn<'a> {
    start_s: f64,
    end_s: f64,
    #[serde(flatten)]
    said: Said<'a>,
}

/// A judgement.
#[derive(Serialize)]
struct Said<'a> {
    label: &'a str,
    confidence: f32,
    abstained: bool,
    reason: Option<&'static str>,
    probabilities: Map<String, Value>,
}

pub(super) fn run(flags: &Flags) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(classify(flags))
}

async fn classify(flags: &Flags) -> Result<ExitCode, CliError> {
    let judge = Judge::new(flags).await?;
    let judge = &judge;
    let bar = progress(flags.files.len());
    let mut answers = stream::iter(&flags.files)
        .map(async |file| (file, judge.file(file).await))
        .buffered(FILES_AT_A_TIME);
    let mut table = table::Table::new(&["file", "lane", "seconds", "label", "confidence", "note"]);
    let mut failed = 0;
    while let Some((file, answer)) = answers.next().await {
        bar.inc(1);
        let name = file.display().to_string();
        match answer {
            Ok(answer) => {
                for row in answer.lanes.iter().map(|lane| row(&name, lane, &answer)) {
                    if flags.json {
                        bar.suspend(|| writeln!(std::io::stdout(), "{}", serde_json::json!(row)))?;
                    } else {
                        table.row(vec![
                            row.file.to_owned(),
                            row.lane.to_string(),
                            format!("{:.2}", row.duration_s),
                            row.total.label.to_owned(),
                            format!("{:.3}", row.total.confidence),
                            note(&row),
                        ]);
                    }
                }
            }
            Err(reason) => {
                failed += 1;
                bar.suspend(|| eprintln!("undertone: {name}: {reason}"));
            }
        }
    }
    bar.finish_and_clear();
    if !flags.json {
        write!(std::io::stdout(), "{table}")?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Judge {
    async fn new(flags: &Flags) -> Result<Self, CliError> {
        if let Some(url) = &flags.server {
            let failed = |error: tonic::transport::Error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                CliError::Connect {
                    url: url.clone(),
                    reason: cause.unwrap_or(error.to_string()),
                }
            };
            let channel = Channel::from_shared(url.clone())
                .map_err(|error| CliError::Connect {
                    url: url.clone(),
                    reason: error.to_string(),
                })?
                .connect()
                .await
                .map_err(failed)?;
            let client = EmotionServiceClient::new(channel);
            return Ok(Self::Server(client.max_decoding_message_size(usize::MAX)));
        }
        let options = Options {
            bundle: flags.bundle.clone(),
            onnxruntime: flags.onnxruntime.clone(),
            ..Options::default()
        };
        let engine = tokio::task::spawn_blocking(move || Engine::open(&options)).await??;
        Ok(Self::Here(Emotion::new(Arc::new(engine))))
    }

    /// Judges a file; the reason in words if it cannot be judged.
    async fn file(&self, file: &Path) -> Result<ClassifyResponse, String> {
        let audio = std::fs::read(file).map_err(|error| error.to_string())?;
        let request = Request::new(ClassifyRequest {
            audio: audio.into(),
            ..Default::default()
        });
        let answer = match self {
            Self::Here(service) => service.classify(request).await,
            Self::Server(client) => client.clone().classify(request).await,
        };
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status: Status| format!("{} ({:?})", status.message(), status.code()))
    }
}

fn row<'a>(file: &'a str, lane: &'a Lane, answer: &ClassifyResponse) -> Row<'a> {
    let model = answer.model.clone().unwrap_or_default();
    Row {
        file,
        lane: lane.index,
        duration_s: seconds(answer.audio_duration),
        narrow_band: answer.narrow_band,
        truncated: answer.truncated,
        remixed: answer.remixed,
        total: said(lane.total.as_ref()),
        turns: lane.turns.iter().map(turn).collect(),
        model: format!("{} {}", model.name, model.version),
    }
}

fn turn(span: &Span) -> Turn<'_> {
    Turn {
        start_s: seconds(span.start),
        end_s: seconds(span.end),
        said: said(span.judgement.as_ref()),
    }
}

fn said(judgement: Option<&Judgement>) -> Said<'_> {
    let emotions = judgement.map_or(&[][..], |judgement| &judgement.emotions);
    Said {
        label: judgement.map_or("", |judgement| &judgement.label),
        confidence: judgement.map_or(0.0, |judgement| judgement.confidence),
        abstained: judgement.is_some_and(|judgement| judgement.abstained),
        reason: judgement.and_then(|judgement| reason(judgement.reason())),
        probabilities: emotions
            .iter()
            .map(|emotion| (emotion.label.clone(), emotion.probability.into()))
            .collect(),
    }
}

/// What a person should know beside the label.
fn note(row: &Row<'_>) -> String {
    let band = row.narrow_band.then_some("narrow band");
    let cut = row.truncated.then_some("truncated");
    let mixed = row.remixed.then_some("channels change");
    let facts = [band, cut, mixed].into_iter().flatten();
    let notes: Vec<&str> = row.total.reason.into_iter().chain(facts).collect();
    notes.join(", ")
}

fn seconds(duration: Option<prost_types::Duration>) -> f64 {
    let duration = duration.unwrap_or_default();
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

fn reason(reason: AbstentionReason) -> Option<&'static str> {
    match reason {
        AbstentionReason::Unspecified => None,
        AbstentionReason::NoSpeech => Some("NO_SPEECH"),
        AbstentionReason::TooShort => Some("TOO_SHORT"),
        AbstentionReason::LowConfidence => Some("LOW_CONFIDENCE"),
    }
}

/// A bar on standard error, if that is a terminal and there is more than one file.
fn progress(files: usize) -> ProgressBar {
    if files < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(files as u64);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
