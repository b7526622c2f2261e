//! Features: from utterances to raw log-power frames, and the training set's statistics.
//!
//! The server's own code (`undertone::audio`, `undertone::frontend`) decodes and analyses, so training
//! and serving get the same input. All frames are kept in memory as f32: 64.5 kB per second of audio,
//! 530 MB for the 137 minutes of four corpora. Computing them takes 4 to 7 s on two busy cores, so
//! there is no cache on disk.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use undertone::audio::{Encoding, LaneChoice, Limits};
use undertone::frontend::{
    Analyser, BINS, Band, FRAME_HOP, SAMPLE_RATE, SEGMENT_SAMPLES, SHORTEST_SAMPLES,
};

use crate::data::corpus::{Span, Utterance};
use crate::data::line::Line;

/// Smaller deviations are raised to this, because a constant bin would divide by zero.
const SMALLEST_DEVIATION: f32 = 1e-3;
/// A span may end at most this many samples (50 ms) after the file, because tables round times.
const SPAN_TOLERANCE: usize = 800;

/// Raw frames of a list of utterances, in memory.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// For each utterance `[F, 129]`, row-major, F ≥ 32: ln power, at least −23.0259.
    pub frames: Vec<Vec<f32>>,
    /// For each utterance the SHA-256 of its decoded samples, whatever the file format.
    pub hashes: Vec<[u8; 32]>,
    /// For each utterance the frequency band of its source; utterances without an entry are wide-band.
    pub bands: Vec<Band>,
    /// Utterances that could not be used: index in the given list, and the reason.
    pub skipped: Vec<(usize, String)>,
}

impl Features {
    /// Decodes and analyses every utterance, on all cores, with a progress bar.
    ///
    /// An utterance that is broken, not finite or shorter than 10 ms is reported on standard error and
    /// skipped. An utterance shorter than a segment (264 ms) is padded with zeros, as in serving. The
    /// second value holds the indices of the kept utterances, in order: `frames[i]` belongs to
    /// `utterances[kept[i]]`.
    ///
    /// # Errors
    /// If no utterance could be used; the error has the first file's reason.
    pub fn compute(utterances: &[Utterance]) -> Result<(Self, Vec<usize>)> {
        Self::compute_over(utterances, Line::Direct)
    }

    /// Like [`Features::compute`], after each utterance was sent over a telephone line.
    ///
    /// # Errors
    /// As [`Features::compute`].
    pub fn compute_over(utterances: &[Utterance], line: Line) -> Result<(Self, Vec<usize>)> {
        let bar = ProgressBar::new(utterances.len() as u64).with_style(
            ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed} left {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message("decoding");
        // Spans of one file are adjacent in the list, so each file is decoded once.
        let files: Vec<&[Utterance]> = utterances.chunk_by(|a, b| a.path == b.path).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut analysed = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(number) else {
                    return analysed;
                };
                analysed.push((number, analyse_file(file, line)));
                bar.inc(file.len() as u64);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut analysed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut analysed = Vec::with_capacity(utterances.len());
            for thread in threads {
                analysed.extend(thread.join().map_err(|_| {
                    anyhow::anyhow!("a decoding thread panicked; its message is above")
                })?);
            }
            anyhow::Ok(analysed)
        })?;
        bar.finish_and_clear();

        analysed.sort_unstable_by_key(|&(number, _)| number);
        let mut features = Self::default();
        let mut kept = Vec::with_capacity(utterances.len());
        for (index, result) in analysed.into_iter().flat_map(|(_, file)| file).enumerate() {
            match result {
                Ok(Analysed { frames, hash, band }) => {
                    features.frames.push(frames);
                    features.hashes.push(hash);
                    features.bands.push(band);
                    kept.push(index);
                }
                Err(reason) => features.skipped.push((index, reason)),
            }
        }
        for (_, reason) in &features.skipped {
            eprintln!("skipped: {reason}");
        }
        if let Some((_, reason)) = features.skipped.first() {
            ensure!(
                !kept.is_empty(),
                "none of {} utterances could be used; the first: {reason}",
                utterances.len(),
            );
            let (skipped, all) = (features.skipped.len(), utterances.len());
            eprintln!("skipped {skipped} of {all} utterances, see above");
        }
        ensure!(!kept.is_empty(), "no utterances were given");
        Ok((features, kept))
    }

    /// Returns the frequency band of an utterance's source.
    #[must_use]
    pub fn band(&self, utterance: usize) -> Band {
        self.bands.get(utterance).copied().unwrap_or(Band::WIDE)
    }

    /// Returns the number of frames of all utterances; 125 are one second.
    #[must_use]
    pub fn total_frames(&self) -> usize {
        self.frames.iter().map(|frames| frames.len() / BINS).sum()
    }
}

/// The result of analysing one utterance.
struct Analysed {
    frames: Vec<f32>,
    hash: [u8; 32],
    band: Band,
}

/// Analyses all utterances of one file; each gets its frames, or the reason why it has none.
fn analyse_file(file: &[Utterance], line: Line) -> Vec<Result<Analysed, String>> {
    let Some(Utterance { path, .. }) = file.first() else {
        return Vec::new();
    };
    match decode(path) {
        Ok((samples, band)) => file
            .iter()
            .map(|utterance| {
                let piece =
                    cut(&samples, utterance.span).and_then(|piece| analyse_over(line, piece, band));
                piece.map_err(|error| format!("{}: {error:#}", path.display()))
            })
            .collect(),
        Err(error) => {
            let reason = format!("{}: {error:#}", path.display());
            file.iter().map(|_| Err(reason.clone())).collect()
        }
    }
}

fn decode(path: &Path) -> Result<(Vec<f32>, Band)> {
    let bytes = std::fs::read(path)?;
    ensure!(
        !bytes.starts_with(b"version https://git-lfs"),
        "it is a Git LFS pointer, not audio; run `git lfs pull` in its corpus",
    );
    let recording =
        undertone::audio::decode(&bytes, Encoding::Auto, LaneChoice::Mix, &Limits::default())?;
    let band = Band::of_rate(recording.source.captured_rate);
    Ok((recording.lanes.into_iter().next().unwrap_or_default(), band))
}

/// Sends samples over a telephone line and analyses what the line delivers.
fn analyse_over(line: Line, samples: &[f32], band: Band) -> Result<Analysed> {
    let (samples, band) = match line.carry(samples)? {
        None => (Cow::Borrowed(samples), band),
        Some((bytes, encoding)) => {
            let limits = Limits::default();
            let recording = undertone::audio::decode(&bytes, encoding, LaneChoice::Mix, &limits)?;
            let band = Band::of_rate(recording.source.captured_rate);
            let lane = recording.lanes.into_iter().next();
            (Cow::Owned(lane.unwrap_or_default()), band)
        }
    };
    analyse(&samples, band)
}

/// Returns the samples of a span; all samples if there is no span.
fn cut(samples: &[f32], span: Option<Span>) -> Result<&[f32]> {
    let Some(Span { start, end }) = span else {
        return Ok(samples);
    };
    let place = |time: Duration| (time.as_secs_f64() * f64::from(SAMPLE_RATE)).round() as usize;
    let last = end.map_or(samples.len(), place);
    let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
    ensure!(
        place(start) < samples.len() && last <= samples.len() + SPAN_TOLERANCE,
        "its span from {start:?} to {} exceeds the file, which has {seconds:.3} s",
        end.map_or("its end".to_owned(), |end| format!("{end:?}")),
    );
    Ok(&samples[place(start)..last.min(samples.len())])
}

fn analyse(samples: &[f32], band: Band) -> Result<Analysed> {
    ensure!(
        samples.len() >= SHORTEST_SAMPLES,
        "{} samples at 16 kHz are too short to analyse",
        samples.len(),
    );
    ensure!(
        samples.iter().all(|sample| sample.is_finite()),
        "it contains samples that are not finite",
    );
    let mut hasher = Sha256::new();
    for block in samples.chunks(1_024) {
        let mut bytes = [0; 4_096];
        for (bytes, sample) in bytes.chunks_exact_mut(4).zip(block) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
        hasher.update(&bytes[..block.len() * 4]);
    }
    let mut padded = Vec::new();
    let samples = if samples.len() < SEGMENT_SAMPLES {
        padded.extend_from_slice(samples);
        padded.resize(SEGMENT_SAMPLES, 0.0);
        &padded
    } else {
        samples
    };
    let mut frames = Vec::with_capacity(samples.len() / FRAME_HOP * BINS);
    Analyser::new().push(samples, &mut frames);
    Ok(Analysed {
        frames,
        hash: hasher.finalize().into(),
        band,
    })
}

/// Mean and deviation of each bin's ln power over a set of utterances.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// `[129]`
    pub mean: Vec<f32>,
    /// `[129]`, at least 1e−3.
    pub deviation: Vec<f32>,
}

impl Statistics {
    /// Measures the utterances with the given indices in `features`; each frame counts once.
    /// Pass training utterances only.
    #[must_use]
    pub fn of(features: &Features, indices: &[usize]) -> Self {
        let mut count = 0usize;
        let mut sum = [0.0f64; BINS];
        let mut squares = [0.0f64; BINS];
        for frames in indices
            .iter()
            .filter_map(|&index| features.frames.get(index))
        {
            for frame in frames.chunks_exact(BINS) {
                count += 1;
                for ((sum, squares), &value) in sum.iter_mut().zip(&mut squares).zip(frame) {
                    let value = f64::from(value);
                    *sum += value;
                    *squares += value * value;
                }
            }
        }
        let count = count.max(1) as f64;
        let mean = sum.map(|sum| sum / count);
        let deviation = mean.iter().zip(squares).map(|(mean, squares)| {
            let variance = (squares / count - mean * mean).max(0.0);
            (variance.sqrt() as f32).max(SMALLEST_DEVIATION)
        });
        Self {
            deviation: deviation.collect(),
            mean: mean.map(|mean| mean as f32).to_vec(),
        }
    }
}

/// Formats bytes in lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use undertone::frontend::Spec;

    use super::*;
    use crate::data::corpus::Corpus;

    /// A mono 16-bit WAV file at 16 kHz.
    fn wav(samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    fn write(dir: &Path, files: &[(&str, Vec<u8>)]) -> Vec<Utterance> {
        files
            .iter()
            .map(|(name, bytes)| {
                let path = dir.join(name);
                std::fs::write(&path, bytes).unwrap();
                Utterance::new(path, Corpus::EmoDb, "emodb/03", Some(0))
            })
            .collect()
    }

    fn sine(length: usize) -> Vec<i16> {
        (0..length)
            .map(|i| (32_767.0 * (std::f64::consts::TAU * i as f64 / 16.0).sin()).round() as i16)
            .collect()
    }

    #[test]
    fn broken_files_are_skipped_and_the_rest_keeps_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let utterances = write(
            dir.path(),
            &[
                (
                    "pointer.wav",
                    b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                ),
                ("long.wav", wav(&sine(16_000))),
                ("noise.wav", vec![7; 3_000]),
                ("short.wav", wav(&sine(1_000))),
                ("tiny.wav", wav(&sine(100))),
                ("same.wav", wav(&sine(16_000))),
            ],
        );
        let (features, kept) = Features::compute(&utterances).unwrap();
        assert_eq!(kept, [1, 3, 5]);
        assert_eq!(features.frames[0].len(), 124 * BINS);
        assert_eq!(features.frames[1].len(), 32 * BINS);
        assert_eq!(features.hashes[0], features.hashes[2]);
        assert_ne!(features.hashes[0], features.hashes[1]);
        assert_eq!(features.frames[0], features.frames[2]);
        // The contract's golden value: a 1 kHz sine at full scale.
        assert!((features.frames[0][16] + 1.3863).abs() < 1e-2);
        // Zeros fill up the short one.
        assert!((features.frames[1][31 * BINS] + 23.0259).abs() < 1e-3);
        let reasons: Vec<_> = features.skipped.iter().map(|(index, _)| *index).collect();
        assert_eq!(reasons, [0, 2, 4]);
        assert!(features.skipped[0].1.contains("git lfs pull"));

        let error = Features::compute(&utterances[..1]).unwrap_err().to_string();
        assert!(error.contains("pointer.wav"), "{error}");
        assert!(Features::compute(&[]).is_err());
    }

    #[test]
    fn a_span_is_segmented_as_a_file_of_its_own_would_be() {
        let dir = tempfile::tempdir().unwrap();
        let samples: Vec<i16> = (0..32_000).map(|i| (i * 7_919 % 20_011) as i16).collect();
        let files = [
            ("whole.wav", wav(&samples)),
            ("piece.wav", wav(&samples[8_000..24_000])),
        ];
        let [whole, piece] = <[_; 2]>::try_from(write(dir.path(), &files)).unwrap();
        let span = |start: u64, end: Option<u64>| Utterance {
            span: Some(Span {
                start: Duration::from_millis(start),
                end: end.map(Duration::from_millis),
            }),
            ..whole.clone()
        };
        let utterances = [
            piece,
            span(500, Some(1_500)),
            span(1_000, None),
            span(1_000, Some(2_030)),
            span(1_000, Some(2_200)),
            span(2_000, None),
            span(1_995, None),
        ];
        let (features, kept) = Features::compute(&utterances).unwrap();
        assert_eq!(kept, [0, 1, 2, 3]);
        assert_eq!(features.hashes[0], features.hashes[1]);
        assert_eq!(features.frames[0], features.frames[1]);
        assert_eq!(features.hashes[2], features.hashes[3]);
        let reasons: Vec<_> = features.skipped.iter().map(|(_, reason)| reason).collect();
        for (reason, expected) in reasons.iter().zip([
            "whole.wav: its span from 1s to 2.2s exceeds the file, which has 2.000 s",
            "whole.wav: its span from 2s to its end exceeds the file, which has 2.000 s",
            "whole.wav: 80 samples at 16 kHz are too short to analyse",
        ]) {
            assert!(reason.ends_with(expected), "{reason}");
        }
    }

    #[test]
    fn normalised_training_frames_have_mean_zero_and_deviation_one() {
        let mut state = 1u32;
        let mut noise = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32
        };
        let mut frames = |count: usize| -> Vec<f32> {
            (0..count * BINS)
                .map(|i| noise() * (1.0 + (i % BINS) as f32) - 20.0)
                .collect()
        };
        let features = Features {
            frames: vec![frames(400), vec![99.0; 10 * BINS], frames(600)],
            ..Features::default()
        };
        let statistics = Statistics::of(&features, &[0, 2]);
        let mut all = [features.frames[0].clone(), features.frames[2].clone()].concat();
        let Statistics { mean, deviation } = statistics;
        let spec = Spec::new(16, mean, deviation).unwrap();
        for frame in all.chunks_exact_mut(BINS) {
            spec.normalise(frame, Band::WIDE);
        }
        let again = Features {
            frames: vec![all],
            ..Features::default()
        };
        let again = Statistics::of(&again, &[0]);
        for bin in 0..BINS {
            assert!(again.mean[bin].abs() < 1e-3, "{}", again.mean[bin]);
            assert!((again.deviation[bin] - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn a_dead_bin_does_not_divide_by_nothing() {
        let features = Features {
            frames: vec![vec![-23.0; 40 * BINS]],
            ..Features::default()
        };
        let statistics = Statistics::of(&features, &[0]);
        assert!(
            statistics
                .deviation
                .iter()
                .all(|d| *d >= SMALLEST_DEVIATION)
        );
        let nothing = Statistics::of(&features, &[]);
        assert!(nothing.mean.iter().all(|m| m.is_finite()));
    }
}
