//! The model card: what a model is for, what it heard, how good it is, what the law says.

use crate::fit::Outcome;
use crate::preset::{Preset, Representation};

/// What a card tells of.
#[derive(Debug)]
pub struct Card<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What it tells apart, in the order of its logits.
    pub labels: &'a [String],
    /// How it was made.
    pub preset: &'a Preset,
    /// What its training found.
    pub outcome: &'a Outcome,
    /// The report of `evaluate`, in Markdown.
    pub metrics: &'a str,
}

/// The card, in Markdown.
pub fn write(card: &Card<'_>) -> String {
    let Card {
        name,
        version,
        labels,
        preset,
        outcome,
        metrics,
    } = card;
    let representation = match preset.representation {
        Representation::Deep => "deep representation of a small CNN",
        Representation::Fusion => {
            "deep representation of a small CNN, fused with the codes of a VQ-VAE that was \
             pre-trained on unlabelled speech (LibriSpeech)"
        }
    };
    let depth = match preset.sequence.model.is_recurrent() {
        true => preset.sequence.recurrent_layers,
        false => preset.sequence.layers,
    };
    format!(
        "# {name} {version}\n\n\
         Hears {labels} in how a person speaks, in steps of {hop} ms. Preset `{preset}`: {representation}; \
         {model} of {layers} layers and {width} channels.\n\n\
         ## For and not for\n\n\
         For research and for showing how undertone works. It was trained on acted speech of few people in \
         three languages; real calls sound otherwise. Do not let it decide anything about a person.\n\n\
         ## What it heard\n\n\
         {utterances} utterances of: {corpora}. No sex, age or language is balanced beyond what the corpora \
         have; EMO-DB keeps only takes that listeners recognised.\n\n\
         ## How good it is\n\n\
         Speaker-independent: {folds} folds by speaker, each tested by a model that was trained in the same way \
         on the others; the number of epochs was fixed beforehand. How strongly to augment was chosen between \
         two strengths after folds 0 and 1 had been tested with both, so their figures are a little \
         flattered; the other folds took no part in it. The shipped weights heard all speakers but \
         one a corpus, who calibrated the confidence (temperature {temperature:.2}), so they have no test \
         speakers of their own.\n\n\
         ```sh\nmodel-export pretrain --data DATA --out runs/vq\n\
         for i in $(seq 0 {last}); do\n  \
         model-export train --data DATA --vq runs/vq --fold $i/{folds} --out runs/fold$i\ndone\n\
         model-export evaluate runs/fold* --out runs/report\n```\n\n\
         {metrics}\n\
         ## Licence\n\n{licence}\n\n\
         ## Law\n\n\
         In the European Union, inferring emotions of people at work or in education is prohibited except for \
         medical or safety reasons (AI Act, Art. 5(1)(f)); elsewhere such systems are high-risk, and the people \
         heard must be told (Annex III, Art. 50(3)). Voices are personal data. This is no legal advice.\n",
        labels = labels.join(", "),
        hop = preset.segment_hop * 8,
        preset = preset.name,
        folds = preset.training.folds,
        last = preset.training.folds.saturating_sub(1),
        model = preset.sequence.model.title(),
        layers = depth,
        width = preset.sequence.width,
        utterances = outcome.utterances,
        corpora = outcome.corpora.join(", "),
        temperature = outcome.temperature,
        licence = licence(&outcome.corpora),
    )
}

/// The licence of weights that heard these corpora.
pub fn licence(corpora: &[String]) -> &'static str {
    if corpora.iter().any(|corpus| corpus == "ravdess") {
        "CC BY-NC-SA 4.0: RAVDESS is for non-commercial use, and its weights inherit that. \
         BanglaSER, EMO-DB 2.0 and LibriSpeech are CC BY 4.0."
    } else {
        "CC BY 4.0, as the corpora; name them."
    }
}

/// The report's first line of figures, in words.
pub fn summary(metrics: &str) -> String {
    let split = if metrics.starts_with("Speaker-DEPENDENT") {
        "speaker-dependent"
    } else {
        "speaker-independent"
    };
    let row = metrics.lines().find(|line| line.starts_with("| all |"));
    let cells: Vec<&str> = row.map_or(Vec::new(), |row| row.split('|').map(str::trim).collect());
    match cells.as_slice() {
        [_, _, speakers, utterances, ua, wa, f1, ..] => format!(
            "{split} over {speakers} speakers, {utterances} utterances: \
             UA {ua}, WA {wa}, F1 {f1}"
        ),
        _ => "not measured".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_reads_the_report() {
        let report =
            "x\n| all | 60 | 1915 | 65.0 (61.0–68.0) | 64.0 (60.0–67.0) | 64.5 (1–2) | 25 |\n";
        let summary = summary(report);
        assert!(summary.contains("60 speakers"), "{summary}");
        assert!(summary.contains("UA 65.0 (61.0–68.0)"), "{summary}");
    }
}
