//! The command line: `serve`, `classify` and `inspect`.

mod classify;
mod error;
mod inspect;
mod message;
mod serve;
mod signals;
mod table;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;

/// Recognises emotion in speech: audio in, emotion probabilities over time out.
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
  undertone classify call.wav                 classify a file without a server
  undertone classify --json *.flac            print one JSON object a line
  undertone inspect models/default            describe and check a model bundle

Exit codes: 0 success, 1 failure, 2 invalid command line, 130 stopped by Ctrl-C.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC. This is the default command.
    Serve(Box<serve::Flags>),
    /// Classify audio files, in this process or on a server.
    Classify(classify::ClassifyFlags),
    /// Describe a model bundle, check that it runs here and print its model card.
    Inspect(inspect::InspectFlags),
}

/// Runs the command that the process's arguments name, and returns its exit code.
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
        // A reader such as `head` closes the pipe when it has read enough. This is not a failure.
        Err(CliError::System(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            message::print(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
