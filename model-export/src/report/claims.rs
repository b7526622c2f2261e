//! The paper's claims, tested on our numbers: which of two systems is better, and by how much.
//!
//! The paired interval over speakers decides. McNemar's p, corrected for the number of claims, is reported
//! too.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::ablation::{Ablation, SystemRuns};
use super::paper;
use crate::evaluate::figures::{Figure, SEED, counts};
use crate::evaluate::metrics::{Confusion, McNemar, argmax, holm, mcnemar, paired_bootstrap};
use crate::evaluate::systems::System;
use crate::evaluate::tested::TestPrediction;
use crate::preset::{Representation, SequenceModel};

/// Whether our numbers agree with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The first system is better, and the interval excludes 0.
    Agrees,
    /// The second system is better, and the interval excludes 0.
    Disagrees,
    /// The interval includes 0.
    Undecided,
}

/// One claim, that the first system is better than the second, and the answer.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// The claim as a question.
    pub question: String,
    /// Slug of the system that is better in the paper.
    pub first: String,
    /// Slug of the other system.
    pub second: String,
    /// Difference in UA, first minus second.
    #[serde(rename = "UA")]
    pub ua: Figure,
    /// Difference in WA.
    #[serde(rename = "WA")]
    pub wa: Figure,
    /// Difference in the paper's Table 1, in points of WA.
    pub paper: f64,
    /// Utterances that both systems classified.
    pub utterances: usize,
    /// McNemar's test on these utterances.
    pub mcnemar: McNemar,
    /// Its p, corrected for all claims.
    pub corrected_p: f64,
    /// The answer.
    pub finding: Finding,
    /// The answer in words.
    pub answer: String,
    /// The numbers behind it in a sentence.
    pub evidence: String,
}

/// Tests every claim for which both systems have finished runs.
///
/// # Errors
/// If two systems have no speaker in common.
pub fn test(ablation: &Ablation) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (question, first, second) in questions(ablation) {
        let pair = ablation.cell(first).zip(ablation.cell(second));
        if let Some((ours, other)) = pair {
            claims.extend(compare(ablation, question, ours, other)?);
        }
    }
    let values: Vec<f64> = claims.iter().map(|claim| claim.mcnemar.p).collect();
    for (claim, corrected) in claims.iter_mut().zip(holm(&values)) {
        claim.corrected_p = corrected;
        claim.answer = answer(claim);
        claim.evidence = evidence(claim);
    }
    Ok(claims)
}

fn questions(ablation: &Ablation) -> Vec<(String, System, System)> {
    let mut questions = Vec::new();
    let both = [Representation::Deep, Representation::Fusion];
    let system = |representation, sequence| System {
        representation,
        sequence,
    };
    let mut ask = |first: System, second: System, note: &str| {
        let question = format!("Does {first} beat {second}{note}?");
        questions.push((question, first, second));
    };
    for representation in both {
        let tacn = system(representation, SequenceModel::Tacn);
        ask(tacn, system(representation, SequenceModel::Tcn), "");
    }
    for representation in both {
        if let Some(best) = best_recurrent(ablation, representation) {
            let tacn = system(representation, SequenceModel::Tacn);
            ask(tacn, best, ", the best recurrent one here");
        }
    }
    for sequence in SequenceModel::ALL {
        let [deep, fusion] = both.map(|representation| system(representation, sequence));
        ask(fusion, deep, "");
    }
    questions
}

/// Returns the recurrent system with the highest UA; the first of equal ones.
fn best_recurrent(ablation: &Ablation, representation: Representation) -> Option<System> {
    let ua = |cell: &SystemRuns| {
        let counts: Vec<Confusion> = cell.runs.iter().map(counts).collect();
        counts.iter().sum::<Confusion>().unweighted_accuracy()
    };
    ablation
        .cells
        .iter()
        .filter(|cell| cell.system.representation == representation)
        .filter(|cell| cell.system.sequence.is_recurrent())
        .rev()
        .max_by(|a, b| ua(a).total_cmp(&ua(b)))
        .map(|cell| cell.system)
}

/// Compares two systems on the utterances and seeds that both have; `None` if there are none.
fn compare(
    ablation: &Ablation,
    question: String,
    first: &SystemRuns,
    second: &SystemRuns,
) -> Result<Option<Claim>> {
    let classes = ablation.labels.len();
    let others: BTreeMap<(u64, &str), &TestPrediction> = predictions(second).collect();
    let mut speakers: BTreeMap<&str, (Confusion, Confusion)> = BTreeMap::new();
    let mut utterances: BTreeMap<&str, (usize, Means, Means)> = BTreeMap::new();
    for (key, prediction) in predictions(first) {
        let Some(other) = others.get(&key) else {
            continue;
        };
        let (ours, theirs) = speakers
            .entry(&prediction.speaker)
            .or_insert_with(|| (Confusion::new(classes), Confusion::new(classes)));
        ours.add(prediction.label, prediction.predicted());
        theirs.add(other.label, other.predicted());
        let (label, ours, theirs) = utterances.entry(&prediction.path).or_default();
        *label = prediction.label;
        ours.add(&prediction.probabilities);
        theirs.add(&other.probabilities);
    }
    if speakers.is_empty() {
        return Ok(None);
    }
    let speakers: Vec<(Confusion, Confusion)> = speakers.into_values().collect();
    let difference = |statistic: fn(&Confusion) -> f64| -> Result<Figure> {
        let ours: Confusion = speakers.iter().map(|(ours, _)| ours).sum();
        let theirs: Confusion = speakers.iter().map(|(_, theirs)| theirs).sum();
        Ok(Figure {
            value: statistic(&ours) - statistic(&theirs),
            interval: paired_bootstrap(&speakers, statistic, SEED)?,
        })
    };
    let ua = difference(Confusion::unweighted_accuracy)?;
    let finding = match ua.interval {
        interval if interval.low > 0.0 => Finding::Agrees,
        interval if interval.high < 0.0 => Finding::Disagrees,
        _ => Finding::Undecided,
    };
    let right = |(label, ours, theirs): &(usize, Means, Means)| {
        (ours.predicted() == *label, theirs.predicted() == *label)
    };
    Ok(Some(Claim {
        question,
        first: first.system.slug(),
        second: second.system.slug(),
        ua,
        wa: difference(Confusion::weighted_accuracy)?,
        paper: paper::table_1(first.system) - paper::table_1(second.system),
        utterances: utterances.len(),
        mcnemar: mcnemar(utterances.values().map(right)),
        corrected_p: 1.0,
        finding,
        answer: String::new(),
        evidence: String::new(),
    }))
}

fn predictions(cell: &SystemRuns) -> impl Iterator<Item = ((u64, &str), &TestPrediction)> {
    cell.runs.iter().flat_map(|run| {
        let predictions = run.predictions.iter();
        predictions.map(|prediction| ((run.seed, prediction.path.as_str()), prediction))
    })
}

/// Probabilities summed over seeds. McNemar's test needs one prediction per utterance, because several
/// predictions on one utterance are not independent.
#[derive(Default)]
struct Means(Vec<f32>);

impl Means {
    fn add(&mut self, probabilities: &[f32]) {
        self.0.resize(probabilities.len(), 0.0);
        for (sum, value) in self.0.iter_mut().zip(probabilities) {
            *sum += value;
        }
    }

    fn predicted(&self) -> usize {
        argmax(&self.0)
    }
}

fn answer(claim: &Claim) -> String {
    match claim.finding {
        Finding::Agrees => "agrees with the paper".to_owned(),
        Finding::Disagrees => {
            format!(
                "does not agree: it is {:.1} points worse",
                -100.0 * claim.ua.value
            )
        }
        Finding::Undecided => "undecided: the interval includes 0".to_owned(),
    }
}

fn evidence(claim: &Claim) -> String {
    let Claim {
        ua, wa, mcnemar, ..
    } = claim;
    let [difference, low, high] = [ua.value, ua.interval.low, ua.interval.high].map(points);
    format!(
        "UA {difference} points (95 % {low} to {high}), WA {}, paper {:+.1}; McNemar p {} ({} : {} \
         utterances; Holm-corrected {}).",
        points(wa.value),
        claim.paper,
        probability(mcnemar.p),
        mcnemar.first_only,
        mcnemar.second_only,
        probability(claim.corrected_p),
    )
}

/// Formats a difference of shares in points, with its sign.
fn points(share: f64) -> String {
    format!("{:+.1}", 100.0 * share).replace('-', "−")
}

/// Formats a p value.
fn probability(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}
