//! The page's tables. Each caption states whether the split was by speaker.

use std::collections::BTreeMap;

use super::ablation::Ablation;
use super::embedding::Grouping;
use super::html::escape;
use super::paper;
use super::summary::{Representations, Summary, SystemSummary, predictions};
use crate::evaluate::figures::{Figure, by_speaker};
use crate::evaluate::metrics::{Confusion, Spread};
use crate::evaluate::systems::System;

/// The cell of a system without a finished run.
const MISSING: &str = "missing";

/// A table; its first column has the names of the rows. Cells are HTML.
struct Table {
    caption: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(ablation: &Ablation, caption: &str, head: &[&str]) -> Self {
        Self {
            caption: format!("{caption}. {}.", ablation.protocol.label()),
            head: head.iter().map(|name| escape(name)).collect(),
            rows: Vec::new(),
        }
    }

    fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        let mut row = vec![escape(name)];
        row.extend(cells);
        self.rows.push(row);
    }

    fn html(&self) -> String {
        let head: String = self
            .head
            .iter()
            .map(|name| format!("<th scope=\"col\">{name}</th>"))
            .collect();
        let row = |row: &Vec<String>| {
            let cells: String = row[1..]
                .iter()
                .map(|cell| format!("<td>{cell}</td>"))
                .collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", row[0])
        };
        format!(
            "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{}\
             </tbody>\n</table></div>\n",
            escape(&self.caption),
            self.rows.iter().map(row).collect::<String>()
        )
    }
}

/// Formats a figure in per cent with its interval.
pub(super) fn interval(figure: Figure) -> String {
    let [value, low, high] =
        [figure.value, figure.interval.low, figure.interval.high].map(|share| 100.0 * share);
    format!("{value:.1} ({low:.1}–{high:.1})")
}

fn spread(spread: Spread) -> String {
    let deviation = spread.deviation.map_or_else(String::new, |deviation| {
        format!(" ± {:.1}", 100.0 * deviation)
    });
    format!("{:.1}{deviation}", 100.0 * spread.mean)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1}", 100.0 * share))
}

/// Marks systems with missing runs with a dagger.
fn name(ablation: &Ablation, system: System, cell: Option<&SystemSummary>) -> String {
    let partial = cell.is_some_and(|cell| cell.runs < ablation.expected());
    format!("{system}{}", if partial { " †" } else { "" })
}

pub(super) fn table_1(ablation: &Ablation, summary: &Summary) -> String {
    let mut table = Table::new(
        ablation,
        "Accuracy, beside the paper's (the paper does not name it, but its column is WA); † not all runs have \
         finished; ± is the standard deviation of UA over folds, each with the mean of its seeds",
        &["System", "paper", "WA", "UA", "UA over folds", "runs"],
    );
    for system in System::all() {
        let cell = summary.cell(system);
        let theirs = format!("{:.2}", paper::table_1(system));
        let ours = match cell {
            Some(cell) => [
                interval(cell.figures.wa),
                interval(cell.figures.ua),
                spread(cell.over_folds.ua),
                format!("{} of {}", cell.runs, ablation.expected()),
            ],
            None => [MISSING, "", "", ""].map(str::to_owned),
        };
        let cells = std::iter::once(theirs).chain(ours);
        table.row(&name(ablation, system, cell), cells);
    }
    table.html()
}

pub(super) fn table_2(ablation: &Ablation, summary: &Summary) -> String {
    let mut table = Table::new(
        ablation,
        "F1 (macro), WA and UA, each after the paper's; ± is the standard deviation of UA over seeds",
        &[
            "System",
            "F1 paper",
            "F1",
            "WA paper",
            "WA",
            "UA paper",
            "UA",
            "UA over seeds",
        ],
    );
    for system in System::of_table_2() {
        let cell = summary.cell(system);
        let theirs = paper::table_2(system).unwrap_or_default();
        let ours = cell.map(|cell| [cell.figures.f1, cell.figures.wa, cell.figures.ua]);
        let mut cells = Vec::new();
        for (place, theirs) in theirs.into_iter().enumerate() {
            cells.push(format!("{theirs:.2}"));
            cells.push(ours.map_or_else(|| MISSING.into(), |ours| interval(ours[place])));
        }
        cells.push(cell.map_or_else(String::new, |cell| spread(cell.over_seeds.ua)));
        table.row(&name(ablation, system, cell), cells);
    }
    table.html()
}

/// The systems of Table 2 on each corpus; empty if there is only one corpus.
pub(super) fn corpora(ablation: &Ablation, summary: &Summary) -> String {
    if summary.corpora.len() < 2 {
        return String::new();
    }
    let mut table = Table::new(
        ablation,
        "The same systems on each corpus",
        &[
            "System",
            "corpus",
            "speakers",
            "utterances",
            "F1",
            "WA",
            "UA",
        ],
    );
    for system in System::of_table_2() {
        let Some(cell) = summary.cell(system) else {
            continue;
        };
        for (corpus, figures) in &cell.by_corpus {
            let cells = [
                escape(corpus),
                figures.speakers.to_string(),
                figures.utterances.to_string(),
                interval(figures.f1),
                interval(figures.wa),
                interval(figures.ua),
            ];
            table.row(&name(ablation, system, Some(cell)), cells);
        }
    }
    table.html()
}

/// The claims and the answers, as sentences that can wrap.
pub(super) fn claims(ablation: &Ablation, summary: &Summary) -> String {
    let mut table = Table::new(
        ablation,
        "The paper's orders; differences in points",
        &["Question", "Answer", ""],
    );
    for claim in &summary.claims {
        let answer = escape(&claim.answer);
        let evidence = format!("<span class=\"wide\">{}</span>", escape(&claim.evidence));
        let wide = format!("<span class=\"wide\"><strong>{answer}</strong></span>");
        table.row(&claim.question, [wide, evidence]);
    }
    table.html()
}

/// Precision and recall of each class, by the systems of Table 2.
pub(super) fn classes(ablation: &Ablation, summary: &Summary) -> String {
    let mut head = vec!["System", ""];
    head.extend(summary.labels.iter().map(String::as_str));
    let mut table = Table::new(ablation, "Precision and recall of each class", &head);
    for system in System::of_table_2() {
        let Some(cell) = summary.cell(system) else {
            continue;
        };
        for (what, shares) in [
            ("recall", &cell.figures.recalls),
            ("precision", &cell.figures.precisions),
        ] {
            let shares = shares.iter().copied().map(percent);
            let cells = std::iter::once(what.to_owned()).chain(shares);
            table.row(&name(ablation, system, Some(cell)), cells);
        }
    }
    table.html()
}

pub(super) fn representations(ablation: &Ablation, found: &Representations) -> String {
    let mut table = Table::new(
        ablation,
        &format!(
            "Separation of groups of the {} utterances in the original space: silhouette from −1 to 1; \
             purity is the share of the ten nearest that are in the same group",
            found.utterances
        ),
        &[
            "",
            "silhouette, Deep",
            "Fusion",
            "10-NN purity, Deep",
            "Fusion",
            "at random",
        ],
    );
    let mut row = |name: &str, deep: Grouping, fusion: Grouping| {
        let [first, second] = [deep, fusion].map(|grouping| {
            grouping
                .silhouette
                .map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
        });
        let purities = [deep.purity, fusion.purity, deep.chance_purity];
        let [deep, fusion, random] = purities.map(|purity| format!("{:.1}", 100.0 * purity));
        table.row(name, [first, second, deep, fusion, random]);
    };
    row("by emotion", found.deep.emotion, found.fusion.emotion);
    row("by speaker", found.deep.speaker, found.fusion.speaker);
    table.html()
}

pub(super) fn confidence(ablation: &Ablation, summary: &Summary) -> String {
    let mut table = Table::new(
        ablation,
        "After temperature: expected calibration error (ECE), Brier score (0 to 2), area under the \
         risk–coverage curve (AURC); lower is better",
        &["System", "ECE", "Brier", "AURC"],
    );
    for system in System::all() {
        if let Some(cell) = summary.cell(system) {
            let cells = [
                format!("{:.1}", 100.0 * cell.figures.calibration_error),
                format!("{:.3}", cell.figures.brier),
                format!("{:.3}", cell.figures.aurc),
            ];
            table.row(&name(ablation, system, Some(cell)), cells);
        }
    }
    table.html()
}

pub(super) fn training(ablation: &Ablation, summary: &Summary) -> String {
    let mut table = Table::new(
        ablation,
        "Training time, epochs only",
        &["System", "runs", "minutes", "minutes per run"],
    );
    for system in System::all() {
        if let Some(cell) = summary.cell(system) {
            let minutes = cell.seconds / 60.0;
            let cells = [
                cell.runs.to_string(),
                format!("{minutes:.1}"),
                format!("{:.1}", minutes / cell.runs.max(1) as f64),
            ];
            table.row(&name(ablation, system, Some(cell)), cells);
        }
    }
    table.html()
}

/// UA of each speaker, by the systems of Table 2.
pub(super) fn speakers(ablation: &Ablation) -> String {
    let cells: Vec<_> = System::of_table_2()
        .into_iter()
        .filter_map(|system| ablation.cell(system))
        .collect();
    let names: Vec<String> = cells.iter().map(|cell| cell.system.to_string()).collect();
    let mut head = vec!["Speaker", "predictions"];
    head.extend(names.iter().map(String::as_str));
    let mut speakers: BTreeMap<&str, Vec<Option<Confusion>>> = BTreeMap::new();
    for (place, cell) in cells.iter().enumerate() {
        let counts = by_speaker(ablation.labels.len(), &predictions(cell));
        for (speaker, confusion) in counts {
            let row = speakers
                .entry(speaker)
                .or_insert_with(|| vec![None; cells.len()]);
            row[place] = Some(confusion);
        }
    }
    let mut table = Table::new(ablation, "UA of each speaker", &head);
    for (speaker, row) in speakers {
        let most = row.iter().flatten().map(Confusion::total).max();
        let figures = row
            .iter()
            .map(|confusion| percent(confusion.as_ref().map(Confusion::unweighted_accuracy)));
        let cells = std::iter::once(most.unwrap_or(0).to_string()).chain(figures);
        table.row(speaker, cells);
    }
    table.html()
}
