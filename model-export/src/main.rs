//! The command line of the trainer.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use model_export::commands::{ablate, evaluate, export, pretrain, report, telephone, train};

/// Trains undertone's models and writes them as bundles.
///
/// The order of work: `pretrain`; `train`, once per fold and once with --all; `evaluate` the folds;
/// `export` the run with --all. `telephone` tests the folds over a telephone line. `ablate` trains
/// and compares all of the paper's systems, and `report` writes its report again.
///
/// Exit codes: 0 success, 1 failure (the reason is on standard error), 2 wrong usage.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Pretrain(pretrain::PretrainArguments),
    Train(train::TrainArguments),
    Evaluate(evaluate::EvaluateArguments),
    Export(export::ExportArguments),
    Ablate(ablate::AblateArguments),
    Report(report::ReportArguments),
    Telephone(telephone::TelephoneArguments),
}

fn main() -> ExitCode {
    undertone::runtime::library::disable_telemetry();
    let result = match &Cli::parse().command {
        Command::Pretrain(arguments) => pretrain::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Ablate(arguments) => ablate::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Telephone(arguments) => telephone::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
