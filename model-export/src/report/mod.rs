//! The report of an ablation: from run folders to one self-contained page, its numbers and its charts.
//!
//! [`ablation`] reads the folder. [`summary`] computes the numbers, and [`claims`] compares them with the
//! paper's. [`figures`] chooses the data of each chart, [`charts`] or [`matrices`]
//! draws it on a `canvas` of `plotters`, and [`png`] renders it. [`page`]
//! writes the page. The same folder gives the same bytes. [`card`] is a bundle's model card, with the results of
//! [`telephone`].

pub mod ablation;
mod canvas;
pub mod card;
pub mod charts;
pub mod claims;
pub mod colours;
pub mod embedding;
pub mod figures;
pub mod html;
pub mod matrices;
pub mod page;
pub mod paper;
pub mod png;
pub mod summary;
mod tables;
pub mod telephone;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::atomic_file;
use ablation::Ablation;
use summary::Summary;

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
        atomic_file::replace(&path.with_extension("svg"), picture.svg.as_bytes())?;
        let png = png::render(&picture.svg)?;
        atomic_file::replace(&path.with_extension("png"), &png)?;
    }
    let page = page::write(&ablation, &summary, &pictures);
    atomic_file::replace(&destination.join("ablation.html"), page.as_bytes())?;
    atomic_file::replace(&destination.join("ablation.json"), &summary.json()?)
}
