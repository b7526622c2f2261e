//! The page: what was measured, what the paper reports, and whether the two agree. One file without scripts,
//! also well-formed XML. Its tables are made in `tables`.

use super::ablation::Ablation;
use super::claims::Finding;
use super::figures::Picture;
use super::html::escape;
use super::paper;
use super::summary::Summary;
use super::tables;
use crate::evaluate::metrics::Interval;
use crate::evaluate::systems::System;

/// Writes the whole page.
#[must_use]
pub fn write(ablation: &Ablation, summary: &Summary, pictures: &[Picture]) -> String {
    let sections = [
        header(ablation, summary),
        missing(summary),
        section(
            "Table 1: seven sequence models",
            &(tables::table_1(ablation, summary) + &note(paper::DEEP_TCN)),
        ),
        section(
            "Table 2: the four convolutional systems",
            &(tables::table_2(ablation, summary) + &tables::corpora(ablation, summary)),
        ),
        section(
            "Does the paper's order hold here?",
            &claims(ablation, summary),
        ),
        section(
            "Confusions",
            &(figure(pictures, "confusion") + &tables::classes(ablation, summary)),
        ),
        representations(ablation, summary, pictures),
        section(
            "Confidence",
            &(tables::confidence(ablation, summary)
                + &figure(pictures, "reliability")
                + &figure(pictures, "risk-coverage")),
        ),
        section(
            "Training",
            &(figure(pictures, "learning") + &tables::training(ablation, summary)),
        ),
        codebook(summary, pictures),
        section(
            "Speakers",
            &details("Each speaker", &tables::speakers(ablation)),
        ),
        section(
            "Configuration",
            &details(
                "The preset",
                &format!("<pre>{}</pre>\n", escape(&ablation.preset)),
            ),
        ),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>Ablation</title>\n<style>\n{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
        include_str!("page.css"),
        sections.concat(),
    )
}

fn header(ablation: &Ablation, summary: &Summary) -> String {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let best = System::all()
        .find(|system| system.slug() == summary.best)
        .map_or_else(String::new, |system| system.to_string());
    let ua = summary
        .cells
        .iter()
        .find(|cell| cell.system == summary.best)
        .map_or_else(String::new, |cell| tables::interval(cell.figures.ua));
    let mut text = format!(
        "<h1>Ablation: sequence models on deep and fusion representations</h1>\n\
         <p>{protocol}; {folds} folds, seeds {seeds}, {epochs} epochs. Data: {corpora}; {utterances} test utterances of \
         {speakers} speakers, {classes} classes ({labels}). A constant prediction scores UA \
         {chance_ua:.1}; the most frequent class scores WA {chance_wa:.1}.</p>\n\
         <p><strong>Highest UA{so_far}: {best}, {ua}.</strong> All figures are in per cent; in brackets the 95 % \
         interval from resampling speakers.</p>\n{paper}",
        so_far = if summary.missing.is_empty() {
            ""
        } else {
            " so far"
        },
        protocol = escape(&ablation.protocol.describe()),
        folds = summary.folds,
        epochs = summary.epochs,
        seeds = seeds.join(", "),
        corpora = escape(&summary.corpora.join(", ")),
        utterances = summary.utterances,
        speakers = summary.speakers,
        classes = summary.labels.len(),
        labels = escape(&summary.labels.join(", ")),
        chance_ua = 100.0 * summary.chance_ua,
        chance_wa = 100.0 * summary.chance_wa,
        paper = note(&format!(
            "{} Compare orders and differences, not absolute values.",
            paper::PROTOCOL
        )),
    );
    text.extend(summary.disclosures.iter().map(|sentence| note(sentence)));
    if !summary.speaker_independent {
        text += "<p class=\"warning\">Speaker-DEPENDENT: the test speakers were trained on. These figures do \
                 not apply to unknown voices.</p>\n";
    }
    text
}

fn missing(summary: &Summary) -> String {
    if summary.missing.is_empty() {
        return String::new();
    }
    let items: String = summary
        .missing
        .iter()
        .map(|item| format!("<li>{}</li>\n", escape(item)))
        .collect();
    format!(
        "<div class=\"warning\"><p>Not finished. A system with missing runs was tested on fewer \
         utterances than the others:</p>\n{}</div>\n",
        details(
            &format!("{} missing", summary.missing.len()),
            &format!("<ul>\n{items}</ul>\n")
        )
    )
}

fn claims(ablation: &Ablation, summary: &Summary) -> String {
    if summary.claims.is_empty() {
        return note("No two systems that the paper compares have been tested yet.");
    }
    let count = |finding| {
        let claims = summary.claims.iter();
        claims.filter(|claim| claim.finding == finding).count()
    };
    let data = format!(
        "On {}, {}:",
        escape(&summary.corpora.join(", ")),
        if summary.speaker_independent {
            "speaker-independent"
        } else {
            "speaker-DEPENDENT"
        }
    );
    format!(
        "<p>{data} of {} orders, {} agree with the paper, {} do not, {} are undecided.</p>\n{}{}",
        summary.claims.len(),
        count(Finding::Agrees),
        count(Finding::Disagrees),
        count(Finding::Undecided),
        tables::claims(ablation, summary),
        note(
            "Differences on the utterances and seeds that both systems were tested on. The interval over \
             speakers decides (paired: each draw uses the same speakers for both systems). McNemar's test uses \
             each utterance once, with the mean probability over seeds. It assumes independent utterances, so \
             its p is too small where speakers differ. Holm's correction is for all rows. The best recurrent \
             system was chosen by the same figures, so its figures are slightly too high."
        ),
    )
}

fn representations(ablation: &Ablation, summary: &Summary, pictures: &[Picture]) -> String {
    let Some(found) = &summary.representations else {
        return section(
            "Representations",
            &note("Not computed: the ablation has no embeddings.json."),
        );
    };
    let picture = figure(pictures, "representations");
    let Interval { low, high } = found.emotion_purity_gain.interval;
    let sentence = if low > 0.0 || high < 0.0 {
        format!(
            "<p>Fusion separates emotions {} than Deep here: of a point's ten nearest, {:.1} against {:.1} per \
             cent have its emotion (difference {:+.1} points, 95 % over speakers {:+.1} to {:+.1}; at random \
             {:.1}).</p>\n",
            if low > 0.0 { "better" } else { "worse" },
            100.0 * found.fusion.emotion.purity,
            100.0 * found.deep.emotion.purity,
            100.0 * found.emotion_purity_gain.value,
            100.0 * low,
            100.0 * high,
            100.0 * found.deep.emotion.chance_purity,
        )
    } else {
        // The interval decides no order; the table has the numbers.
        String::new()
    };
    section(
        "Deep and fusion representation",
        &(picture + &sentence + &tables::representations(ablation, found)),
    )
}

fn codebook(summary: &Summary, pictures: &[Picture]) -> String {
    summary.codebook.as_ref().map_or_else(String::new, |usage| {
        let text = format!(
            "<p>{} of {} codes are in use, with a perplexity of {:.1} ({:.0} % of the codes).</p>\n",
            usage.used,
            usage.codes,
            usage.perplexity,
            100.0 * usage.perplexity / usage.codes.max(1) as f64,
        );
        section("Codebook", &(text + &figure(pictures, "codebook")))
    })
}

fn section(title: &str, content: &str) -> String {
    format!(
        "<section>\n<h2>{}</h2>\n{content}</section>\n",
        escape(title)
    )
}

fn details(title: &str, content: &str) -> String {
    format!(
        "<details>\n<summary>{}</summary>\n{content}</details>\n",
        escape(title)
    )
}

fn note(text: &str) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(text))
}

/// Formats a chart with its caption; empty if there was no data for it.
fn figure(pictures: &[Picture], name: &str) -> String {
    let found = pictures.iter().find(|picture| picture.name == name);
    found.map_or_else(String::new, |picture| {
        format!(
            "<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n",
            picture.svg,
            escape(&picture.caption)
        )
    })
}
