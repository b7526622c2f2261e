//! `bundle.toml`: the description of a bundle, typed and checked for consistency.

use serde::{Deserialize, Serialize};

use super::error::ManifestError;
use super::turns::Turns;
use crate::frontend::Spec;

/// The version of the bundle format that this code reads and writes.
pub const FORMAT: u32 = 1;

/// A bundle's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format; [`FORMAT`].
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// Labels, in the order of the logits; K of them.
    pub labels: Vec<String>,
    /// When the sequence state is reset.
    pub context: Context,
    /// Segments to features.
    pub encoder: Encoder,
    /// Features to step evidence.
    pub sequence: Sequence,
    /// Step evidence to predictions.
    pub decision: Decision,
    /// Level below which noise is never speech.
    pub speech_gate: SpeechGate,
    /// How turns are found. Without it, a lane is one turn from its first sample to its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
    /// Origin of the weights.
    pub training: Training,
    /// Samples to segments.
    pub frontend: Spec,
}

/// Where the sequence state is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// At the start of each turn, because the model was trained on utterances.
    Turn,
}

/// `encoder.onnx`: `segments` f32 \[N, 1, 32, 129\] → `features` f32 \[N, C\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Width of the features, C.
    pub features: usize,
    /// Codes per segment, P, if there is a codebook. The graph then has the outputs `codes`
    /// i64 \[N, P\] and `distance` f32 \[N\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<usize>,
    /// Variants of the graph in the bundle.
    pub precisions: Vec<Precision>,
}

/// Number format of a graph's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit float.
    Float32,
}

/// Features to step evidence. `form` names the state that a stream keeps from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sequence {
    /// The last inputs of each layer (TACN, TCN). `sequence.onnx` computes chunks, `step.onnx` one step.
    Taps {
        /// Hidden layers, L; layer n has dilation 2ⁿ.
        layers: usize,
        /// Steps of history that a chunk needs, H = 2·(2ᴸ − 1).
        history: usize,
    },
    /// A state that each step changes (SimpleRNN, GRU, LSTM). `sequence.onnx` computes chunks without
    /// padding. One step is a chunk of length 1.
    Recurrent {
        /// Hidden layers, L. Each has the width of the features.
        layers: usize,
        /// Values of the state, S = L·C, or 2·L·C for an LSTM.
        state: usize,
    },
}

/// How step evidence becomes a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Weights of the steps.
    pub pooling: Pooling,
    /// Pooled logits are divided by this before the softmax.
    pub temperature: f32,
    /// A prediction with less confidence than this abstains. With 0, none does.
    pub abstain_below: f32,
}

/// Weights of the steps of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The softmax of their attention scores.
    Attention,
}

/// The gate below which nothing is speech.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechGate {
    /// Level in dBFS, for noise that is spread evenly over the spectrum. Noise up to this level is never
    /// speech, even if its level changes. Louder sound is compared with the lane's own noise. The
    /// quietest real speech that was measured has −64 dBFS.
    pub level_dbfs: f32,
}

/// Origin of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Corpora of the training set.
    pub corpora: Vec<String>,
    /// Licence of the weights.
    pub licence: String,
    /// Measured quality, as text.
    pub metrics: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// A syntax error, or the first inconsistency.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::Encoding)?;
        // The format is read first. Otherwise a bundle of a later version would be refused for its
        // first unknown field instead of its version.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = toml::from_str(text)?;
        if format != FORMAT {
            return Err(ManifestError::Format {
                found: format,
                supported: FORMAT,
            });
        }
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks the manifest and writes it as TOML.
    ///
    /// # Errors
    /// The first inconsistency.
    pub fn to_toml(&self) -> Result<String, ManifestError> {
        self.check()?;
        Ok(toml::to_string(self)?)
    }

    fn check(&self) -> Result<(), ManifestError> {
        self.frontend.check()?;
        let ensure = |holds: bool, field, found: String, rule| {
            if holds {
                Ok(())
            } else {
                Err(ManifestError::Value { field, found, rule })
            }
        };
        let mut distinct = self.labels.clone();
        distinct.sort_unstable();
        distinct.dedup();
        ensure(
            self.labels.len() >= 2 && distinct.len() == self.labels.len(),
            "labels",
            format!("{:?}", self.labels),
            "at least two labels are needed, and they must differ",
        )?;
        let Training {
            corpora,
            licence,
            metrics,
        } = &self.training;
        for (field, missing) in [
            ("name", self.name.is_empty()),
            ("version", self.version.is_empty()),
            ("training.corpora", corpora.is_empty()),
            ("training.licence", licence.is_empty()),
            ("training.metrics", metrics.is_empty()),
        ] {
            ensure(!missing, field, "empty".into(), "must not be empty")?;
        }
        let Encoder {
            features,
            codes,
            precisions,
        } = &self.encoder;
        ensure(
            *features > 0,
            "encoder.features",
            features.to_string(),
            "must be positive",
        )?;
        ensure(
            *codes != Some(0),
            "encoder.codes",
            "0".into(),
            "omit it if there is no codebook",
        )?;
        ensure(
            precisions.contains(&Precision::Float32),
            "encoder.precisions",
            format!("{precisions:?}"),
            "float32 is needed",
        )?;
        let (Sequence::Taps { layers, .. } | Sequence::Recurrent { layers, .. }) = self.sequence;
        ensure(
            (1..=16).contains(&layers),
            "sequence.layers",
            layers.to_string(),
            "must be 1 to 16",
        )?;
        match self.sequence {
            Sequence::Taps { history, .. } => ensure(
                history == 2 * ((1 << layers) - 1),
                "sequence.history",
                history.to_string(),
                "must be 2·(2^layers − 1)",
            )?,
            Sequence::Recurrent { state, .. } => ensure(
                [1, 2]
                    .map(|vectors: usize| (vectors * layers).saturating_mul(*features))
                    .contains(&state),
                "sequence.state",
                state.to_string(),
                "must be one or two times layers · features",
            )?,
        }
        let Decision {
            temperature,
            abstain_below,
            ..
        } = self.decision;
        ensure(
            temperature.is_finite() && temperature > 0.0,
            "decision.temperature",
            temperature.to_string(),
            "must be positive",
        )?;
        ensure(
            (0.0..=1.0).contains(&abstain_below),
            "decision.abstain_below",
            abstain_below.to_string(),
            "must be 0 to 1",
        )?;
        let SpeechGate { level_dbfs } = self.speech_gate;
        ensure(
            level_dbfs.is_finite(),
            "speech_gate.level_dbfs",
            level_dbfs.to_string(),
            "must be a finite level",
        )?;
        self.turns.map_or(Ok(()), Turns::check)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::frontend::{BINS, NarrowBand};

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "tiny".into(),
            version: "1".into(),
            labels: vec!["neutral".into(), "anger".into()],
            context: Context::Turn,
            encoder: Encoder {
                features: 8,
                codes: None,
                precisions: vec![Precision::Float32],
            },
            sequence: Sequence::Taps {
                layers: 3,
                history: 14,
            },
            decision: Decision {
                pooling: Pooling::Attention,
                temperature: 1.0,
                abstain_below: 0.0,
            },
            speech_gate: SpeechGate { level_dbfs: -75.0 },
            turns: Some(Turns::default()),
            training: Training {
                corpora: vec!["none".into()],
                licence: "Apache-2.0".into(),
                metrics: "none".into(),
            },
            frontend: Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap(),
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        for sequence in [
            manifest().sequence,
            Sequence::Recurrent {
                layers: 2,
                state: 32,
            },
        ] {
            let manifest = Manifest {
                sequence,
                ..manifest()
            };
            let text = manifest.to_toml().unwrap();
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
        }
    }

    #[test]
    fn a_contradiction_is_refused_and_its_field_is_named() {
        type Damage = fn(&mut Manifest);
        fn taps(layers: usize, history: usize) -> Sequence {
            Sequence::Taps { layers, history }
        }
        fn recurrent(layers: usize, state: usize) -> Sequence {
            Sequence::Recurrent { layers, state }
        }
        fn turns(m: &mut Manifest) -> &mut Turns {
            m.turns.get_or_insert_default()
        }
        let cases: [(&str, Damage); 13] = [
            ("format", |m| m.format = 2),
            ("labels", |m| m.labels[1] = "neutral".into()),
            ("sequence.history", |m| m.sequence = taps(3, 510)),
            ("sequence.layers", |m| m.sequence = taps(0, 0)),
            ("sequence.state", |m| m.sequence = recurrent(2, 24)),
            ("decision.temperature", |m| m.decision.temperature = 0.0),
            ("decision.abstain_below", |m| m.decision.abstain_below = 1.5),
            ("speech_gate.level_dbfs", |m| {
                m.speech_gate.level_dbfs = f32::NAN;
            }),
            ("turns.least_speech_ms", |m| turns(m).least_speech_ms = 127),
            ("turns.end_silence_ms", |m| turns(m).end_silence_ms = 199),
            ("turns.lead_in_ms", |m| turns(m).lead_in_ms = 10_001),
            ("turns.lead_out_ms", |m| turns(m).lead_out_ms = u32::MAX),
            ("segment_hop", |m| m.frontend.segment_hop = 0),
        ];
        for (field, damage) in cases {
            let mut manifest = manifest();
            damage(&mut manifest);
            let text = toml::to_string(&manifest).unwrap();
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn a_manifest_without_narrow_band_leaves_narrow_bands_as_they_are() {
        let mut manifest = manifest();
        manifest.frontend.narrow_band = NarrowBand::Mean;
        let text = manifest.to_toml().unwrap();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
        let older = text.replace("narrow_band = \"mean\"\n", "");
        assert_ne!(older, text);
        let older = Manifest::parse(older.as_bytes()).unwrap();
        assert_eq!(older.frontend.narrow_band, NarrowBand::AsIs);
        let unknown = text.replace("\"mean\"", "\"median\"");
        let error = Manifest::parse(unknown.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`as-is` or `mean`"), "{error}");
    }

    #[test]
    fn a_manifest_without_turns_is_read() {
        let manifest = Manifest {
            turns: None,
            ..manifest()
        };
        let text = manifest.to_toml().unwrap();
        assert!(!text.contains("turns"));
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let text = format!("colour = \"blue\"\n{}", manifest().to_toml().unwrap());
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
    }
}
