//! Structured logs on standard error.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For a person at a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is a level for what is logged here, or directives as `tracing` reads them
/// (`info,h2=debug`).
///
/// # Errors
/// A logger that is already there.
pub fn start(format: LogFormat, filter: &str) -> Result<(), TryInitError> {
    let filter = EnvFilter::builder().parse_lossy(with_defaults(filter));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Human => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    }
}

/// What other crates log whatever the level: warnings, and of symphonia errors alone, since it warns of audio that
/// callers send.
const LIBRARIES: &str = "warn,symphonia=error";

/// A filter in which a level without a name is undertone's own; other crates have their own directives or are
/// quiet.
fn with_defaults(filter: &str) -> String {
    let directives = filter.split(',').map(str::trim);
    let written = directives.filter(|directive| !directive.is_empty());
    written.map(own_level).collect::<Vec<_>>().join(",")
}

fn own_level(directive: &str) -> Cow<'_, str> {
    match directive.parse::<LevelFilter>() {
        // Quieter than the libraries may be, it is for all.
        Ok(level) if level < LevelFilter::WARN => level.to_string().into(),
        Ok(level) => format!("{LIBRARIES},undertone={level}").into(),
        Err(_) => directive.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_for_undertone_and_directives_reach_the_libraries() {
        for (filter, expected) in [
            ("debug", "warn,symphonia=error,undertone=debug"),
            ("error", "error"),
            ("off", "off"),
            (
                "info,undertone=debug,h2=trace",
                "warn,symphonia=error,undertone=info,undertone=debug,h2=trace",
            ),
            ("h2=debug", "h2=debug"),
            ("info,", "warn,symphonia=error,undertone=info"),
            ("", ""),
        ] {
            assert_eq!(with_defaults(filter), expected);
        }
    }
}
