//! Progress on standard error: a bar within an epoch, a line after it.
//!
//! If standard error is not a terminal, only the lines are written, so that a log stays readable.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of one epoch.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    name: String,
    begun: Instant,
}

impl Progress {
    /// Creates a bar of `steps` steps; epochs count from 0.
    pub fn new(name: &str, epoch: usize, epochs: usize, steps: usize) -> Self {
        let name = format!("{name} {}/{epochs}", epoch + 1);
        let style =
            ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} left {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(steps as u64)
            .with_style(style)
            .with_prefix(name.clone());
        Self {
            bar,
            name,
            begun: Instant::now(),
        }
    }

    /// Creates a hidden bar, for an epoch that is part of a larger task with its own bar.
    pub fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            name: String::new(),
            begun: Instant::now(),
        }
    }

    /// Counts a finished step.
    pub fn step(&self, message: &str) {
        if !message.is_empty() {
            self.bar.set_message(message.to_owned());
        }
        self.bar.inc(1);
    }

    /// Returns the seconds since the bar was created.
    pub fn seconds(&self) -> f64 {
        (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    /// Replaces the bar by a line.
    pub fn finish(self, summary: &str) {
        self.bar.finish_and_clear();
        if self.name.is_empty() {
            return;
        }
        eprintln!("{}: {summary} ({:.0} s)", self.name, self.seconds());
    }
}
