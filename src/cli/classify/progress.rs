//! A bar that moves with seconds of audio, and the summary at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::{AudioFile, Decoded};

/// Between two looks at how far decoding is.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How far the files are.
pub(super) struct Progress {
    bar: ProgressBar,
    files: Vec<Seconds>,
}

/// Seconds of audio of one file.
struct Seconds {
    /// All of it, as far as that is known.
    all: f64,
    decoded: Decoded,
    done: bool,
}

impl Progress {
    /// A bar on standard error, if that is a terminal.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let bar = ProgressBar::new(0);
        let seen = !bar.is_hidden();
        let files = files.iter().map(|file| Seconds {
            all: if seen { estimate(file) } else { 0.0 },
            decoded: Decoded::default(),
            done: false,
        });
        let files = files.collect();
        let template = "{bar:40} {human_pos}/{human_len} s of audio, {eta} left";
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar, files }
    }

    /// Where a file's decoding says how far it is.
    pub(super) fn decoded(&self, file: usize) -> Decoded {
        self.files[file].decoded.clone()
    }

    /// A file is done, with so many seconds of audio.
    pub(super) fn done(&mut self, file: usize, seconds: f64) {
        let file = &mut self.files[file];
        (file.all, file.done) = (seconds, true);
        self.look();
    }

    /// Looks at how far decoding is.
    pub(super) fn look(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let (mut all, mut done) = (0.0, 0.0);
        for file in &self.files {
            let decoded = file.decoded.seconds();
            let length = file.all.max(if file.done { 0.0 } else { decoded });
            all += length;
            done += if file.done { length } else { decoded };
        }
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
    }

    /// Prints while the bar is out of the way.
    pub(super) fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Seconds of audio that a file seems to have; 0 if only decoding can tell.
fn estimate(file: &Path) -> f64 {
    // Bytes read from a pipe are gone, so that decoding would miss the start. Even opening one may block.
    let regular = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    if !regular {
        return 0.0;
    }
    // Decoding reports what cannot be read.
    let opened = AudioFile::open(file, Decoded::default());
    opened.map_or(0.0, |file| file.estimate().seconds)
}

/// What was done.
pub(super) struct Summary {
    begun: Instant,
    files: usize,
    classified: usize,
    seconds: f64,
    /// Files that failed, by reason.
    failed: BTreeMap<String, usize>,
}

impl Summary {
    /// Of so many files.
    pub(super) fn new(files: usize) -> Self {
        Self {
            begun: Instant::now(),
            files,
            classified: 0,
            seconds: 0.0,
            failed: BTreeMap::new(),
        }
    }

    pub(super) fn classified(&mut self, seconds: f64) {
        self.classified += 1;
        self.seconds += seconds;
    }

    pub(super) fn failed(&mut self, reason: &str) {
        *self.failed.entry(kind(reason).to_owned()).or_default() += 1;
    }

    pub(super) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// One line, or two if something failed.
    pub(super) fn lines(&self, stopped: Option<&str>) -> Vec<String> {
        self.lines_after(self.begun.elapsed(), stopped)
    }

    fn lines_after(&self, took: Duration, stopped: Option<&str>) -> Vec<String> {
        let (took, plural) = (took.as_secs_f64(), if self.files == 1 { "" } else { "s" });
        let mut first = format!(
            "{} of {} file{plural} classified: {:.1} s of audio in {took:.1} s",
            self.classified, self.files, self.seconds
        );
        if self.classified > 0 && took > 0.0 {
            first += &format!(", {:.1} × real time", self.seconds / took);
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

/// What kind of reason it is: its words before what is particular to a file.
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
    fn no_byte_of_a_pipe_is_read_for_an_estimate() {
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
    fn a_summary_of_what_was_stopped_says_what_is_left() {
        let mut summary = Summary::new(1);
        let lines = summary.lines_after(Duration::from_secs(1), Some("SIGINT"));
        let said = "0 of 1 file classified: 0.0 s of audio in 1.0 s; stopped by SIGINT with 1 left";
        assert_eq!(lines, [said]);
        summary.failed("lane 1: too short");
        assert_eq!(
            summary.lines_after(Duration::ZERO, None)[1],
            "1 refused: 1 × too short"
        );
    }
}
