//! `model-export export`: from a finished run to a bundle that the server loads.
//!
//! The golden vectors are the training framework's output on real speech. Before anything is written, ONNX
//! Runtime must compute the same from the graphs: as one chunk, as two chunks and step by step.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use undertone::bundle::{
    self, Bundle, Decision, FORMAT, Golden, Manifest, Pooling, Precision, SpeechGate, Turns,
    writer::{Parts, assemble},
};
use undertone::frontend::{NarrowBand, SEGMENT_VALUES, Spec};
use undertone::runtime::{Device, Instance, Library, golden::verify, segments_view};

use crate::data::dataset::{Dataset, Source};
use crate::data::features::Statistics;
use crate::model::values;
use crate::onnx;
use crate::onnx::extract;
use crate::onnx::weights::{RecurrentLayers, SequenceBody, SequenceWeights};
use crate::preset::Augment;
use crate::preset::{Preset, Representation};
use crate::report::card::{self, Card};
use crate::report::telephone::TelephoneReport;
use crate::train::autoencoder::{Autoencoder, WEIGHTS};
use crate::train::batch::{Sampler, SamplerOptions};
use crate::train::run::{OUTCOME, Outcome, Run, STATISTICS, SavedStatistics};
use crate::train::trainer::Trainer;

/// Largest allowed difference between the frameworks, relative to the largest value.
const TOLERANCE: f32 = 1e-4;
/// Segments of the golden utterance.
const GOLDEN_SEGMENTS: usize = 24;

/// Writes a finished run as a bundle: graphs, golden vectors, manifest, model card.
///
/// Needs ONNX Runtime to check the graphs (ORT_DYLIB_PATH names its library).
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    model-export export runs/all --data data --report runs/report --name undertone-default --out models/default")]
pub struct ExportArguments {
    /// Run folder of a finished `train`.
    pub run: PathBuf,
    /// The corpora without labels; one of their utterances becomes the golden vectors.
    #[command(flatten)]
    pub source: Source,
    /// Folder of `evaluate --out`, and of `telephone --out` if there is one, for the model card's figures.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// A sentence for the model card, such as how the preset was chosen. May be given several times.
    #[arg(long, value_name = "TEXT")]
    pub note: Vec<String>,
    /// Name of the model in requests.
    #[arg(long)]
    pub name: String,
    /// Version of the model.
    #[arg(long = "model-version", default_value = "1")]
    pub version: String,
    /// The model abstains below this confidence; 0 never abstains.
    #[arg(long, default_value_t = 0.4)]
    pub abstain_below: f32,
    /// Sound up to this level, in dBFS, contains no speech.
    #[arg(long, default_value_t = -75.0, allow_negative_numbers = true)]
    pub speech_gate: f32,
    /// Input above the band of narrow-band lanes: `as-is` or `mean`. Default: the preset's.
    #[arg(long, value_name = "HANDLING")]
    pub narrow_band: Option<NarrowBand>,
    /// Shortest speech of a turn, in milliseconds.
    #[arg(long, default_value_t = Turns::default().least_speech_ms, value_name = "MS")]
    pub least_speech: u32,
    /// Silence that ends a turn, in milliseconds.
    #[arg(long, default_value_t = Turns::default().end_silence_ms, value_name = "MS")]
    pub end_silence: u32,
    /// Segments of a turn start at most this long before its speech, in milliseconds.
    #[arg(long, default_value_t = Turns::default().lead_in_ms, value_name = "MS")]
    pub lead_in: u32,
    /// Segments of a turn end at most this long after its speech, in milliseconds.
    #[arg(long, default_value_t = Turns::default().lead_out_ms, value_name = "MS")]
    pub lead_out: u32,
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// If the run has not finished, or ONNX Runtime and the trainer compute different values.
pub fn run(arguments: &ExportArguments) -> Result<()> {
    let run = Run::open(&arguments.run)?;
    let preset = run.preset()?;
    let outcome: Outcome = run.read(OUTCOME)?;
    let statistics: Statistics = run.read::<SavedStatistics>(STATISTICS)?.into();
    let vqvae = match preset.representation {
        Representation::Deep => None,
        Representation::Fusion => {
            Some(Autoencoder::load(&preset.vqvae, &run.path(WEIGHTS), 0.0)?.model())
        }
    };
    let labels = run.labels()?;
    let trainer = Trainer::resume(&preset, labels.len(), vqvae, run.folder())?;
    let sequence = extract::sequence(trainer.averaged(), preset.sequence.heads)?;
    let unlabelled = Dataset::unlabelled(&arguments.source)?;
    let golden = golden(&unlabelled, &preset, &trainer, &statistics)
        .with_context(|| arguments.source.to_string())?;
    let metrics = match &arguments.report {
        Some(folder) => {
            let path = folder.join("report.md");
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())?
        }
        None => "Not measured.".to_owned(),
    };
    let telephone = match &arguments.report {
        Some(folder) => TelephoneReport::find(folder, &preset)?,
        None => None,
    };
    // The VQ-VAE was pre-trained on speech without labels, and the golden vectors are such speech.
    let unlabelled = unlabelled.corpora();
    let unlabelled = unlabelled.iter().map(ToString::to_string);
    let corpora: Vec<String> = outcome.corpora.iter().cloned().chain(unlabelled).collect();
    let made = ManifestInputs {
        labels,
        preset: &preset,
        outcome: &outcome,
        metrics: &metrics,
        licence: card::licence(&corpora),
        golden: &golden,
        sequence: form(&sequence),
        statistics,
    };
    let manifest = manifest(arguments, made)?;
    let card = card::write(&Card {
        manifest: &manifest,
        preset: &preset,
        outcome: &outcome,
        metrics: &metrics,
        telephone: telephone.as_ref(),
        notes: &arguments.note,
    });
    let bundle = assemble(Parts {
        manifest,
        encoder: onnx::encoder(&extract::encoder(trainer.averaged(), trainer.vqvae())?)?,
        sequence: onnx::sequence(&sequence)?,
        step: onnx::step(&sequence)?,
        card,
        golden,
    })?;
    check(&bundle)?;
    bundle::writer::write(&bundle, &arguments.out)?;
    eprintln!("done: {}", arguments.out.display());
    Ok(())
}

/// What a manifest contains of a run.
struct ManifestInputs<'a> {
    labels: Vec<String>,
    preset: &'a Preset,
    outcome: &'a Outcome,
    metrics: &'a str,
    licence: String,
    golden: &'a Golden,
    sequence: bundle::Sequence,
    statistics: Statistics,
}

fn manifest(arguments: &ExportArguments, made: ManifestInputs<'_>) -> Result<Manifest> {
    let ManifestInputs {
        labels,
        preset,
        outcome,
        metrics,
        licence,
        golden,
        sequence,
        statistics,
    } = made;
    Ok(Manifest {
        format: FORMAT,
        name: arguments.name.clone(),
        version: arguments.version.clone(),
        labels,
        context: bundle::Context::Turn,
        encoder: bundle::Encoder {
            features: preset.sequence.width,
            codes: golden
                .codes
                .as_ref()
                .map(|codes| codes.len() / golden.len()),
            precisions: vec![Precision::Float32],
        },
        sequence,
        decision: Decision {
            pooling: Pooling::Attention,
            temperature: outcome.temperature,
            abstain_below: arguments.abstain_below,
        },
        speech_gate: SpeechGate {
            level_dbfs: arguments.speech_gate,
        },
        turns: Some(Turns {
            least_speech_ms: arguments.least_speech,
            end_silence_ms: arguments.end_silence,
            lead_in_ms: arguments.lead_in,
            lead_out_ms: arguments.lead_out,
        }),
        training: bundle::Training {
            corpora: outcome.corpora.clone(),
            licence,
            metrics: card::summary(metrics),
        },
        frontend: Spec {
            narrow_band: arguments.narrow_band.unwrap_or(preset.narrow_band),
            ..Spec::new(preset.segment_hop, statistics.mean, statistics.deviation)?
        },
    })
}

/// Returns the manifest's description of a trained sequence model.
fn form(sequence: &SequenceWeights) -> bundle::Sequence {
    match &sequence.body {
        SequenceBody::Taps(taps) => bundle::Sequence::Taps {
            layers: taps.layers.len(),
            history: 2 * ((1 << taps.layers.len()) - 1),
        },
        SequenceBody::Recurrent(RecurrentLayers { cell, layers }) => bundle::Sequence::Recurrent {
            layers: layers.len(),
            state: layers.len() * cell.states() * sequence.logits.weight.shape[0],
        },
    }
}

/// Computes the golden vectors on the utterance with the clearest codes.
fn golden(
    data: &Dataset,
    preset: &Preset,
    trainer: &Trainer,
    statistics: &Statistics,
) -> Result<Golden> {
    let options = SamplerOptions {
        hop: preset.segment_hop,
        narrow_band: preset.narrow_band,
        augment: Augment::none(),
        ..SamplerOptions::default()
    };
    let indices: Vec<usize> = (0..data.utterances.len()).collect();
    let sampler = Sampler::new(
        &data.features,
        &data.utterances,
        &indices,
        statistics.clone(),
        options,
    )?;
    // The rounding of another processor must not choose another code, so the utterance is the one with the
    // largest margin between the nearest and the second nearest code.
    let mut clearest: Option<(f32, usize, Vec<f32>)> = None;
    for index in indices {
        let mut segments = sampler.whole(index).segments;
        if segments.len() < GOLDEN_SEGMENTS * SEGMENT_VALUES {
            continue;
        }
        segments.truncate(GOLDEN_SEGMENTS * SEGMENT_VALUES);
        let margin = match trainer.vqvae() {
            Some(vqvae) => vqvae.latent(segments.clone()).margin,
            None => f32::INFINITY,
        };
        if clearest.as_ref().is_none_or(|(best, ..)| margin > *best) {
            clearest = Some((margin, index, segments));
        }
    }
    let (margin, index, segments) = clearest
        .with_context(|| format!("no utterance without a label has {GOLDEN_SEGMENTS} segments"))?;
    eprintln!(
        "golden vectors: {}, margin of the nearest codes {margin:.1e}",
        data.utterances[index].path.display()
    );
    let latent = trainer.vqvae().map(|vqvae| vqvae.latent(segments.clone()));
    let evidence = trainer.evidence(segments.clone(), &[GOLDEN_SEGMENTS]);
    Ok(Golden {
        features: values::<2>(trainer.features(segments.clone())),
        codes: latent
            .as_ref()
            .map(|latent| latent.codes.iter().map(|&code| code as i64).collect()),
        distance: latent.map(|latent| latent.distance),
        logits: values::<3>(evidence.logits),
        scores: values::<2>(evidence.scores),
        segments,
    })
}

/// Checks that ONNX Runtime computes the trainer's values on every path, within [`TOLERANCE`].
fn check(bundle: &Bundle) -> Result<()> {
    let library = Library::load(None)?;
    let mut instance = Instance::open(&library, bundle)?;
    let golden = &bundle.golden;
    let encoded = instance.encode(segments_view(&golden.segments)?)?;
    if let Some(codes) = &golden.codes {
        ensure!(
            encoded.codes.iter().flatten().eq(codes),
            "ONNX Runtime and the trainer choose different codes"
        );
    }
    let difference = verify(&mut instance, bundle, TOLERANCE)?;
    eprintln!("ONNX Runtime and the trainer differ by {difference:.1e} of the largest value");
    Ok(())
}
