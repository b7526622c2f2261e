//! The model card: purpose, training data, accuracy, licence and law.

use undertone::bundle::Manifest;
use undertone::frontend::{NarrowBand, SAMPLE_RATE};

use crate::preset::{Preset, Representation};
use crate::report::telephone::TelephoneReport;
use crate::train::run::Outcome;

/// The content of a card.
#[derive(Debug)]
pub struct Card<'a> {
    /// The bundle's manifest.
    pub manifest: &'a Manifest,
    /// The preset of the run.
    pub preset: &'a Preset,
    /// The results of the training.
    pub outcome: &'a Outcome,
    /// The report of `evaluate`, in Markdown.
    pub metrics: &'a str,
    /// The report of `telephone` on the same folds, if there is one.
    pub telephone: Option<&'a TelephoneReport>,
    /// Sentences of the author, such as how the preset was chosen.
    pub notes: &'a [String],
}

/// Writes the card in Markdown.
pub fn write(card: &Card<'_>) -> String {
    let Card {
        manifest,
        preset,
        outcome,
        metrics,
        notes,
        ..
    } = card;
    let representation = match preset.representation {
        Representation::Deep => "deep representation of a CNN",
        Representation::Fusion => {
            "deep representation of a CNN, fused with the codes of a VQ-VAE that was pre-trained on \
             speech without labels"
        }
    };
    let depth = if preset.sequence.model.is_recurrent() {
        preset.sequence.recurrent_layers
    } else {
        preset.sequence.layers
    };
    let trained = if outcome.test_ua.is_some() {
        "The figures include this model. It was trained on a part of the utterances; other utterances \
         calibrated the confidence"
    } else {
        "The figures are of models that were trained in the same way on parts of the speakers. This model was \
         trained on all speakers except one per corpus, who calibrated the confidence, so it has no test \
         speakers of its own"
    };
    let epochs = match outcome.epoch {
        Some(epoch) => format!("Validation speakers chose epoch {epoch}."),
        None => format!(
            "The number of epochs, {}, was fixed beforehand.",
            preset.training.epochs
        ),
    };
    let notes: String = notes.iter().map(|note| format!(" {note}")).collect();
    format!(
        "# {name} {version}\n\n\
         Classifies how a person speaks as {labels}, in steps of {hop} ms. Preset `{preset}`: {representation}; \
         {model} of {layers} layers and {width} channels.\n\n\
         ## Intended use\n\n\
         This model is for research and for demonstrating undertone. Most corpora are acted, and real calls sound \
         different. Do not use it to decide anything about a person.\n\n\
         ## Training data\n\n\
         {utterances} utterances of: {corpora}. Sex, age and language are balanced only as far as they are in \
         the corpora.\n\n\
         ## Accuracy\n\n\
         {trained} (temperature {temperature:.2}). {epochs}{notes}\n\n\
         {metrics}\n\n\
         ## On the telephone\n\n{telephone}\n\
         ## Turns\n\n{turns}\n\
         ## Licence\n\n{licence}\n\n\
         ## Law\n\n\
         In the European Union, inferring the emotions of people at work or in education is prohibited except for \
         medical or safety reasons (AI Act, Art. 5(1)(f)). Elsewhere such systems are high-risk, and the people \
         concerned must be informed (Annex III, Art. 50(3)). Voices are personal data. This is not legal advice.\n",
        name = manifest.name,
        version = manifest.version,
        labels = manifest.labels.join(", "),
        hop = 1_000 * preset.segment_hop * manifest.frontend.frame_hop / SAMPLE_RATE as usize,
        preset = preset.name,
        model = preset.sequence.model.title(),
        layers = depth,
        width = preset.sequence.width,
        utterances = outcome.utterances,
        corpora = outcome.corpora.join(", "),
        temperature = outcome.temperature,
        metrics = metrics.trim_end(),
        telephone = telephone(card),
        turns = turns(manifest),
        licence = manifest.training.licence,
    )
}

/// Describes the handling of narrow bands, the training for them, and their cost in accuracy.
fn telephone(card: &Card<'_>) -> String {
    let augment = &card.preset.augment;
    let handling = card.manifest.frontend.narrow_band;
    let above = match handling {
        NarrowBand::AsIs => "are used unchanged: silent above their band",
        NarrowBand::Mean => "get the training mean above their band",
    };
    let trained = match (augment.telephone, augment.companding) {
        (0.0, _) => "No training crop simulated a telephone.".to_owned(),
        (telephone, 0.0) => format!(
            "Of the training crops {} were cut to the telephone band, 300 to 3,400 Hz; none was companded.",
            share(telephone)
        ),
        (telephone, companding) => format!(
            "Of the training crops {} were cut to the telephone band, 300 to 3,400 Hz; to {} of these the noise \
             of 8-bit µ-law or A-law was added.",
            share(telephone),
            share(companding)
        ),
    };
    let cost = match card.telephone {
        Some(report) => format!(
            "The test utterances of the folds over each line, with this handling. {}",
            report.table(handling)
        ),
        None => "The cost of a telephone line was not measured.\n".to_owned(),
    };
    format!("Lanes that were sampled at 8 kHz or less {above}. {trained}\n\n{cost}")
}

/// Describes how lanes are divided into turns.
fn turns(manifest: &Manifest) -> String {
    let Some(turns) = manifest.turns else {
        return "Lanes are not divided into turns: each is classified from its first sample to its last, including \
                silence.\n"
            .to_owned();
    };
    format!(
        "A turn ends after {} ms without speech; less than {} ms of speech is not a turn. Each turn is classified \
         separately, from {} ms before its speech, or the end of the turn before, to {} ms after it. The model \
         abstains from a lane without a turn.\n",
        turns.end_silence_ms, turns.least_speech_ms, turns.lead_in_ms, turns.lead_out_ms
    )
}

fn share(share: f32) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Describes what the licences of these corpora mean for weights that were trained on them.
pub fn licence(corpora: &[String]) -> String {
    let mut text = String::from("The strictest of the corpora's licences applies to the weights.");
    for corpus in corpora {
        let licence = match corpus.as_str() {
            "ravdess" => "CC BY-NC-SA 4.0: non-commercial; this applies to the weights, too",
            "tess" => "CC BY-NC-ND 4.0: non-commercial, no derivatives",
            "banglaser" | "librispeech" => "CC BY 4.0",
            "emodb" => "CC BY 4.0 (its edition 2.0)",
            _ => "unknown licence; ask its owners before you share these weights",
        };
        text += &format!(" {corpus}: {licence}.");
    }
    text
}

/// Describes the report's first line of figures.
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
    use undertone::bundle::Turns;

    use super::*;

    /// The card of a preset's run, with the shipped bundle's manifest after a change.
    fn card(preset: &str, change: impl FnOnce(&mut Manifest)) -> String {
        let shipped = include_bytes!("../../../models/default/bundle.toml");
        let mut manifest = Manifest::parse(shipped).unwrap();
        change(&mut manifest);
        let outcome = Outcome {
            temperature: 0.9,
            validation_ua: 0.6,
            test_ua: None,
            corpora: vec!["banglaser".into()],
            utterances: 986,
            epoch: None,
        };
        write(&Card {
            manifest: &manifest,
            preset: &Preset::load(preset).unwrap(),
            outcome: &outcome,
            metrics: "Speaker-independent.\n",
            telephone: None,
            notes: &["Nothing was chosen.".to_owned()],
        })
    }

    #[test]
    fn a_card_describes_the_handling_of_narrow_bands_and_the_training_for_it() {
        let (quiet, mean) = (NarrowBand::AsIs, NarrowBand::Mean);
        for (preset, narrow_band, expected) in [
            (
                "default",
                quiet,
                ["silent above", "15 % were cut", "none was companded"],
            ),
            (
                "telephone",
                mean,
                [
                    "get the training mean above",
                    "40 % were cut",
                    "to 50 % of these",
                ],
            ),
            (
                "paper",
                quiet,
                ["silent above", "No training crop", "not measured"],
            ),
        ] {
            let card = card(preset, |manifest| {
                manifest.frontend.narrow_band = narrow_band;
            });
            for words in expected {
                assert!(card.contains(words), "{preset}: {card}");
            }
        }
    }

    #[test]
    fn a_card_describes_the_turns_of_this_bundle() {
        let turns = Turns {
            end_silence_ms: 700,
            ..Turns::default()
        };
        let cut = card("default", |manifest| manifest.turns = Some(turns));
        assert!(cut.contains("after 700 ms without speech"), "{cut}");
        let whole = card("default", |manifest| manifest.turns = None);
        assert!(whole.contains("not divided into turns"), "{whole}");
        assert!(
            whole
                .contains("fixed beforehand. Nothing was chosen.\n\nSpeaker-independent.\n\n## On")
        );
    }

    #[test]
    fn no_licence_is_guessed() {
        let licence = licence(&["banglaser".to_owned(), "iemocap".to_owned()]);
        assert!(licence.contains("iemocap: unknown licence"), "{licence}");
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
