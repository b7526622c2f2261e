//! Format and samples of a file according to ffmpeg.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

use undertone::audio::Recording;

/// The names that ffprobe has for a file. `unknown` if it has none.
pub(crate) struct ProbedFormat {
    pub(crate) container: String,
    pub(crate) codec: String,
}

/// Returns ffprobe's names for the first audio stream of `path`.
pub(crate) fn probe(path: &Path) -> io::Result<ProbedFormat> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "quiet",
            "-select_streams",
            "a:0",
            "-of",
            "default=nw=1",
        ])
        .args(["-show_entries", "stream=codec_name:format=format_name"])
        .arg(path)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        // ffprobe has six names for MP4.
        let first = value.and_then(|value| value.split(',').next());
        first.unwrap_or("unknown").to_owned()
    };
    Ok(ProbedFormat {
        container: field("format_name="),
        codec: field("codec_name="),
    })
}

/// Decodes `path` with ffmpeg to floats at its own rate, and resamples them with undertone's resampler.
///
/// The inner error is ffmpeg's message.
pub(crate) fn decode(path: &Path, format: &ProbedFormat) -> io::Result<Result<Recording, String>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    if format.codec == "opus" {
        // ffmpeg's own decoder differs from libopus in concealment and stereo prediction.
        command.args(["-c:a", "libopus"]);
    }
    let output = command
        .arg("-i")
        .arg(path)
        .args(["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-"])
        .output()?;
    Ok(match super::lanes(&output.stdout) {
        Ok(recording) => Ok(recording),
        Err(_) if !output.status.success() => Err(first_line(&output)),
        // ffmpeg decoded the file, but to no samples or to impossible ones.
        Err(error) => Err(error.to_string()),
    })
}

fn first_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("no message");
    // "[mp3 @ 0x55…] Failed": the address differs in each run.
    line.rsplit("] ").next().unwrap_or(line).into()
}
