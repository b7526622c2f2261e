//! Reported faults in decoding audio.

mod answers;
mod changes;
mod containers;
mod raw_content;
mod truncated;

use undertone::audio::{
    AudioError, Decoder, Encoding, LaneChoice, Limits, RawFormat, Recording, decode,
};

use crate::data::shared;

/// Reads a clip of the repository. `call.flac` and `book.flac` are one folder higher.
fn clip(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/");
    let bytes = std::fs::read(format!("{folder}formats/{name}"));
    let bytes = bytes.or_else(|_| std::fs::read(format!("{folder}{name}")));
    bytes.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn reported(name: &str) -> Option<Vec<u8>> {
    shared(&format!("regressions/{name}")).map(|path| std::fs::read(path).unwrap())
}

fn read(bytes: &[u8]) -> Result<Recording, AudioError> {
    decoded(bytes, Encoding::Auto, LaneChoice::Auto)
}

/// Decodes the bytes as a whole and in pieces. Both must agree.
fn decoded(bytes: &[u8], encoding: Encoding, choice: LaneChoice) -> Result<Recording, AudioError> {
    let whole = decode(bytes, encoding, choice, &Limits::default());
    for size in [997, 40_000] {
        let pieces = in_pieces(bytes, encoding, choice, size);
        let comparable = |result: &Result<Recording, AudioError>| match result {
            Ok(recording) => Ok(recording.clone()),
            Err(error) => Err(error.to_string()),
        };
        assert!(
            comparable(&pieces) == comparable(&whole),
            "in pieces of {size}"
        );
    }
    whole
}

fn in_pieces(
    bytes: &[u8],
    encoding: Encoding,
    choice: LaneChoice,
    size: usize,
) -> Result<Recording, AudioError> {
    let mut lanes: Vec<Vec<f32>> = Vec::new();
    let mut append = |samples: &[Vec<f32>]| {
        lanes.resize_with(samples.len(), Vec::new);
        for (lane, samples) in lanes.iter_mut().zip(samples) {
            lane.extend_from_slice(samples);
        }
        Ok::<_, AudioError>(())
    };
    let mut decoder = Decoder::start(encoding, choice, &Limits::default())?;
    for piece in bytes.chunks(size) {
        decoder.push(piece, &mut append)?;
    }
    let ending = decoder.finish(&mut append)?;
    Ok(Recording {
        lanes,
        source: ending.source,
        truncated: ending.truncated,
        channels_changed: ending.channels_changed,
    })
}

fn raw(format: RawFormat, sample_rate: u32) -> Encoding {
    Encoding::Raw {
        format,
        sample_rate,
        channels: 1,
    }
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(recording) => panic!("{:?} was decoded", recording.source),
        Err(error) => error.to_string(),
    }
}

/// Replaces the first `from` in `bytes`.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.expect("there is something to replace");
    bytes.splice(at..at + from.len(), to.iter().copied());
    bytes
}
