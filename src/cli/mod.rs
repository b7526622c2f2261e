//! The command line: words to calls, results to words.

mod classify;
mod inspect;
mod serve;
mod signals;
mod table;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Hears how people speak: audio in, emotion probabilities over time out.
#[derive(Debug, Parser)]
#[command(name = "undertone", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Flags,
}

const EXAMPLES: &str = "\
Examples:
  undertone                                   serve the embedded model on 127.0.0.1:50051
  undertone serve --listen [::]:50051         serve to the network
  undertone serve --check                     print the effective configuration
  undertone classify call.wav                 judge a file without a server
  undertone classify --json *.flac            one JSON object a line
  undertone inspect models/default            what a bundle is and how good it is

Exit codes: 0 done, 1 something failed, 2 the command line is not understood, 130 stopped by Ctrl-C.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC; the default.
    Serve(Box<serve::Flags>),
    /// Judge audio files, here or by a server.
    Classify(classify::Flags),
    /// Say what a bundle is and how good it is.
    Inspect(inspect::Flags),
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::Classify(flags)) => classify::run(&flags),
        Some(Command::Inspect(flags)) => inspect::run(&flags),
    };
    match outcome {
        Ok(code) => code,
        // Whoever reads our output has read enough, as `head` does.
        Err(CliError::System(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Says something on standard error, if anybody reads it.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "undertone: {line}");
}

/// What ends a command; its sentence is all that a person needs.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error(transparent)]
    Open(#[from] crate::engine::OpenError),
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    #[error(transparent)]
    Server(#[from] crate::service::ServerError),
    #[error(transparent)]
    Filter(#[from] crate::telemetry::logs::FilterError),
    #[error("logging cannot start: {0}")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    #[error("metrics cannot start: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
    #[error("opening the model failed: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("no server answers at {url}: {reason}; start one with `undertone serve`")]
    Connect { url: String, reason: String },
    #[error("the server at {url} does not say what it takes: {reason}")]
    Limits { url: String, reason: String },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
