//! `model-export report`: the report of an ablation.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::report;

/// Writes the report of an ablation, finished or not, into a folder of its own.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  model-export report runs/ablation --out docs/results")]
pub struct ReportArguments {
    /// Folder of an ablation (`ablate --out`).
    pub folder: PathBuf,
    /// Folder for `ablation.html`, `ablation.json` and `figures/`.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// As [`report::write`].
pub fn run(arguments: &ReportArguments) -> Result<()> {
    report::write(&arguments.folder, &arguments.out)?;
    eprintln!("done: {}", arguments.out.join("ablation.html").display());
    Ok(())
}
