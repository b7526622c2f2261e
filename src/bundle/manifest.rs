//! `bundle.toml`: what a bundle says of itself, typed and checked for consistency.

use serde::{Deserialize, Serialize};

use super::Turns;
use crate::frontend::{Spec, SpecError};

/// The version of the bundle format that this code reads and writes.
pub const FORMAT: u32 = 1;

/// A bundle's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format; [`FORMAT`].
    pub format: u32,
    /// Name of the model, as a request may ask for it.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// Labels, in the order of the logits; K of them.
    pub labels: Vec<String>,
    /// How far the sequence state reaches.
    pub context: Context,
    /// Segments to features.
    pub encoder: Encoder,
    /// Features to step evidence.
    pub sequence: Sequence,
    /// Step evidence to predictions.
    pub decision: Decision,
    /// What counts as speech.
    pub speech_gate: SpeechGate,
    /// What makes a turn; without it a lane is one, from its first sample to its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
    /// Where the weights come from.
    pub training: Training,
    /// Samples to segments.
    pub frontend: Spec,
}

/// What starts the sequence state anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// Each turn: the model was trained on utterances.
    Turn,
}

/// `encoder.onnx`: `segments` f32 \[N, 1, 32, 129\] → `features` f32 \[N, C\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Width of the features, C.
    pub features: usize,
    /// Codes a segment, P, if there is a codebook: outputs `codes` i64 \[N, P\] and `distance`
    /// f32 \[N\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<usize>,
    /// Variants of the graph that the bundle carries.
    pub precisions: Vec<Precision>,
}

/// Number format of a graph's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit float.
    Float32,
}

/// Features to step evidence; `form` says what a stream carries from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sequence {
    /// The last inputs of each layer (TACN, TCN). `sequence.onnx` takes chunks, `step.onnx` one step.
    Taps {
        /// Hidden layers, L; layer n has dilation 2ⁿ.
        layers: usize,
        /// Steps of history that a chunk needs, H = 2·(2ᴸ − 1).
        history: usize,
    },
    /// A state that each step changes (SimpleRNN, GRU, LSTM). `sequence.onnx` takes chunks without
    /// padding; one step is a chunk like any other.
    Recurrent {
        /// Hidden layers, L, each of the features' width.
        layers: usize,
        /// Values of the state, S = L·C, or 2·L·C for an LSTM.
        state: usize,
    },
}

/// How step evidence becomes a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// How steps are weighted.
    pub pooling: Pooling,
    /// Pooled logits are divided by this before the softmax.
    pub temperature: f32,
    /// Below this confidence a prediction abstains; 0 never does.
    pub abstain_below: f32,
}

/// How the steps of a span are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// By the softmax of their attention scores.
    Attention,
}

/// What counts as speech.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechGate {
    /// Noise of up to this level, in dBFS and spread evenly over the spectrum, is no speech however it
    /// comes and goes; all else is measured against what the lane's own noise is. Real speech has been
    /// seen at −64 dBFS.
    pub level_dbfs: f32,
}

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Corpora that were heard.
    pub corpora: Vec<String>,
    /// Licence of the weights.
    pub licence: String,
    /// What was measured, in words.
    pub metrics: String,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not text.
    #[error("is not UTF-8")]
    Encoding,
    /// It does not parse; the message names line and field.
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    /// It cannot be written as TOML.
    #[error("{0}")]
    Write(#[from] toml::ser::Error),
    /// A format that this version does not read.
    #[error("`format` is {0}; this version reads {FORMAT}")]
    Format(u32),
    /// A front end that this version does not compute.
    #[error("{0}")]
    Frontend(#[from] SpecError),
    /// A value that contradicts the rest.
    #[error("`{field}` is {found}: {rule}")]
    Value {
        /// The field, with its table.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        rule: &'static str,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// What does not parse, and the first inconsistency.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::Encoding)?;
        // The format comes first, so that a bundle of a later version is refused for its version
        // and not for the first field that this one does not know.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = toml::from_str(text)?;
        if format != FORMAT {
            return Err(ManifestError::Format(format));
        }
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes the manifest as TOML, once it is consistent.
    ///
    /// # Errors
    /// The first inconsistency.
    pub fn to_toml(&self) -> Result<String, ManifestError> {
        self.check()?;
        Ok(toml::to_string(self)?)
    }

    fn check(&self) -> Result<(), ManifestError> {
        self.frontend.check()?;
        let ensure = |holds: bool, field, found: String, rule| match holds {
            true => Ok(()),
            false => Err(ManifestError::Value { field, found, rule }),
        };
        let mut distinct = self.labels.clone();
        distinct.sort_unstable();
        distinct.dedup();
        ensure(
            self.labels.len() >= 2 && distinct.len() == self.labels.len(),
            "labels",
            format!("{:?}", self.labels),
            "two or more different labels are needed",
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
            ensure(!missing, field, "empty".into(), "must be told")?;
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
            "leave it out without a codebook",
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
            "1 to 16",
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
            "0 to 1",
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
    fn a_manifest_reads_as_it_was_written() {
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
    fn what_contradicts_itself_is_refused_by_field() {
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
    fn a_manifest_that_does_not_tell_of_narrow_bands_hears_them_as_they_are() {
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
    fn a_manifest_from_before_there_were_turns_reads() {
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
