//! `undertone classify`: classifies files, in this process or on a server.
//!
//! Files are classified several at a time. Their results are printed in the order of the command line.

mod classifier;
mod flags;
mod progress;
mod row;
mod target;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;

use futures_util::{StreamExt as _, stream};

use self::classifier::Classifier;
pub(super) use self::flags::ClassifyFlags;
use self::progress::{Progress, REFRESH_INTERVAL, Summary};
use self::row::{LaneRow, seconds};
use super::error::CliError;
use super::signals::{Signal, Signals};
use super::{message, table};
use crate::service::pb::ClassifyResponse;

/// Files that are classified at a time: enough to fill batches.
const FILES_AT_A_TIME: usize = 8;

pub(super) fn run(flags: &ClassifyFlags) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(classify(flags));
    // A decoder may still be running after a signal. The process does not wait for it.
    runtime.shutdown_background();
    outcome
}

async fn classify(flags: &ClassifyFlags) -> Result<ExitCode, CliError> {
    let mut stop = Signals::listen()?.first();
    let classifier = tokio::select! {
        biased;
        Ok(signal) = &mut stop => return Ok(ExitCode::from(signal.exit_code())),
        classifier = Classifier::new(flags) => classifier?,
    };
    let classifier = &classifier;
    let mut report = Report::new(flags);
    let mut in_order = ReorderBuffer::default();
    let files = flags.files.iter().enumerate();
    let work: Vec<_> = files
        .map(|(number, file)| (number, file, report.progress.decoded(number)))
        .collect();
    let mut results = stream::iter(work)
        .map(async |(number, file, decoded)| (number, classifier.classify(file, decoded).await))
        .buffer_unordered(FILES_AT_A_TIME);
    let mut refresh = tokio::time::interval(REFRESH_INTERVAL);
    let stopped = loop {
        tokio::select! {
            biased;
            Ok(signal) = &mut stop => break Some(signal),
            result = results.next() => {
                let Some((number, result)) = result else {
                    break None;
                };
                report.finished(number, &result);
                in_order.insert(number, result);
                while let Some((number, result)) = in_order.next() {
                    report.result(number, &result)?;
                }
            }
            _ = refresh.tick() => report.progress.refresh(),
        }
    };
    for (number, result) in in_order.early {
        report.result(number, &result)?;
    }
    let failures = report.end(stopped.map(Signal::name));
    Ok(match stopped {
        Some(signal) => ExitCode::from(signal.exit_code()),
        None if failures > 0 => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

/// Puts results into the order of the command line. A result is returned as soon as all results before it have been
/// returned.
struct ReorderBuffer<T> {
    next: usize,
    /// Results that came before an earlier file's result.
    early: BTreeMap<usize, T>,
}

impl<T> Default for ReorderBuffer<T> {
    fn default() -> Self {
        Self {
            next: 0,
            early: BTreeMap::new(),
        }
    }
}

impl<T> ReorderBuffer<T> {
    fn insert(&mut self, number: usize, result: T) {
        self.early.insert(number, result);
    }

    fn next(&mut self) -> Option<(usize, T)> {
        let result = self.early.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, result))
    }
}

/// Prints results on standard output; errors, progress and summary on standard error.
struct Report<'a> {
    flags: &'a ClassifyFlags,
    table: table::Table,
    /// Whether the head of the table has been printed.
    has_head: bool,
    progress: Progress,
    summary: Summary,
}

impl<'a> Report<'a> {
    fn new(flags: &'a ClassifyFlags) -> Self {
        let names = flags.files.iter();
        let names = names.map(|file| file.display().to_string().chars().count());
        // The widest entry of the label's column is a reason for abstention.
        let widths = [names.max().unwrap_or(0).max(4), 4, 7, 14, 10, 0];
        Self {
            flags,
            table: table::Table::new(&widths),
            has_head: false,
            progress: Progress::new(&flags.files),
            summary: Summary::new(flags.files.len()),
        }
    }

    /// Updates the progress when a file has a result, whether or not the result can be printed yet.
    fn finished(&mut self, number: usize, result: &Result<ClassifyResponse, String>) {
        let length = result.as_ref();
        let length = length.map(|response| seconds(response.audio_duration));
        self.progress.finished(number, length.unwrap_or(0.0));
    }

    /// Prints the result of a file.
    fn result(
        &mut self,
        number: usize,
        result: &Result<ClassifyResponse, String>,
    ) -> io::Result<()> {
        let name = self.flags.files[number].display().to_string();
        match result {
            Ok(response) => {
                self.summary.classified(seconds(response.audio_duration));
                let mut lanes = response.lanes.iter();
                lanes.try_for_each(|lane| self.row(&LaneRow::new(&name, lane, response)))
            }
            Err(reason) => {
                self.summary.failed(reason);
                self.progress
                    .print(|| message::print(&format!("{name}: {reason}")));
                if self.flags.json {
                    let row = serde_json::json!({ "file": name, "error": reason });
                    self.print(&row.to_string())?;
                }
                Ok(())
            }
        }
    }

    fn row(&mut self, row: &LaneRow<'_>) -> io::Result<()> {
        if self.flags.json {
            return self.print(&serde_json::json!(row).to_string());
        }
        if !self.has_head {
            self.has_head = true;
            self.print(&self.table.line(&LaneRow::HEAD))?;
        }
        self.print(&self.table.line(&row.cells()))
    }

    fn print(&self, line: &str) -> io::Result<()> {
        self.progress.print(|| writeln!(io::stdout(), "{line}"))
    }

    /// Prints the summary, and returns the number of files that failed.
    fn end(self, stopped: Option<&str>) -> usize {
        self.progress.end();
        for line in self.summary.lines(stopped) {
            message::print(&line);
        }
        self.summary.failures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_result_waits_for_those_before_it_and_is_kept() {
        let mut in_order = ReorderBuffer::default();
        in_order.insert(1, 'b');
        assert_eq!(in_order.next(), None);
        in_order.insert(0, 'a');
        in_order.insert(3, 'd');
        assert_eq!(in_order.next(), Some((0, 'a')));
        assert_eq!(in_order.next(), Some((1, 'b')));
        assert_eq!(in_order.next(), None);
        assert_eq!(Vec::from_iter(in_order.early), [(3, 'd')]);
    }
}
