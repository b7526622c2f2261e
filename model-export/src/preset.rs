//! A preset: every free choice of a model and of its training, as one TOML file.
//!
//! The four shipped presets are in `presets/`. A path to another file works wherever a name does.

mod augment;

use std::path::Path;

use clap::builder::RangedU64ValueParser;
use serde::{Deserialize, Serialize};
use undertone::frontend::NarrowBand;

pub use augment::Augment;

/// Everything that decides what a run computes, apart from the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Name in reports and in model cards.
    pub name: String,
    /// The input of the sequence model.
    pub representation: Representation,
    /// Frames of 8 ms from segment to segment.
    pub segment_hop: usize,
    /// Input above the band of telephone crops and of utterances at 8 kHz. `export` writes it to the
    /// bundle.
    #[serde(default, skip_serializing_if = "is_default")]
    pub narrow_band: NarrowBand,
    /// The deep representation R_d.
    pub cnn: CnnPreset,
    /// The latent representation R_l.
    pub vqvae: VqVaePreset,
    /// x_0 … x_t to y_t.
    pub sequence: SequencePreset,
    /// Pre-training and fine-tuning of the VQ-VAE.
    pub pretraining: Pretraining,
    /// Training of the whole network.
    pub training: Training,
    /// Augmentation of training crops.
    pub augment: Augment,
}

/// What is fused into x_t.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Representation {
    /// R_d alone: the paper's "Deep" systems.
    Deep,
    /// R_d ‖ R_l: the paper's "Fusion" systems.
    Fusion,
}

impl Representation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Deep, Self::Fusion];

    /// Returns the name in presets and folders.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deep => "deep",
            Self::Fusion => "fusion",
        }
    }
}

/// The convolutional part, from a segment [1, 32, 129] to a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CnnPreset {
    /// A strided stem, then depthwise separable blocks, each with batch normalisation and ReLU.
    Separable {
        /// The first, dense convolution.
        stem: Convolution,
        /// Depthwise 3×3, then pointwise.
        blocks: Vec<Block>,
        /// Width of the fully connected layer at the end: R_d.
        features: usize,
    },
    /// Dense convolutions, each with batch normalisation, ReLU and a max pool.
    Plain {
        /// One after the other.
        convolutions: Vec<Convolution>,
        /// Size and stride of the pool after each.
        pool: [usize; 2],
        /// Width of the fully connected layer at the end: R_d.
        features: usize,
    },
}

/// One dense convolution, padded so that stride 1 keeps the size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// Output channels.
    pub channels: usize,
    /// Kernel in frames × bins.
    pub kernel: [usize; 2],
    /// Stride in frames × bins.
    #[serde(default = "one")]
    pub stride: [usize; 2],
}

/// A default is not written, so that runs from before this choice can be resumed.
fn is_default(narrow_band: &NarrowBand) -> bool {
    *narrow_band == NarrowBand::default()
}

fn one() -> [usize; 2] {
    [1, 1]
}

/// One depthwise separable block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Output channels of the pointwise convolution.
    pub channels: usize,
    /// Stride of the depthwise convolution.
    pub stride: [usize; 2],
}

/// The autoencoder behind R_l.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqVaePreset {
    /// Strided convolutions of the encoder, ReLU after each; the decoder mirrors them.
    pub convolutions: Vec<Convolution>,
    /// Width D of a code.
    pub dimension: usize,
    /// Number K of codes.
    pub codes: usize,
    /// How the codes are learnt.
    #[serde(default)]
    pub learning: Learning,
    /// Decay of the moving averages of the vectors that chose each code.
    pub decay: f64,
    /// Laplace smoothing of the codes' counts.
    pub smoothing: f64,
    /// Weight β of the commitment loss.
    pub commitment: f64,
    /// A code whose moving count falls below this is restarted from the batch.
    pub revive_below: f64,
}

/// How codes are learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Learning {
    /// As moving averages of the vectors that choose them.
    #[default]
    Ema,
    /// By the gradient of their squared distance to those vectors (van den Oord 2017, eq. 3).
    Loss,
}

/// The sequence model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequencePreset {
    /// Which one.
    pub model: SequenceModel,
    /// Width C of x_t, of the hidden layers of TCN and TACN, and of each direction of a recurrent one.
    pub width: usize,
    /// TCN and TACN: layers n = 0 … layers − 1 with dilation 2ⁿ.
    pub layers: usize,
    /// Recurrent models: layers, each over the whole output of the one before.
    pub recurrent_layers: usize,
    /// TACN: heads of the attention over the three taps.
    pub heads: usize,
    /// Dropout of each layer's output.
    pub dropout: f64,
}

/// The sequence models of the paper's Table 1, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SequenceModel {
    /// Elman's recurrent network.
    SimpleRnn,
    /// Gated recurrent units.
    Gru,
    /// The same in both directions.
    Bgru,
    /// Long short-term memory.
    Lstm,
    /// The same in both directions.
    Blstm,
    /// Dilated causal convolutions.
    Tcn,
    /// The paper's own: dilated causal convolutions over attended taps.
    Tacn,
}

impl SequenceModel {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SimpleRnn,
        Self::Gru,
        Self::Bgru,
        Self::Lstm,
        Self::Blstm,
        Self::Tcn,
        Self::Tacn,
    ];

    /// Returns the name in presets and folders.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SimpleRnn => "simple-rnn",
            Self::Gru => "gru",
            Self::Bgru => "bgru",
            Self::Lstm => "lstm",
            Self::Blstm => "blstm",
            Self::Tcn => "tcn",
            Self::Tacn => "tacn",
        }
    }

    /// Returns the paper's name.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::SimpleRnn => "SimpRNN",
            Self::Gru => "GRU",
            Self::Bgru => "BGRU",
            Self::Lstm => "LSTM",
            Self::Blstm => "BLSTM",
            Self::Tcn => "TCN",
            Self::Tacn => "TACN",
        }
    }

    /// Whether it is one of the paper's "RNN-based" models.
    #[must_use]
    pub const fn is_recurrent(self) -> bool {
        !matches!(self, Self::Tcn | Self::Tacn)
    }

    /// Whether y_t depends on x_0 … x_t alone.
    #[must_use]
    pub const fn is_causal(self) -> bool {
        !matches!(self, Self::Bgru | Self::Blstm)
    }
}

/// Learning R_l without labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretraining {
    /// Segments in a batch.
    pub batch_segments: usize,
    /// Passes over the unlabelled corpus.
    pub epochs: usize,
    /// Steps in a pass; 0 is the number of batches in the corpus.
    pub steps_per_epoch: usize,
    /// Steps of fine-tuning on the labelled training speakers; 0 skips it.
    pub finetune_steps: usize,
    /// Adadelta's rate while fine-tuning.
    pub finetune_rate: f64,
    /// Seed of weights and batches.
    pub seed: u64,
}

/// Learning the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Utterances in a batch.
    pub batch_utterances: usize,
    /// Longest training crop in segments.
    pub crop_steps: usize,
    /// Passes over the training utterances; the largest number if `patience` is set.
    pub epochs: usize,
    /// Adadelta's rate.
    pub rate: f64,
    /// Share of the epochs, at the end, over which the rate falls to a tenth along a cosine.
    pub cooldown: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Weight of the mean cross-entropy of single steps, added to the utterance's.
    pub step_loss: f64,
    /// Dropout of the inputs of x_t.
    pub feature_dropout: f64,
    /// Decay of the moving average of the weights, which is what is evaluated and exported.
    pub average_decay: f64,
    /// Draw corpora by the root of their size and classes evenly; otherwise utterances evenly.
    #[serde(default = "yes")]
    pub balance: bool,
    /// α of mixup's Beta(α, α), at most 4; 0 is off.
    #[serde(default)]
    pub mixup: f64,
    /// Probability that a crop is joined from two utterances of one class, by one speaker if that
    /// speaker has two.
    #[serde(default)]
    pub copy_paste: f32,
    /// How the steps' logits become the utterance's.
    #[serde(default)]
    pub pooling: Pooling,
    /// Training stops after this many epochs without a better result on the validation speakers, and the
    /// best epoch's average is kept. 0 trains all epochs and keeps the last.
    #[serde(default)]
    pub patience: usize,
    /// Folds by speaker.
    pub folds: usize,
    /// Seed of the folds.
    pub fold_seed: u64,
    /// Seed of weights and batches.
    pub seed: u64,
}

fn yes() -> bool {
    true
}

/// How the steps' logits become the utterance's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Weighted by the softmax of learnt scores.
    #[default]
    Attention,
    /// All equal: every score is 0.
    Mean,
}

/// Returns the sentence that must accompany figures of a preset, if there is one.
#[must_use]
pub fn disclosure(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some(
            "The strength of the default preset's augmentation was chosen from two after testing both on folds 0 and 1 \
             of RAVDESS, BanglaSER and EMO-DB, so the figures of these folds are slightly too high. The other folds \
             were not used for this choice.",
        ),
        "smoke" => Some(
            "The smoke preset only shows that every command works. Its network is tiny and trained for two epochs, so \
             its figures mean nothing.",
        ),
        _ => None,
    }
}

/// Returns the parser of `--epochs`: 1 or more.
pub fn epochs() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Why a preset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// Neither a shipped preset nor a readable file.
    #[error(
        "preset `{name}` is neither `default`, `paper`, `telephone` or `smoke` nor a readable file ({source})"
    )]
    Read {
        /// The requested preset.
        name: String,
        /// Why the file could not be read.
        source: std::io::Error,
    },
    /// The text is not a preset.
    #[error("preset `{name}`: {source}")]
    Parse {
        /// The requested preset.
        name: String,
        /// The place of the mistake.
        source: Box<toml::de::Error>,
    },
    /// The values contradict each other or are out of range.
    #[error("preset `{name}`: {reason}")]
    Impossible {
        /// The preset.
        name: String,
        /// The contradiction.
        reason: String,
    },
}

impl Preset {
    /// Loads a shipped preset by name, or one from a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not a valid preset.
    pub fn load(name: &str) -> Result<Self, PresetError> {
        let text = match name {
            "default" => include_str!("../presets/default.toml").to_owned(),
            "paper" => include_str!("../presets/paper.toml").to_owned(),
            "telephone" => include_str!("../presets/telephone.toml").to_owned(),
            "smoke" => include_str!("../presets/smoke.toml").to_owned(),
            path => {
                std::fs::read_to_string(Path::new(path)).map_err(|source| PresetError::Read {
                    name: name.to_owned(),
                    source,
                })?
            }
        };
        let preset: Self = toml::from_str(&text).map_err(|source| PresetError::Parse {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        preset.check()?;
        Ok(preset)
    }

    /// Refuses values that contradict each other or are out of range.
    fn check(&self) -> Result<(), PresetError> {
        let impossible = |reason: String| PresetError::Impossible {
            name: self.name.clone(),
            reason,
        };
        let SequencePreset {
            width,
            heads,
            layers,
            recurrent_layers,
            ..
        } = self.sequence;
        if heads == 0 || width == 0 || width % heads != 0 {
            return Err(impossible(format!(
                "{width} channels do not divide into {heads} heads"
            )));
        }
        if layers == 0 || recurrent_layers == 0 {
            return Err(impossible(
                "a sequence model needs at least one layer".into(),
            ));
        }
        if self.vqvae.codes > 1 << 16 {
            return Err(impossible(format!(
                "{} codes; at most 65536 are possible",
                self.vqvae.codes
            )));
        }
        if self.training.batch_utterances < 2 || self.training.crop_steps == 0 {
            return Err(impossible(
                "batch normalisation needs at least batch_utterances = 2 and crop_steps = 1".into(),
            ));
        }
        for (name, share) in [
            ("sequence.dropout", self.sequence.dropout),
            ("training.feature_dropout", self.training.feature_dropout),
            ("training.label_smoothing", self.training.label_smoothing),
            ("training.average_decay", self.training.average_decay),
            ("vqvae.decay", self.vqvae.decay),
        ] {
            if !(0.0..1.0).contains(&share) {
                return Err(impossible(format!(
                    "{name} is {share}; it must be at least 0 and less than 1"
                )));
            }
        }
        let mixup = self.training.mixup;
        // Beta is drawn by rejection, which hardly ever succeeds if α is large.
        if !(0.0..=4.0).contains(&mixup) {
            return Err(impossible(format!(
                "training.mixup is {mixup}; it must be from 0 to 4"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_presets_load_and_survive_writing() {
        for name in ["default", "paper", "telephone", "smoke"] {
            let preset = Preset::load(name).unwrap();
            assert_eq!(preset.name, name);
            let text = toml::to_string(&preset).unwrap();
            assert_eq!(toml::from_str::<Preset>(&text).unwrap(), preset);
        }
    }

    #[test]
    fn a_preset_older_than_the_switches_loads_with_all_of_them_off() {
        let switches = [
            "companding",
            "narrow_band",
            "balance",
            "mixup",
            "copy_paste",
            "pooling",
            "patience",
            "learning",
        ];
        let older: String = include_str!("../presets/default.toml")
            .lines()
            .filter(|line| !switches.iter().any(|switch| line.starts_with(switch)))
            .flat_map(|line| [line, "\n"])
            .collect();
        let older: Preset = toml::from_str(&older).unwrap();
        assert_eq!(older, Preset::load("default").unwrap());
        assert!(older.training.balance);
        assert_eq!(
            (older.training.mixup, older.training.copy_paste),
            (0.0, 0.0)
        );
        assert_eq!(
            (older.training.patience, older.augment.companding),
            (0, 0.0)
        );
        assert_eq!(older.narrow_band, NarrowBand::AsIs);
        assert_eq!(older.training.pooling, Pooling::Attention);
        assert_eq!(older.vqvae.learning, Learning::Ema);
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let text = include_str!("../presets/default.toml").replace("heads = 8", "haeds = 8");
        let error = toml::from_str::<Preset>(&text).unwrap_err().to_string();
        assert!(error.contains("haeds"), "{error}");
    }
}
