//! `undertone inspect`: describes a bundle, checks that it runs on this machine and prints its model card.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::error::CliError;
use crate::bundle::{Bundle, Sequence, Turns};
use crate::engine::OpenError;
use crate::frontend::{NarrowBand, SAMPLE_RATE};
use crate::runtime::{Instance, Library, RuntimeError, golden};

#[derive(Debug, Args)]
pub(super) struct InspectFlags {
    /// Folder of the bundle [default: the embedded one]
    bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
}

pub(super) fn run(flags: &InspectFlags) -> Result<ExitCode, CliError> {
    let bundle = match &flags.bundle {
        Some(folder) => Bundle::open(folder)?,
        None => Bundle::embedded()?,
    };
    let verified = verify(flags, &bundle).map_err(OpenError::from)?;
    let manifest = &bundle.manifest;
    let mut out = std::io::stdout().lock();
    let hop = manifest.frontend.segment_hop * manifest.frontend.frame_hop;
    writeln!(out, "{} {}", manifest.name, manifest.version)?;
    writeln!(out, "labels      {}", manifest.labels.join(", "))?;
    writeln!(
        out,
        "segments    264 ms every {} ms",
        hop * 1_000 / SAMPLE_RATE as usize
    )?;
    writeln!(
        out,
        "narrow band {}",
        match manifest.frontend.narrow_band {
            NarrowBand::AsIs => "left as it is, silent above its band",
            NarrowBand::Mean => "set to the training mean above its band",
        }
    )?;
    match manifest.turns {
        Some(Turns {
            least_speech_ms,
            end_silence_ms,
            lead_in_ms,
            lead_out_ms,
        }) => writeln!(
            out,
            "turns       ended by {end_silence_ms} ms of silence, {least_speech_ms} ms of speech or more, classified \
             from {lead_in_ms} ms before the speech to {lead_out_ms} ms after it"
        )?,
        None => writeln!(out, "turns       none: a lane is one turn")?,
    }
    writeln!(out, "features    {}", manifest.encoder.features)?;
    match manifest.sequence {
        Sequence::Taps { layers, history } => writeln!(
            out,
            "sequence    {layers} layers, {history} steps of history"
        )?,
        Sequence::Recurrent { layers, state } => writeln!(
            out,
            "sequence    {layers} recurrent layers, {state} values of state"
        )?,
    }
    writeln!(out, "trained on  {}", manifest.training.corpora.join(", "))?;
    writeln!(out, "licence     {}", manifest.training.licence)?;
    writeln!(
        out,
        "checks      checksums hold, graphs have the expected inputs and outputs, {verified}"
    )?;
    writeln!(out, "\n{}", bundle.card().trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn verify(flags: &InspectFlags, bundle: &Bundle) -> Result<String, RuntimeError> {
    let library = Library::load(flags.onnxruntime.as_deref())?;
    let mut instance = Instance::open(&library, bundle)?;
    let difference = golden::verify(&mut instance, bundle, golden::TOLERANCE)?;
    Ok(format!(
        "{} golden segments reproduced to {difference:.1e} by {}",
        bundle.golden.len(),
        library.info()
    ))
}
