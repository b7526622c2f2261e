//! The `undertone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    undertone::runtime::library::disable_telemetry();
    undertone::cli::run()
}
