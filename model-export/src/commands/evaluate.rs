//! `model-export evaluate`: figures over the test predictions of several runs.
//!
//! The runs are the folds of one protocol, each with one seed or several.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::atomic_file;
use crate::evaluate::figures::{Figures, Spreads, by_corpus, by_speaker, counts};
use crate::evaluate::metrics::{Confusion, Spread};
use crate::evaluate::tested::{TestPrediction, TestedRun};

/// Reports the figures of the test predictions of one or more finished runs.
///
/// The report states whether test speakers were trained on; the protocol of the runs decides this.
/// Intervals are 95 %, from resampling speakers.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  model-export evaluate runs/fold0 runs/fold1 runs/fold2 runs/fold3 runs/fold4 --out runs/report"
)]
pub struct EvaluateArguments {
    /// Run folders of finished folds. A fold may be given again with another seed.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Folder for `report.json` and `report.md`. Without it the report is only printed.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If a run has not finished, tested nothing, or tested the same utterance as another run with its seed.
pub fn run(arguments: &EvaluateArguments) -> Result<()> {
    let runs: Vec<TestedRun> = arguments
        .runs
        .iter()
        .map(|folder| TestedRun::read(folder))
        .collect::<Result<_>>()?;
    check(&runs, &arguments.runs)?;
    let first = runs.first().context("no run is given")?;
    let groups = groups(&runs)?;
    let markdown = markdown(&runs, first, &groups);
    println!("{markdown}");
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder)?;
        let folds: Vec<_> = runs
            .iter()
            .zip(&arguments.runs)
            .map(|(run, folder)| {
                json!({
                    "run": folder, "preset": run.preset, "fold": run.fold, "seed": run.seed,
                    "temperature": run.temperature, "ua": counts(run).unweighted_accuracy(),
                })
            })
            .collect();
        let figures: BTreeMap<&str, &Figures> = groups
            .iter()
            .map(|(name, figures)| (name.as_str(), figures))
            .collect();
        let report = json!({
            "labels": first.labels,
            "protocol": first.protocol.to_string(),
            "speaker_independent": first.protocol.is_speaker_independent(),
            "folds": folds,
            "over_folds": Spreads::over_folds(&runs),
            "over_seeds": Spreads::over_seeds(&runs),
            "disclosures": TestedRun::disclosures(runs.iter()),
            "groups": figures,
        });
        atomic_file::replace(
            &folder.join("report.json"),
            &serde_json::to_vec_pretty(&report)?,
        )?;
        atomic_file::replace(&folder.join("report.md"), markdown.as_bytes())?;
    }
    Ok(())
}

/// Refuses runs that do not belong in one table.
fn check(runs: &[TestedRun], folders: &[PathBuf]) -> Result<()> {
    let mut seen = HashSet::new();
    for (run, folder) in runs.iter().zip(folders) {
        let folder = folder.display();
        ensure!(
            run.protocol == runs[0].protocol && run.labels == runs[0].labels,
            "{folder} was split or labelled differently than {}",
            folders[0].display()
        );
        ensure!(
            run.recipe == runs[0].recipe,
            "{folder} has another preset than {}; evaluate one system at a time, or compare systems with `ablate`",
            folders[0].display()
        );
        for prediction in &run.predictions {
            ensure!(
                seen.insert((run.seed, &prediction.path)),
                "{folder} tests {}, as another run with seed {} does",
                prediction.path,
                run.seed
            );
        }
    }
    Ok(())
}

/// Computes the figures of all predictions, then those of each corpus.
fn groups(runs: &[TestedRun]) -> Result<Vec<(String, Figures)>> {
    let predictions: Vec<&TestPrediction> = runs.iter().flat_map(|run| &run.predictions).collect();
    let classes = runs.first().map_or(0, TestedRun::classes);
    let corpora = by_corpus(&predictions);
    let mut groups = vec![("all".to_owned(), Figures::of(classes, &predictions)?)];
    if corpora.len() > 1 {
        for (name, members) in corpora {
            groups.push((name.to_owned(), Figures::of(classes, &members)?));
        }
    }
    Ok(groups)
}

fn markdown(runs: &[TestedRun], first: &TestedRun, groups: &[(String, Figures)]) -> String {
    let mut text = format!(
        "{}, in per cent; in brackets the 95 % interval over speakers.\n\n\
         | corpus | speakers | utterances | UA | WA | F1 | chance UA / WA |\n|---|--:|--:|--:|--:|--:|--:|\n",
        first.protocol.describe()
    );
    for (name, figures) in groups {
        let cells = [figures.ua, figures.wa, figures.f1].map(|figure| figure.percent());
        text += &format!(
            "| {name} | {} | {} | {} | {:.1} / {:.1} |\n",
            figures.speakers,
            figures.utterances,
            cells.join(" | "),
            100.0 * figures.chance_ua,
            100.0 * figures.chance_wa,
        );
    }
    text += &format!("\n{}", variation(runs));
    for sentence in TestedRun::disclosures(runs.iter()) {
        text += &format!("\n{sentence}\n");
    }
    text += &confidence(groups);
    for (name, figures) in groups {
        let table = figures.confusion.markdown(&first.labels);
        text += &format!("\n### {name}\n\n{table}");
    }
    text + &speakers(runs, first)
}

/// Describes mean and deviation over folds, and over seeds if there are several.
fn variation(runs: &[TestedRun]) -> String {
    let line = |name: &str, spreads: Spreads| {
        let Spreads { ua, wa, f1 } = spreads;
        let [ua, wa, f1] = [ua, wa, f1].map(|spread: Spread| {
            let deviation = spread.deviation.map_or_else(String::new, |deviation| {
                format!(" ± {:.1}", 100.0 * deviation)
            });
            format!("{:.1}{deviation}", 100.0 * spread.mean)
        });
        format!(
            "Mean ± standard deviation over {} {name}: UA {ua}, WA {wa}, F1 {f1}.\n",
            spreads.ua.count
        )
    };
    let mut text = line("folds", Spreads::over_folds(runs));
    let seeds = Spreads::over_seeds(runs);
    if seeds.ua.count > 1 {
        text += &line(
            "seeds, each with the utterances of all its folds together",
            seeds,
        );
        text += "Counts below are sums over the seeds.\n";
    }
    text
}

fn confidence(groups: &[(String, Figures)]) -> String {
    let mut text = String::from(
        "\nConfidence after temperature: expected calibration error (ECE), Brier score (0 to 2), and area \
         under the risk–coverage curve (AURC); lower is better.\n\n\
         | corpus | ECE | Brier | AURC |\n|---|--:|--:|--:|\n",
    );
    for (name, figures) in groups {
        text += &format!(
            "| {name} | {:.1} | {:.3} | {:.3} |\n",
            100.0 * figures.calibration_error,
            figures.brier,
            figures.aurc
        );
    }
    text
}

/// Formats one row per speaker, the lowest UA first.
fn speakers(runs: &[TestedRun], first: &TestedRun) -> String {
    let predictions: Vec<&TestPrediction> = runs.iter().flat_map(|run| &run.predictions).collect();
    let mut speakers: Vec<(&str, Confusion)> = by_speaker(first.classes(), &predictions)
        .into_iter()
        .collect();
    let ua = Confusion::unweighted_accuracy;
    speakers.sort_by(|a, b| ua(&a.1).total_cmp(&ua(&b.1)));
    let mut text = format!(
        "\n### speakers ({})\n\n| speaker | predictions | UA | WA | {} |\n|---|--:|--:|--:|{}\n",
        first.protocol.label(),
        first.labels.join(" | "),
        "--:|".repeat(first.classes())
    );
    for (name, confusion) in &speakers {
        let recalls: Vec<String> = confusion
            .recalls()
            .into_iter()
            .map(|recall| recall.map_or_else(|| "–".into(), |r| format!("{:.1}", 100.0 * r)))
            .collect();
        text += &format!(
            "| {name} | {} | {:.1} | {:.1} | {} |\n",
            confusion.total(),
            100.0 * ua(confusion),
            100.0 * confusion.weighted_accuracy(),
            recalls.join(" | ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten utterances of two speakers; the run is wrong on the first `wrong` of them.
    fn tested(seed: u64, fold: &str, protocol: &str, wrong: usize) -> TestedRun {
        let prediction = |index: usize| {
            let predicted = if index < wrong {
                1 - index % 2
            } else {
                index % 2
            };
            TestPrediction {
                path: format!("{fold}/{index}.wav"),
                corpus: "emodb".into(),
                speaker: format!("emodb/{fold}-{}", index / 5),
                label: index % 2,
                probabilities: if predicted == 0 {
                    vec![0.8, 0.2]
                } else {
                    vec![0.2, 0.8]
                },
            }
        };
        TestedRun {
            recipe: String::new(),
            preset: "default".into(),
            seed,
            fold: fold.into(),
            protocol: protocol.parse().unwrap(),
            labels: vec!["a".into(), "b".into()],
            temperature: 1.0,
            predictions: (0..10).map(prediction).collect(),
        }
    }

    fn report(runs: &[TestedRun]) -> String {
        markdown(runs, &runs[0], &groups(runs).unwrap())
    }

    #[test]
    fn a_random_split_is_called_speaker_dependent() {
        let independent = report(&[tested(1, "0", "speakers/5", 2)]);
        assert!(
            independent.starts_with("Speaker-independent ("),
            "{independent}"
        );
        let leaky = report(&[tested(1, "0", "random", 2)]);
        assert!(leaky.starts_with("Speaker-DEPENDENT ("), "{leaky}");
        assert!(leaky.contains("### speakers (Speaker-DEPENDENT)"));
    }

    #[test]
    fn folds_and_seeds_are_averaged_apart() {
        let runs = [
            tested(1, "0", "sessions", 0),
            tested(2, "0", "sessions", 2),
            tested(1, "1", "sessions", 4),
            tested(2, "1", "sessions", 4),
        ];
        // Folds: 0.9 and 0.6. Seeds: 16/20 and 14/20.
        let folds = Spreads::over_folds(&runs).wa;
        assert!((folds.mean - 0.75).abs() < 1e-12 && folds.count == 2);
        assert!((folds.deviation.unwrap() - 0.045f64.sqrt()).abs() < 1e-9);
        let seeds = Spreads::over_seeds(&runs).wa;
        assert!((seeds.deviation.unwrap() - 0.005f64.sqrt()).abs() < 1e-9);
        let text = report(&runs);
        assert!(text.contains("over 2 folds: UA 75.0 ± 21.2"), "{text}");
        assert!(text.contains("over 2 seeds"), "{text}");
        assert!(text.contains("| all | 4 | 20 | 75.0 ("), "{text}");
    }

    #[test]
    fn runs_that_do_not_belong_together_are_refused() {
        let folders = [PathBuf::from("a"), PathBuf::from("b")];
        let first = || tested(1, "0", "sessions", 0);
        let refused = |other| check(&[first(), other], &folders).is_err();
        assert!(refused(first()));
        assert!(refused(tested(1, "1", "random", 0)));
        assert!(!refused(tested(2, "0", "sessions", 0)));
        assert!(!refused(tested(1, "1", "sessions", 0)));
    }
}
