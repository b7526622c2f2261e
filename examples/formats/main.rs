//! Compares the decoding of undertone with that of ffmpeg, file by file.
//!
//! ```sh
//! cargo run --release --example formats -- FOLDER
//! ```
//!
//! Prints Markdown: a table by container and codec, then every file that differs. ffmpeg and
//! ffprobe must be on the PATH. `docs/formats.md` is based on this output.

mod compare;
mod ffmpeg;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io};

use undertone::audio::{AudioError, Encoding, LaneChoice, Limits, Recording, decode};

use compare::Comparison;

/// One file, decoded by undertone and by ffmpeg.
pub(crate) struct DecodedTwice {
    /// Path below the folder.
    pub(crate) name: String,
    pub(crate) format: ffmpeg::ProbedFormat,
    pub(crate) ours: Result<Recording, AudioError>,
    /// The error is ffmpeg's message.
    pub(crate) theirs: Result<Recording, String>,
}

impl DecodedTwice {
    fn of(folder: &Path, path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let format = ffmpeg::probe(path)?;
        Ok(Self {
            name: path
                .strip_prefix(folder)
                .unwrap_or(path)
                .display()
                .to_string(),
            ours: lanes(&bytes),
            theirs: ffmpeg::decode(path, &format)?,
            format,
        })
    }

    /// Returns `None` if at least one of the two refuses the file.
    pub(crate) fn comparison(&self) -> Option<Comparison> {
        match (&self.ours, &self.theirs) {
            (Ok(ours), Ok(theirs)) => Some(Comparison::of(ours, theirs)),
            _ => None,
        }
    }
}

/// Decodes every channel to a lane, so that each is compared.
pub(crate) fn lanes(bytes: &[u8]) -> Result<Recording, AudioError> {
    // A busy machine must not change the result.
    let limits = Limits {
        time: Duration::from_secs(3_600),
        ..Limits::default()
    };
    decode(bytes, Encoding::Auto, LaneChoice::Each, &limits)
}

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: formats FOLDER");
        return ExitCode::FAILURE;
    };
    match run(&folder) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> io::Result<String> {
    let mut paths = Vec::new();
    files(folder, &mut paths)?;
    let mut outcomes = Vec::with_capacity(paths.len());
    for path in paths {
        outcomes.push(DecodedTwice::of(folder, &path)?);
    }
    Ok(report::markdown(&outcomes))
}

/// Collects the files below `folder`, sorted, except tables and texts that describe the others.
fn files(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let is_description = path.extension().is_some_and(|e| e == "tsv" || e == "md");
        if path.is_dir() {
            files(&path, into)?;
        } else if !is_description {
            into.push(path);
        }
    }
    Ok(())
}
