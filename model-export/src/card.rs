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
        Representation::Deep => "deep representation of a CNN",
        Representation::Fusion => {
            "deep representation of a CNN, fused with the codes of a VQ-VAE that was pre-trained on \
             speech without labels"
        }
    };
    let depth = match preset.sequence.model.is_recurrent() {
        true => preset.sequence.recurrent_layers,
        false => preset.sequence.layers,
    };
    let heard = if outcome.test_ua.is_some() {
        "These weights are one of the models that the figures are of: they were trained on a part of the \
         utterances, others calibrated the confidence"
    } else {
        "The figures are of models that were trained in the same way on parts of the speakers. These weights \
         heard all speakers but one a corpus, who calibrated the confidence, so they have no test speakers of \
         their own"
    };
    let epochs = match outcome.epoch {
        Some(epoch) => format!("Validation speakers chose epoch {epoch}."),
        None => "The number of epochs was fixed beforehand.".to_owned(),
    };
    format!(
        "# {name} {version}\n\n\
         Hears {labels} in how a person speaks, in steps of {hop} ms. Preset `{preset}`: {representation}; \
         {model} of {layers} layers and {width} channels.\n\n\
         ## For and not for\n\n\
         For research and for showing how undertone works. Real calls sound otherwise than most corpora, which \
         are acted. Do not let it decide anything about a person.\n\n\
         ## What it heard\n\n\
         {utterances} utterances of: {corpora}. No sex, age or language is balanced beyond what the corpora \
         have.\n\n\
         ## How good it is\n\n\
         {heard} (temperature {temperature:.2}). {epochs}\n\n\
         {metrics}\n\
         ## Licence\n\n{licence}\n\n\
         ## Law\n\n\
         In the European Union, inferring emotions of people at work or in education is prohibited except for \
         medical or safety reasons (AI Act, Art. 5(1)(f)); elsewhere such systems are high-risk, and the people \
         heard must be told (Annex III, Art. 50(3)). Voices are personal data. This is no legal advice.\n",
        labels = labels.join(", "),
        hop = preset.segment_hop * 8,
        preset = preset.name,
        model = preset.sequence.model.title(),
        layers = depth,
        width = preset.sequence.width,
        utterances = outcome.utterances,
        corpora = outcome.corpora.join(", "),
        temperature = outcome.temperature,
        licence = licence(&outcome.corpora),
    )
}

/// What the licences of these corpora mean for weights that heard them.
pub fn licence(corpora: &[String]) -> String {
    let mut text = String::from("The strictest of the corpora's licences holds for the weights.");
    for corpus in corpora {
        let known = match corpus.as_str() {
            "ravdess" => "CC BY-NC-SA 4.0: non-commercial, and its weights inherit that",
            "tess" => "CC BY-NC-ND 4.0: non-commercial, nothing derived",
            "banglaser" | "librispeech" => "CC BY 4.0",
            "emodb" => "CC BY 4.0 (its edition 2.0)",
            _ => "not known here; ask its owners before you share these weights",
        };
        text += &format!(" {corpus}: {known}.");
    }
    text
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
    fn no_licence_is_guessed() {
        let licence = licence(&["banglaser".to_owned(), "iemocap".to_owned()]);
        assert!(licence.contains("iemocap: not known here"), "{licence}");
        assert!(licence.contains("banglaser: CC BY 4.0."), "{licence}");
    }

    #[test]
    fn the_summary_reads_the_report() {
        let report =
            "x\n| all | 60 | 1915 | 65.0 (61.0–68.0) | 64.0 (60.0–67.0) | 64.5 (1–2) | 25 |\n";
        let summary = summary(report);
        assert!(summary.contains("60 speakers"), "{summary}");
        assert!(summary.contains("UA 65.0 (61.0–68.0)"), "{summary}");
    }
}
