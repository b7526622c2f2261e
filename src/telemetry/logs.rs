//! Structured logs on standard error.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};
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

/// A log filter that is not valid, or that would hide everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; write off, error, warn, info, debug or trace, or directives such as info,undertone=debug"
)]
pub struct FilterError(String);

/// Starts logging the lines that a [`filter`] selects.
///
/// # Errors
/// The process already has a logger.
pub fn start(format: LogFormat, filter: EnvFilter) -> Result<(), TryInitError> {
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Human => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    }
}

/// Parses a filter: a level for undertone's own lines, or directives in the syntax of `tracing` (`info,h2=debug`).
///
/// # Errors
/// A directive does not parse, or a single word is no level. `tracing` would read such a word as the name of a module
/// and hide all other modules, so that `wran` would log nothing.
pub fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let directives = text.split(',').map(str::trim);
    let directives: Vec<&str> = directives.filter(|each| !each.is_empty()).collect();
    if directives.is_empty() {
        return Err(FilterError("it is empty".into()));
    }
    for directive in &directives {
        if !directive.contains(['=', '[', ']']) && directive.parse::<LevelFilter>().is_err() {
            let what = format!("`{directive}` is no level; for a module write `{directive}=trace`");
            return Err(FilterError(what));
        }
        if directive.ends_with('=') {
            return Err(FilterError(format!("`{directive}` lacks a level")));
        }
        let parsed = directive.parse::<Directive>();
        parsed.map_err(|error| FilterError(format!("`{directive}` does not parse ({error})")))?;
    }
    let parsed = EnvFilter::builder().parse(with_defaults(&directives));
    parsed.map_err(|error| FilterError(error.to_string()))
}

/// The directives for other crates. They log warnings; symphonia logs errors only, because its warnings concern the audio
/// that callers send.
const LIBRARIES: &str = "warn,symphonia=error";

/// Returns a filter in which a level without a module's name applies to undertone only. Other crates follow their own
/// directives, otherwise [`LIBRARIES`].
fn with_defaults(directives: &[&str]) -> String {
    let written = directives.iter().map(|directive| own_level(directive));
    written.collect::<Vec<_>>().join(",")
}

fn own_level(directive: &str) -> Cow<'_, str> {
    match directive.parse::<LevelFilter>() {
        // A level below that of the libraries applies to all crates.
        Ok(level) if level < LevelFilter::WARN => level.to_string().into(),
        Ok(level) => format!("{LIBRARIES},undertone={level}").into(),
        Err(_) => directive.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_parsed() {
        for text in [
            "off",
            "warn",
            "INFO",
            "info,undertone=debug",
            "undertone::engine=trace, warn",
            "undertone[span{a=1}]=debug",
            "info,",
        ] {
            assert!(filter(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_filter_that_would_hide_everything_is_refused_with_an_example() {
        for (text, expected) in [
            ("wran", "`wran` is no level"),
            ("info,debgu", "`debgu` is no level"),
            ("undertone", "`undertone=trace`"),
            ("info,undertone=loud", "`undertone=loud` does not parse"),
            ("info,undertone=", "`undertone=` lacks a level"),
            ("[", "`[` does not parse"),
            ("", "empty"),
            (" , ", "empty"),
        ] {
            let Err(error) = filter(text) else {
                panic!("{text} is accepted");
            };
            let error = error.to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.contains("info,undertone=debug"), "{error}");
        }
    }

    #[test]
    fn a_level_applies_to_undertone_and_directives_apply_to_libraries() {
        for (filter, expected) in [
            ("debug", "warn,symphonia=error,undertone=debug"),
            ("error", "error"),
            ("off", "off"),
            (
                "info,undertone=debug,h2=trace",
                "warn,symphonia=error,undertone=info,undertone=debug,h2=trace",
            ),
            ("h2=debug", "h2=debug"),
        ] {
            let directives: Vec<&str> = filter.split(',').collect();
            assert_eq!(with_defaults(&directives), expected);
        }
    }
}
