//! The report of an ablation: run folders in; one self-contained page, its numbers and its pictures out.
//!
//! [`ablation`] reads the folder, [`summary`] makes numbers of it and [`claims`] asks what the paper
//! claims. [`page`] writes the page; [`charts`] draws, with the data of [`figures`], what [`svg`] and
//! [`raster`] paint. The same folder gives the same bytes. Knows nothing of training.

pub mod ablation;
pub mod charts;
pub mod claims;
pub mod drawing;
pub mod embedding;
pub mod figures;
pub mod page;
pub mod paper;
pub mod raster;
pub mod summary;
pub mod svg;
mod tables;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::checkpoint;
use ablation::Ablation;
use summary::Summary;

/// Writes the report of an ablation, finished or not, into a folder of its own.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  model-export report runs/ablation --out docs/results")]
pub struct Arguments {
    /// Folder of an `ablate`.
    pub folder: PathBuf,
    /// Folder for `ablation.html`, `ablation.json` and `figures/`.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// As [`write()`].
pub fn run(arguments: &Arguments) -> Result<()> {
    write(&arguments.folder, &arguments.out)?;
    eprintln!("done: {}", arguments.out.join("ablation.html").display());
    Ok(())
}

/// Reads the ablation in `folder` and writes `ablation.html`, `ablation.json` and `figures/` (each
/// picture as SVG and as PNG) into `destination`. Runs that have not finished are named as missing.
///
/// # Errors
/// If the folder is no ablation, no run has finished, its runs do not belong together, or the disk
/// fails.
pub fn write(folder: &Path, destination: &Path) -> Result<()> {
    let ablation = Ablation::read(folder)?;
    let summary = Summary::of(&ablation)?;
    let pictures = figures::draw(&ablation, &summary)?;
    let folder = destination.join("figures");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for picture in &pictures {
        let path = folder.join(picture.name);
        checkpoint::replace(&path.with_extension("svg"), picture.svg.as_bytes())?;
        let png = raster::png(&picture.drawing)?;
        checkpoint::replace(&path.with_extension("png"), &png)?;
    }
    let page = page::write(&ablation, &summary, &pictures);
    checkpoint::replace(&destination.join("ablation.html"), page.as_bytes())?;
    checkpoint::replace(&destination.join("ablation.json"), &summary.json()?)
}
