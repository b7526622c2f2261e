//! A progress bar in seconds of audio, and the summary at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::{AudioFile, DecodeProgress};

/// Time between two updates of the bar while files are decoded.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_millis(100);

/// The progress over all files, as a bar.
pub(super) struct Progress {
    bar: ProgressBar,
    files: Vec<FileProgress>,
}

/// The progress of one file.
struct FileProgress {
    /// Seconds of audio of the whole file. An estimate until the file is finished.
    length: f64,
    decoded: DecodeProgress,
    finished: bool,
}

impl Progress {
    /// Creates a bar on standard error. The bar is hidden if standard error is not a terminal.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let bar = ProgressBar::new(0);
        let visible = !bar.is_hidden();
        let files = files.iter().map(|file| FileProgress {
            length: if visible { estimate(file) } else { 0.0 },
            decoded: DecodeProgress::default(),
            finished: false,
        });
        let files = files.collect();
        let template = "{bar:40} {human_pos}/{human_len} s of audio, {eta} left";
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar, files }
    }

    /// Returns the counter of decoded seconds of a file. The decoder updates it.
    pub(super) fn decoded(&self, file: usize) -> DecodeProgress {
        self.files[file].decoded.clone()
    }

    /// Records that a file is finished, and how many seconds of audio it has.
    pub(super) fn finished(&mut self, file: usize, seconds: f64) {
        let file = &mut self.files[file];
        (file.length, file.finished) = (seconds, true);
        self.refresh();
    }

    /// Moves the bar to the present state of decoding.
    pub(super) fn refresh(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let (mut length, mut position) = (0.0, 0.0);
        for file in &self.files {
            if file.finished {
                length += file.length;
                position += file.length;
            } else {
                let decoded = file.decoded.seconds();
                length += file.length.max(decoded);
                position += decoded;
            }
        }
        self.bar.set_length(length as u64);
        self.bar.set_position(position as u64);
    }

    /// Calls `print` while the bar is hidden, so that the output does not mix with the bar.
    pub(super) fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Removes the bar.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Estimates the seconds of audio of a file. Returns 0 if only decoding can show them.
fn estimate(file: &Path) -> f64 {
    // Bytes that are read from a pipe here would be missing when the file is decoded. Opening a pipe may also block.
    let regular = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    if !regular {
        return 0.0;
    }
    // If the file cannot be read, decoding reports it.
    let opened = AudioFile::open(file, DecodeProgress::default());
    opened.map_or(0.0, |file| file.estimate().seconds)
}

/// The summary of a run.
pub(super) struct Summary {
    started: Instant,
    files: usize,
    classified: usize,
    seconds: f64,
    /// Number of files that failed, by kind of reason.
    failed: BTreeMap<String, usize>,
}

impl Summary {
    /// Starts the summary of `files` files.
    pub(super) fn new(files: usize) -> Self {
        Self {
            started: Instant::now(),
            files,
            classified: 0,
            seconds: 0.0,
            failed: BTreeMap::new(),
        }
    }

    /// Counts a classified file and its seconds of audio.
    pub(super) fn classified(&mut self, seconds: f64) {
        self.classified += 1;
        self.seconds += seconds;
    }

    /// Counts a file that failed.
    pub(super) fn failed(&mut self, reason: &str) {
        *self.failed.entry(kind(reason).to_owned()).or_default() += 1;
    }

    /// Returns the number of files that failed.
    pub(super) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// Returns one line, or two if a file failed. `stopped` names the signal that ended the command early.
    pub(super) fn lines(&self, stopped: Option<&str>) -> Vec<String> {
        self.lines_after(self.started.elapsed(), stopped)
    }

    fn lines_after(&self, elapsed: Duration, stopped: Option<&str>) -> Vec<String> {
        let elapsed = elapsed.as_secs_f64();
        let plural = if self.files == 1 { "" } else { "s" };
        let mut first = format!(
            "{} of {} file{plural} classified: {:.1} s of audio in {elapsed:.1} s",
            self.classified, self.files, self.seconds
        );
        if self.classified > 0 && elapsed > 0.0 {
            first += &format!(", {:.1} × real time", self.seconds / elapsed);
        }
        if let Some(signal) = stopped {
            let left = self.files - self.classified - self.failures();
            first += &format!("; stopped by {signal} with {left} left");
        }
        let mut lines = vec![first];
        if !self.failed.is_empty() {
            let reasons = self.failed.iter();
            let reasons = reasons.map(|(reason, count)| format!("{count} × {reason}"));
            let reasons: Vec<_> = reasons.collect();
            lines.push(format!(
                "{} refused: {}",
                self.failures(),
                reasons.join(", ")
            ));
        }
        lines
    }
}

/// Returns the kind of a reason: its text up to the part that is particular to one file.
fn kind(reason: &str) -> &str {
    let lane = reason
        .strip_prefix("lane ")
        .and_then(|rest| rest.split_once(": "));
    let reason = lane.map_or(reason, |(_, reason)| reason);
    let ends = [": ", "; ", " ("];
    let end = ends.iter().filter_map(|end| reason.find(end)).min();
    &reason[..end.unwrap_or(reason.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/book.flac");

    #[test]
    fn a_regular_file_is_estimated() {
        let seconds = estimate(Path::new(CLIP));
        assert!(seconds > 1.0, "{seconds} s");
        assert_eq!(estimate(Path::new("no-such.flac")), 0.0);
    }

    #[cfg(unix)]
    #[test]
    fn an_estimate_reads_no_byte_of_a_pipe() {
        use std::io::{Read as _, Write as _};
        use std::os::fd::AsRawFd as _;

        let (mut reader, mut writer) = std::io::pipe().unwrap();
        // Small enough for the buffer of a pipe on every system.
        let mut clip = std::fs::read(CLIP).unwrap();
        clip.truncate(4_096);
        writer.write_all(&clip).unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(estimate(Path::new(&path)), 0.0);
        let mut left = Vec::new();
        reader.read_to_end(&mut left).unwrap();
        assert!(
            left == clip,
            "{} of {} bytes are left",
            left.len(),
            clip.len()
        );
    }

    #[test]
    fn a_summary_counts_files_seconds_and_reasons() {
        let mut summary = Summary::new(5);
        summary.classified(90.0);
        summary.classified(30.0);
        for reason in [
            "unknown audio format: the first bytes are text (InvalidArgument)",
            "No such file or directory (os error 2)",
            "unknown audio format: the first bytes are zeros (InvalidArgument)",
        ] {
            summary.failed(reason);
        }
        let lines = summary.lines_after(Duration::from_secs(6), None);
        assert_eq!(
            lines,
            [
                "2 of 5 files classified: 120.0 s of audio in 6.0 s, 20.0 × real time",
                "3 refused: 1 × No such file or directory, 2 × unknown audio format",
            ]
        );
    }

    #[test]
    fn the_summary_of_a_stopped_command_states_how_many_files_are_left() {
        let mut summary = Summary::new(1);
        let lines = summary.lines_after(Duration::from_secs(1), Some("SIGINT"));
        let expected =
            "0 of 1 file classified: 0.0 s of audio in 1.0 s; stopped by SIGINT with 1 left";
        assert_eq!(lines, [expected]);
        summary.failed("lane 1: too short");
        assert_eq!(
            summary.lines_after(Duration::ZERO, None)[1],
            "1 refused: 1 × too short"
        );
    }
}
