//! The model card: what a model is for, what it heard, how good it is, what the law says.

use undertone::bundle::Manifest;
use undertone::frontend::{NarrowBand, SAMPLE_RATE};

use crate::preset::{Preset, Representation};
use crate::report::telephone::TelephoneReport;
use crate::train::run::Outcome;

/// What a card tells of.
#[derive(Debug)]
pub struct Card<'a> {
    /// What the bundle says of itself.
    pub manifest: &'a Manifest,
    /// How it was made.
    pub preset: &'a Preset,
    /// What its training found.
    pub outcome: &'a Outcome,
    /// The report of `evaluate`, in Markdown.
    pub metrics: &'a str,
    /// What `telephone` found of the same folds, if it was asked.
    pub telephone: Option<&'a TelephoneReport>,
    /// Sentences of whoever made it, such as how the preset was chosen.
    pub notes: &'a [String],
}

/// The card, in Markdown.
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
        None => format!(
            "The number of epochs, {}, was fixed beforehand.",
            preset.training.epochs
        ),
    };
    let notes: String = notes.iter().map(|note| format!(" {note}")).collect();
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
         {heard} (temperature {temperature:.2}). {epochs}{notes}\n\n\
         {metrics}\n\n\
         ## On the telephone\n\n{telephone}\n\
         ## Turns\n\n{turns}\n\
         ## Licence\n\n{licence}\n\n\
         ## Law\n\n\
         In the European Union, inferring emotions of people at work or in education is prohibited except for \
         medical or safety reasons (AI Act, Art. 5(1)(f)); elsewhere such systems are high-risk, and the people \
         heard must be report (Annex III, Art. 50(3)). Voices are personal data. This is no legal advice.\n",
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

/// What the model hears of narrow bands, how it was trained for them, and what they cost.
fn telephone(card: &Card<'_>) -> String {
    let augment = &card.preset.augment;
    let heard = card.manifest.frontend.narrow_band;
    let above = match heard {
        NarrowBand::AsIs => "are heard as they are, silent above their band",
        NarrowBand::Mean => "are heard with the training mean above their band",
    };
    let trained = match (augment.telephone, augment.companding) {
        (0.0, _) => "No training crop was sent over a telephone.".to_owned(),
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
            "The test utterances of the folds, sent over a line and heard so. {}",
            report.table(heard)
        ),
        None => "What a telephone costs it was not measured.\n".to_owned(),
    };
    format!("Lanes that were sampled at 8 kHz or less {above}. {trained}\n\n{cost}")
}

/// How lanes are cut into turns.
fn turns(manifest: &Manifest) -> String {
    let Some(turns) = manifest.turns else {
        return "Lanes are not cut into turns: each is judged from its first sample to its last, silences \
                too.\n"
            .to_owned();
    };
    format!(
        "A lane is cut into turns where {} ms pass without speech; less than {} ms of speech is no turn. Each is \
         judged by itself, from {} ms before its speech, or the end of the turn before, to {} ms behind it. A \
         lane without a turn is abstained from.\n",
        turns.end_silence_ms, turns.least_speech_ms, turns.lead_in_ms, turns.lead_out_ms
    )
}

fn share(share: f32) -> String {
    format!("{:.0} %", 100.0 * share)
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
    use undertone::bundle::Turns;

    use super::*;

    /// The card of a preset's run whose bundle has another word in its manifest than the shipped one.
    fn card(preset: &str, word: impl FnOnce(&mut Manifest)) -> String {
        let shipped = include_bytes!("../../../models/default/bundle.toml");
        let mut manifest = Manifest::parse(shipped).unwrap();
        word(&mut manifest);
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
    fn a_card_tells_how_telephones_are_heard_and_were_trained_for() {
        let (quiet, mean) = (NarrowBand::AsIs, NarrowBand::Mean);
        for (preset, narrow_band, says) in [
            (
                "default",
                quiet,
                ["silent above", "15 % were cut", "none was companded"],
            ),
            (
                "telephone",
                mean,
                ["training mean above", "40 % were cut", "to 50 % of these"],
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
            for words in says {
                assert!(card.contains(words), "{preset}: {card}");
            }
        }
    }

    #[test]
    fn a_card_tells_what_makes_a_turn_of_this_bundle() {
        let turns = Turns {
            end_silence_ms: 700,
            ..Turns::default()
        };
        let cut = card("default", |manifest| manifest.turns = Some(turns));
        assert!(cut.contains("700 ms pass without speech"), "{cut}");
        let whole = card("default", |manifest| manifest.turns = None);
        assert!(whole.contains("not cut into turns"), "{whole}");
        assert!(
            whole
                .contains("fixed beforehand. Nothing was chosen.\n\nSpeaker-independent.\n\n## On")
        );
    }

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
