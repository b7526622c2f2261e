//! `undertone classify`: files to predictions, by an engine of our own or by a server.

mod classifier;
mod progress;
mod target;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::{Map, Value};

use self::classifier::Classifier;
use self::progress::{LOOK, Progress, Summary};
use self::target::Target;
use super::signals::{Signal, Signals};
use super::{CliError, say, table};
use crate::service::pb::{AbstentionReason, ClassifyResponse, Lane, Prediction, Span};

/// Files under way at a time: enough to fill batches.
const FILES_AT_A_TIME: usize = 8;

/// What stands where a prediction abstains, in place of its confidence.
const NO_CONFIDENCE: &str = "-";

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Audio files: WAV, FLAC, MP3, Ogg, M4A and more
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask a server instead: http://HOST:PORT, HOST:PORT or unix:PATH
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
    server: Option<Target>,
    /// One JSON object a line for each lane, and for each file that fails
    #[arg(long)]
    json: bool,
    /// Folder of the model's bundle [default: the embedded one]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    onnxruntime: Option<PathBuf>,
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

/// A prediction.
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
    let done = runtime.block_on(classify(flags));
    // Decoding that nobody waits for any more is not waited for either.
    runtime.shutdown_background();
    done
}

async fn classify(flags: &Flags) -> Result<ExitCode, CliError> {
    let mut stop = Signals::listen()?.first();
    let classifier = tokio::select! {
        biased;
        Ok(signal) = &mut stop => return Ok(ExitCode::from(signal.exit_code())),
        classifier = Classifier::new(flags) => classifier?,
    };
    let classifier = &classifier;
    let mut report = Report::new(flags);
    let mut in_turn = InTurn::default();
    let files = flags.files.iter().enumerate();
    let work: Vec<_> = files
        .map(|(number, file)| (number, file, report.progress.decoded(number)))
        .collect();
    let mut answers = stream::iter(work)
        .map(async |(number, file, decoded)| (number, classifier.file(file, decoded).await))
        .buffer_unordered(FILES_AT_A_TIME);
    let mut look = tokio::time::interval(LOOK);
    let stopped = loop {
        tokio::select! {
            biased;
            Ok(signal) = &mut stop => break Some(signal),
            answer = answers.next() => {
                let Some((number, answer)) = answer else {
                    break None;
                };
                report.done(number, &answer);
                in_turn.done(number, answer);
                while let Some((number, answer)) = in_turn.next() {
                    report.answer(number, &answer)?;
                }
            }
            _ = look.tick() => report.progress.look(),
        }
    };
    for (number, answer) in in_turn.early {
        report.answer(number, &answer)?;
    }
    let failed = report.end(stopped.map(Signal::name));
    Ok(match stopped {
        Some(signal) => ExitCode::from(signal.exit_code()),
        None if failed > 0 => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

/// What is done, in the order of the command line: each as soon as those before it are there.
struct InTurn<T> {
    next: usize,
    /// Done before their turn.
    early: BTreeMap<usize, T>,
}

impl<T> Default for InTurn<T> {
    fn default() -> Self {
        Self {
            next: 0,
            early: BTreeMap::new(),
        }
    }
}

impl<T> InTurn<T> {
    fn done(&mut self, number: usize, what: T) {
        self.early.insert(number, what);
    }

    fn next(&mut self) -> Option<(usize, T)> {
        let what = self.early.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, what))
    }
}

/// What comes of the files, on standard output and standard error.
struct Report<'a> {
    flags: &'a Flags,
    table: table::Table,
    headed: bool,
    progress: Progress,
    summary: Summary,
}

impl<'a> Report<'a> {
    fn new(flags: &'a Flags) -> Self {
        let names = flags.files.iter();
        let names = names.map(|file| file.display().to_string().chars().count());
        // The widest label is a reason for abstaining.
        let widths = [names.max().unwrap_or(0).max(4), 4, 7, 14, 10, 0];
        Self {
            flags,
            table: table::Table::new(&widths),
            headed: false,
            progress: Progress::new(&flags.files),
            summary: Summary::new(flags.files.len()),
        }
    }

    /// A file is done, whether or not it is its turn.
    fn done(&mut self, number: usize, answer: &Result<ClassifyResponse, String>) {
        let length = answer.as_ref().map(|answer| seconds(answer.audio_duration));
        self.progress.done(number, length.unwrap_or(0.0));
    }

    fn answer(
        &mut self,
        number: usize,
        answer: &Result<ClassifyResponse, String>,
    ) -> io::Result<()> {
        let name = self.flags.files[number].display().to_string();
        match answer {
            Ok(answer) => {
                self.summary.classified(seconds(answer.audio_duration));
                answer
                    .lanes
                    .iter()
                    .try_for_each(|lane| self.row(&row(&name, lane, answer)))
            }
            Err(reason) => {
                self.summary.failed(reason);
                self.progress.print(|| say(&format!("{name}: {reason}")));
                match self.flags.json {
                    true => self
                        .print(&serde_json::json!({ "file": name, "error": reason }).to_string()),
                    false => Ok(()),
                }
            }
        }
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if self.flags.json {
            return self.print(&serde_json::json!(row).to_string());
        }
        if !self.headed {
            self.headed = true;
            let head = ["file", "lane", "seconds", "label", "confidence", "note"];
            self.print(&self.table.line(&head))?;
        }
        let (label, confidence) = shown(&row.total);
        // As many characters up to 28 hours.
        let digits = if row.duration_s < 9_999.995 { 2 } else { 1 };
        self.print(&self.table.line(&[
            row.file,
            &row.lane.to_string(),
            &format!("{:.digits$}", row.duration_s),
            label,
            &confidence,
            &note(row),
        ]))
    }

    fn print(&self, line: &str) -> io::Result<()> {
        self.progress.print(|| writeln!(io::stdout(), "{line}"))
    }

    /// Ends with the summary; how many files failed.
    fn end(self, stopped: Option<&str>) -> usize {
        self.progress.finish();
        for line in self.summary.lines(stopped) {
            say(&line);
        }
        self.summary.failures()
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
        said: said(span.prediction.as_ref()),
    }
}

fn said(prediction: Option<&Prediction>) -> Said<'_> {
    let emotions = prediction.map_or(&[][..], |prediction| &prediction.emotions);
    Said {
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

/// Label and confidence for a person: where the prediction abstains its reason, so that nobody takes the
/// label for an answer.
fn shown<'a>(said: &Said<'a>) -> (&'a str, String) {
    match (said.abstained, said.reason) {
        (false, _) => (said.label, format!("{:.3}", said.confidence)),
        (true, reason) => (reason.unwrap_or("ABSTAINED"), NO_CONFIDENCE.into()),
    }
}

/// What a person should know beside the label.
fn note(row: &Row<'_>) -> String {
    let band = row.narrow_band.then_some("narrow band");
    let cut = row.truncated.then_some("truncated");
    let mixed = row.remixed.then_some("channels change");
    let facts = [band, cut, mixed].into_iter().flatten();
    let notes: Vec<&str> = facts.collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_early_waits_for_its_turn_and_is_kept() {
        let mut in_turn = InTurn::default();
        in_turn.done(1, 'b');
        assert_eq!(in_turn.next(), None);
        in_turn.done(0, 'a');
        in_turn.done(3, 'd');
        assert_eq!(in_turn.next(), Some((0, 'a')));
        assert_eq!(in_turn.next(), Some((1, 'b')));
        assert_eq!(in_turn.next(), None);
        assert_eq!(Vec::from_iter(in_turn.early), [(3, 'd')]);
    }
}
