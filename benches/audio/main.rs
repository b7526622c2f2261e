//! Measures decoding, resampling, front end and speech detection in milliseconds of one core per second of audio.
//!
//! `cargo bench --bench audio [-- FILE…]` also measures the given files. The last lines are the ratios of the times to
//! their targets, one per line. Times are processor times of this thread in the fastest of many rounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to report"
)]

#[path = "../../tests/common/wav.rs"]
mod wav;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use undertone::audio::{Encoding, LaneChoice, Limits, RawFormat, Resampler, decode};
use undertone::bundle::Manifest;
use undertone::frontend::{Analyser, BINS, Segmenter, Segments, Spec};
use undertone::speech::{Detector, Sound};
use wav::wav;

/// Speech at 16 kHz, and the same at 44.1 kHz.
static FLAC: &[u8] = include_bytes!("../../tests/audio/book.flac");
static MP3: &[u8] = include_bytes!("../../tests/audio/book.mp3");

/// How often the speech is repeated in the generated recordings, which makes 36 s.
const TIMES: usize = 6;

/// Rounds per measurement.
const ROUNDS: usize = 40;

/// Milliseconds that all stages together may take per second of audio.
const TARGET: f64 = 0.5;

/// The same for sources above 16 kHz, because they have more samples to decode and to resample.
const TARGET_ABOVE_16_KHZ: f64 = 1.0;

/// Milliseconds that speech detection may take per second of audio.
const TARGET_SPEECH: f64 = 0.2;

/// Samples segmented at a time, as in the engine.
const PIECE: usize = 131_072;

struct Case {
    name: String,
    bytes: Vec<u8>,
    encoding: Encoding,
}

fn main() {
    let manifest = Manifest::parse(include_bytes!("../../models/default/bundle.toml"));
    let spec = Arc::new(manifest.unwrap().frontend);
    let mut figures = Vec::new();
    for case in cases() {
        let (rate, cost) = measure(&case, &spec);
        let target = if rate > 16_000 {
            TARGET_ABOVE_16_KHZ
        } else {
            TARGET
        };
        let name = &case.name;
        println!(
            "{name}: decode {:.3}, resample {:.3}, front end {:.3}, speech {:.3}: {:.3} ms per second of audio",
            cost.decode,
            cost.resample,
            cost.front_end,
            cost.speech,
            cost.all()
        );
        figures.push((format!("{name}_over_target"), cost.all() / target));
        figures.push((
            format!("{name}_speech_over_target"),
            cost.speech / TARGET_SPEECH,
        ));
    }
    for (name, ratio) in figures {
        println!("{name} {ratio:.2}");
    }
}

fn cases() -> Vec<Case> {
    let case = |name: &str, bytes| Case {
        name: name.into(),
        bytes,
        encoding: Encoding::Auto,
    };
    let book = decode(FLAC, Encoding::Auto, LaneChoice::Mix, &Limits::default()).unwrap();
    let speech = book.lanes[0].repeat(TIMES);
    let half: Vec<f32> = speech
        .chunks(2)
        .map(|pair| pair.iter().sum::<f32>() / 2.0)
        .collect();
    let telephone = wav(&half, 8_000);
    let mut cases = vec![
        case("wav_16k", wav(&speech, 16_000)),
        case("flac_16k", FLAC.to_vec()),
        Case {
            name: "telephone_mulaw_8k".into(),
            bytes: mulaw(&telephone),
            encoding: Encoding::Raw {
                format: RawFormat::Mulaw,
                sample_rate: 8_000,
                channels: 1,
            },
        },
        case("telephone_wav_8k", telephone),
        case("mp3_44k", MP3.to_vec()),
    ];
    for path in std::env::args().skip(1).filter(|arg| !arg.starts_with('-')) {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        cases.push(case(&path, bytes));
    }
    cases
}

/// Milliseconds of one core per second of audio.
struct Cost {
    decode: f64,
    resample: f64,
    front_end: f64,
    speech: f64,
}

impl Cost {
    fn all(&self) -> f64 {
        self.decode + self.resample + self.front_end + self.speech
    }
}

/// Returns the source's rate and the cost of each stage. `decode` includes resampling, so the time of resampling the
/// same amount of sound is subtracted.
fn measure(case: &Case, spec: &Arc<Spec>) -> (u32, Cost) {
    let decode_case = || {
        decode(
            &case.bytes,
            case.encoding,
            LaneChoice::Mix,
            &Limits::default(),
        )
        .unwrap_or_else(|error| panic!("{}: {error}", case.name))
    };
    let recording = decode_case();
    let (rate, seconds) = (recording.source.sample_rate, recording.seconds());
    let samples = &recording.lanes[0];
    // The time of resampling does not depend on the sound.
    let at_source: Vec<f32> = samples
        .iter()
        .copied()
        .cycle()
        .take((seconds * f64::from(rate)) as usize)
        .collect();
    let mut frames = Vec::new();
    Analyser::new().push(samples, &mut frames);
    let [all, resample, front_end, speech] = [
        shortest(|| {
            black_box(decode_case());
        }),
        shortest(|| {
            black_box(resampled(&at_source, rate));
        }),
        shortest(|| {
            black_box(segmented(samples, spec));
        }),
        shortest(|| {
            black_box(speech_frames(&frames));
        }),
    ]
    .map(|time| time.as_secs_f64() * 1e3 / seconds);
    let cost = Cost {
        decode: all - resample,
        resample,
        front_end,
        speech,
    };
    (rate, cost)
}

fn resampled(samples: &[f32], rate: u32) -> Vec<f32> {
    let mut resampler = Resampler::new(rate).unwrap();
    let mut out = Vec::new();
    for block in samples.chunks(4_096) {
        resampler.push(block, &mut out).unwrap();
    }
    resampler.finish(&mut out).unwrap();
    out
}

fn segmented(samples: &[f32], spec: &Arc<Spec>) -> usize {
    let mut segmenter = Segmenter::new(Arc::clone(spec));
    let mut segments = Segments::default();
    let mut count = 0;
    for block in samples.chunks(PIECE) {
        segments.clear();
        segmenter.push(block, &mut segments).unwrap();
        count += segments.len();
    }
    segmenter.finish(&mut segments).unwrap();
    count + segments.len()
}

/// Returns how many of the frames `[F, 129]` are speech.
fn speech_frames(frames: &[f32]) -> usize {
    let mut detector = Detector::new(-75.0);
    let frames = frames.chunks_exact(BINS);
    frames
        .flat_map(|frame| detector.process(frame))
        .filter(|sound| *sound == Sound::Speech)
        .count()
}

/// Returns the processor time of the fastest round.
fn shortest(mut work: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = processor_time();
        work();
        processor_time() - start
    });
    rounds.min().unwrap_or_default()
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Returns the samples of a 16-bit WAV file in µ-law: for each, the code with the nearest value.
fn mulaw(wav: &[u8]) -> Vec<u8> {
    let mulaw = Encoding::Raw {
        format: RawFormat::Mulaw,
        sample_rate: 16_000,
        channels: 1,
    };
    let codes: Vec<u8> = (0..=255).collect();
    let values = decode(&codes, mulaw, LaneChoice::Mix, &Limits::default()).unwrap();
    let mut reader = hound::WavReader::new(wav).unwrap();
    reader
        .samples::<i16>()
        .map(|sample| {
            let sample = f32::from(sample.unwrap()) / 32_768.0;
            let distance = |code: &u8| (values.lanes[0][usize::from(*code)] - sample).abs();
            let nearest = codes.iter().copied();
            nearest
                .min_by(|a, b| distance(a).total_cmp(&distance(b)))
                .unwrap()
        })
        .collect()
}
