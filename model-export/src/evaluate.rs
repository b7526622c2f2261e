//! `model-export evaluate`: the test folds of several runs, together.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::checkpoint;
use crate::corpus::LABELS;
use crate::fit::{OUTCOME, Outcome, TESTED, confusion};
use crate::metrics::{
    Confusion, Interval, argmax, bootstrap, by_group, calibration_error, softmax,
};
use crate::run::Run;
use crate::trainer::Prediction;

/// Seed of the resampling of speakers.
const SEED: u64 = 1;

/// Reports what the test speakers of one or more finished runs were heard as.
///
/// Every figure is speaker-independent: no test speaker was trained or calibrated on. Intervals are
/// 95 %, from resampling speakers.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  model-export evaluate runs/fold0 runs/fold1 runs/fold2 runs/fold3 runs/fold4 --out runs/report"
)]
pub struct Arguments {
    /// Run folders of finished folds.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Folder for `report.json` and `report.md`; without it the report is only printed.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If a run has not finished, tested nothing, or tested what another one did.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut predictions: Vec<Prediction> = Vec::new();
    let mut probabilities = Vec::new();
    let mut folds = Vec::new();
    let mut seen = HashSet::new();
    for folder in &arguments.runs {
        let run = Run::open(folder)?;
        let tested: Vec<Prediction> = run.read(TESTED)?;
        let outcome: Outcome = run.read(OUTCOME)?;
        ensure!(
            !tested.is_empty(),
            "{} tested nothing: it was trained with --all",
            folder.display()
        );
        for prediction in &tested {
            ensure!(
                seen.insert(prediction.path.clone()),
                "{} tests {}, as another run does",
                folder.display(),
                prediction.path
            );
            probabilities.push(softmax(&prediction.logits, outcome.temperature));
        }
        folds.push(json!({
            "run": folder, "preset": run.preset()?.name, "temperature": outcome.temperature,
            "ua": confusion(&tested).unweighted_accuracy(),
        }));
        predictions.extend(tested);
    }
    let labels: Vec<usize> = predictions.iter().map(|p| p.label).collect();
    let calibration = calibration_error(&probabilities, &labels);
    let groups = groups(&predictions);
    let markdown = markdown(&groups, calibration)?;
    println!("{markdown}");
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder)?;
        let mut report = BTreeMap::new();
        for (name, members) in &groups {
            report.insert(name.clone(), figures(members)?);
        }
        let report = json!({
            "labels": LABELS, "folds": folds, "calibration_error": calibration, "groups": report,
        });
        checkpoint::replace(
            &folder.join("report.json"),
            &serde_json::to_vec_pretty(&report)?,
        )?;
        checkpoint::replace(&folder.join("report.md"), markdown.as_bytes())?;
    }
    Ok(())
}

/// All predictions, then those of each corpus.
fn groups(predictions: &[Prediction]) -> Vec<(String, Vec<&Prediction>)> {
    let mut corpora: BTreeMap<&str, Vec<&Prediction>> = BTreeMap::new();
    for prediction in predictions {
        corpora
            .entry(&prediction.corpus)
            .or_default()
            .push(prediction);
    }
    let mut groups = vec![("all".to_owned(), predictions.iter().collect())];
    if corpora.len() > 1 {
        groups.extend(
            corpora
                .into_iter()
                .map(|(name, members)| (name.to_owned(), members)),
        );
    }
    groups
}

/// Counts, and those of each speaker.
fn counted(members: &[&Prediction]) -> (Confusion, Vec<Confusion>) {
    let judged = |p: &&Prediction| (p.speaker.clone(), p.label, argmax(&p.logits));
    let speakers: Vec<Confusion> = by_group(members.iter().map(judged)).into_values().collect();
    (speakers.iter().sum(), speakers)
}

/// A figure's name, and how it comes from counts.
type Figure = (&'static str, fn(&Confusion) -> f64);

const FIGURES: [Figure; 3] = [
    ("UA", Confusion::unweighted_accuracy),
    ("WA", Confusion::weighted_accuracy),
    ("F1", Confusion::macro_f1),
];

fn figures(members: &[&Prediction]) -> Result<Value> {
    let (confusion, speakers) = counted(members);
    let mut figures = json!({
        "utterances": members.len(), "speakers": speakers.len(), "confusion": confusion.counts,
        "recalls": confusion.recalls(), "chance_ua": confusion.chance_unweighted(),
        "chance_wa": confusion.chance_weighted(),
    });
    for (name, figure) in FIGURES {
        let Interval { low, high } = bootstrap(&speakers, figure, SEED)?;
        figures[name] = json!({ "value": figure(&confusion), "low": low, "high": high });
    }
    Ok(figures)
}

fn markdown(groups: &[(String, Vec<&Prediction>)], calibration: f64) -> Result<String> {
    let mut text = String::from(
        "Speaker-independent, in per cent; in brackets the 95 % interval over speakers.\n\n\
         | corpus | speakers | utterances | UA | WA | F1 | chance UA / WA |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for (name, members) in groups {
        let (confusion, speakers) = counted(members);
        let mut cells = Vec::new();
        for (_, figure) in FIGURES {
            let Interval { low, high } = bootstrap(&speakers, figure, SEED)?;
            let [value, low, high] = [figure(&confusion), low, high].map(|share| 100.0 * share);
            cells.push(format!("{value:.1} ({low:.1}–{high:.1})"));
        }
        text += &format!(
            "| {name} | {} | {} | {} | {:.1} / {:.1} |\n",
            speakers.len(),
            members.len(),
            cells.join(" | "),
            100.0 * confusion.chance_unweighted(),
            100.0 * confusion.chance_weighted(),
        );
    }
    text += &format!(
        "\nCalibration error after temperature: {:.1} %.\n",
        100.0 * calibration
    );
    for (name, members) in groups {
        text += &format!("\n### {name}\n\n{}", counted(members).0.markdown());
    }
    Ok(text)
}
