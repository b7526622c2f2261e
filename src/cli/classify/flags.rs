//! The flags of `undertone classify`.

use std::path::PathBuf;

use clap::Args;

use super::target::Target;

#[derive(Debug, Args)]
pub(crate) struct ClassifyFlags {
    /// Audio files: WAV, FLAC, MP3, Ogg, M4A and more
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Classify on a server: http://HOST:PORT, HOST:PORT or unix:PATH
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
    pub(super) server: Option<Target>,
    /// Print one JSON object a line for each lane, and for each file that fails
    #[arg(long)]
    pub(super) json: bool,
    /// Folder of the model's bundle [default: the embedded one]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub(super) bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub(super) onnxruntime: Option<PathBuf>,
}
