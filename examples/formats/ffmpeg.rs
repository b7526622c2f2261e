//! ffmpeg as the other opinion: what a file is, and its samples.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

use undertone::audio::Recording;

/// What ffprobe calls a file; `unknown` where it has no name.
pub(crate) struct Kind {
    pub(crate) container: String,
    pub(crate) codec: String,
}

/// Asks ffprobe what the first audio stream of `path` is.
pub(crate) fn probe(path: &Path) -> io::Result<Kind> {
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
        // MP4 has six names.
        let first = value.and_then(|value| value.split(',').next());
        first.unwrap_or("unknown").to_owned()
    };
    Ok(Kind {
        container: field("format_name="),
        codec: field("codec_name="),
    })
}

/// Decodes `path` with ffmpeg to floats at its own rate, and resamples those as ours are.
///
/// The words of the inner error are ffmpeg's.
pub(crate) fn decode(path: &Path, kind: &Kind) -> io::Result<Result<Recording, String>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    if kind.codec == "opus" {
        // ffmpeg's own decoder conceals and stereo-predicts differently from libopus.
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
        // It decoded, but to nothing, or to what is no sound.
        Err(error) => Err(error.to_string()),
    })
}

fn first_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("no word");
    // "[mp3 @ 0x55…] Failed": the address is noise.
    line.rsplit("] ").next().unwrap_or(line).into()
}
