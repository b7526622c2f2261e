//! The report of `model-export telephone --out`, as a model card needs it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use undertone::frontend::NarrowBand;

use crate::evaluate::figures::Figure;
use crate::preset::Preset;

/// The figures of one preset's folds, line by line.
#[derive(Debug, Deserialize)]
pub struct TelephoneReport {
    preset: Preset,
    protocol: String,
    rows: Vec<ReportedLine>,
}

#[derive(Debug, Deserialize)]
struct ReportedLine {
    line: String,
    /// Handling of the band; empty if the line is not narrow-band.
    narrow_band: String,
    figures: LineAccuracies,
}

#[derive(Debug, Deserialize)]
struct LineAccuracies {
    #[serde(rename = "UA")]
    ua: Figure,
    #[serde(rename = "WA")]
    wa: Figure,
    chance_ua: f64,
    chance_wa: f64,
}

/// Returns the name of the file in the folder of `telephone --out`.
#[must_use]
pub fn file_name(preset: &str) -> String {
    format!("telephone-{preset}.json")
}

impl TelephoneReport {
    /// Reads the report of a preset from a folder, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read, or its folds were trained with another preset.
    pub fn find(folder: &Path, preset: &Preset) -> Result<Option<Self>> {
        let path: PathBuf = folder.join(file_name(&preset.name));
        if !path.is_file() {
            return Ok(None);
        }
        let name = || path.display().to_string();
        let bytes = std::fs::read(&path).with_context(name)?;
        let report: Self = serde_json::from_slice(&bytes).with_context(name)?;
        ensure!(
            report.preset == *preset,
            "{}: its folds have another preset `{}` than the run; test folds of the run's preset",
            name(),
            preset.name
        );
        Ok(Some(report))
    }

    /// Formats a table of UA and WA of each line, with this handling of narrow bands.
    #[must_use]
    pub fn table(&self, handling: NarrowBand) -> String {
        let mut text = format!(
            "{}, in per cent; in brackets the 95 % interval over speakers.\n\n\
             | line | UA | WA | chance UA / WA |\n|---|--:|--:|--:|\n",
            self.protocol
        );
        let rows = self.rows.iter();
        for row in rows.filter(|row| ["", handling.name()].contains(&row.narrow_band.as_str())) {
            let LineAccuracies {
                ua,
                wa,
                chance_ua,
                chance_wa,
            } = row.figures;
            text += &format!(
                "| {} | {} | {} | {:.1} / {:.1} |\n",
                row.line,
                ua.percent(),
                wa.percent(),
                100.0 * chance_ua,
                100.0 * chance_wa
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(preset: &Preset) -> tempfile::TempDir {
        let row = |line: &str, narrow_band: &str, ua: f64| {
            let figure =
                |value: f64| serde_json::json!({ "value": value, "low": 0.5, "high": 0.7 });
            serde_json::json!({
                "line": line, "narrow_band": narrow_band, "over_floor": null,
                "figures": { "UA": figure(ua), "WA": figure(0.62), "chance_ua": 0.25, "chance_wa": 0.291 },
            })
        };
        let rows = [
            row("16 kHz", "", 0.61),
            row("8 kHz", "as-is", 0.55),
            row("8 kHz", "mean", 0.56),
        ];
        let report =
            serde_json::json!({ "preset": preset, "protocol": "By speaker", "rows": rows });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file_name(&preset.name));
        std::fs::write(path, report.to_string()).unwrap();
        folder
    }

    #[test]
    fn a_table_has_each_line_with_the_handling_of_the_bundle() {
        let preset = Preset::load("telephone").unwrap();
        let folder = written(&preset);
        let report = TelephoneReport::find(folder.path(), &preset)
            .unwrap()
            .unwrap();
        let table = report.table(NarrowBand::Mean);
        assert!(table.starts_with("By speaker, in per cent"), "{table}");
        assert!(table.contains("| 16 kHz | 61.0 (50.0–70.0) | 62.0 (50.0–70.0) | 25.0 / 29.1 |"));
        assert!(table.contains("| 8 kHz | 56.0 ("), "{table}");
        assert!(!table.contains("55.0"), "{table}");
    }

    #[test]
    fn figures_of_another_preset_are_refused() {
        let preset = Preset::load("telephone").unwrap();
        let folder = written(&preset);
        let mut longer = preset.clone();
        longer.training.epochs += 20;
        let refused = TelephoneReport::find(folder.path(), &longer)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("another preset `telephone`"), "{refused}");
        let other = Preset::load("default").unwrap();
        assert!(
            TelephoneReport::find(folder.path(), &other)
                .unwrap()
                .is_none()
        );
    }
}
