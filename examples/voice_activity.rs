//! Measures the speech detector on recordings.
//!
//! `cargo run --release --example voice_activity -- CALL TALKERS [OTHER…]` measures how often the detector is right.
//! CALL is a clean recording with one talker in each channel. The level of a channel gives its labels: speech or not.
//! The detector's input also has noise, babble, beeps or another level. TALKERS is a folder of FLAC files; babble is
//! the sum of twelve streams of them. Each OTHER is a recording that is used without a change. A line is printed for
//! each condition: the balanced accuracy over 10 ms labels, and the shares of speech and of the rest that were detected
//! correctly. Short gaps in the detector's output are closed, as in the labels.
//!
//! `cargo run --release --example voice_activity -- --kinds FOLDER…` measures in which recordings the detector finds
//! speech. Each folder is one kind of sound. Every recording in it and in its folders is analysed. A line is printed
//! for each folder: the share of recordings with a turn, and the share of steps with speech. Both are false alarms if
//! the folder holds noise, tones or music. If it holds speech, the recordings without a turn are misses. An example is
//! `--kinds ../shared/data/noise/*/ ../shared/data/emodb MUSIC TONES`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot run must stop"
)]

use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::audio::{Encoding, LaneChoice, Limits, decode};
use undertone::frontend::{Analyser, BINS, FRAME_HOP, FRAME_LENGTH, SEGMENT_FRAMES};
use undertone::speech::{Detector, Sound, TurnRule, TurnTracker};

/// Samples of one label: 10 ms.
const LABEL_SAMPLES: usize = 160;
/// Level of a clean lane, in dBFS, above which a label is speech.
const SPEECH_DBFS: f32 = -45.0;
/// Longest gap in speech that is closed, in labels: 200 ms.
const MAX_GAP: usize = 20;
/// Speech gate of the default bundle, in dBFS.
const GATE_DBFS: f32 = -75.0;
/// Voices of the babble.
const TALKERS: usize = 12;
/// Turn rule of the default bundle.
const RULE: TurnRule = TurnRule {
    least_speech: 25,
    end_silence: 125,
    lead_in: 187,
    lead_out: 0,
};
/// Frames from step to step in the default bundle.
const STEP_FRAMES: usize = 16;

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if let [option, folders @ ..] = &paths[..]
        && option == "--kinds"
    {
        return folders.iter().for_each(|folder| kind(Path::new(folder)));
    }
    let [call, talkers, others @ ..] = &paths[..] else {
        panic!("the arguments must be CALL TALKERS [OTHER…] or --kinds FOLDER…");
    };
    let lanes = lanes(Path::new(call), LaneChoice::Each);
    let length = lanes[0].len();
    let (pink, babble) = (pink(length), babble(Path::new(talkers), length));
    report("clean", lanes.iter().map(|lane| score(lane, lane)));
    for (name, noise) in [("pink", &pink), ("babble", &babble)] {
        for decibels in [20.0, 10.0, 5.0] {
            let scores = lanes
                .iter()
                .map(|lane| score(&mix(lane, noise, decibels, 1.0), lane));
            report(&format!("{name} {decibels}"), scores);
        }
    }
    let quiet = 10f32.powf(-30.0 / 20.0);
    let softer = 10f32.powf(-25.0 / 20.0);
    let silence = vec![0.0; length];
    for (name, noise) in [("-30 dB", &silence), ("-30 dB, pink 20", &pink)] {
        let scores = lanes
            .iter()
            .map(|lane| score(&mix(lane, noise, 20.0, quiet), lane));
        report(name, scores);
    }
    let opens: Vec<f32> = pink.iter().enumerate().map(line_opens).collect();
    let beeps: Vec<f32> = (0..length).map(beep).collect();
    for (name, sounds, gain) in [("line opens", &opens, 1.0), ("beeps", &beeps, softer)] {
        let scores = lanes.iter().map(|lane| {
            let both = lane.iter().zip(sounds);
            let mixed: Vec<f32> = both.map(|(sample, sound)| gain * sample + sound).collect();
            score(&mixed, lane)
        });
        report(name, scores);
    }
    for path in others {
        let other = self::lanes(Path::new(path), LaneChoice::Mix);
        report(path, other.iter().map(|lane| score(lane, lane)));
    }
}

/// Prints the share of a folder's recordings with a turn, and the share of their steps with speech.
fn kind(folder: &Path) {
    let mut counts = Counts::default();
    visit(folder, &mut counts);
    let share = |part: usize, all: usize| part as f32 / all.max(1) as f32;
    let Counts {
        recordings,
        with_turn,
        steps,
        speech,
    } = counts;
    println!(
        "{}: {recordings} recordings, {:.4} with a turn, {:.4} of the steps hold speech",
        folder.display(),
        share(with_turn, recordings),
        share(speech, steps),
    );
}

/// Counts over the recordings of a folder.
#[derive(Default)]
struct Counts {
    recordings: usize,
    with_turn: usize,
    steps: usize,
    speech: usize,
}

/// Adds all recordings in a folder and in its folders to the counts.
fn visit(folder: &Path, counts: &mut Counts) {
    let entries = std::fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            visit(&path, counts);
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("flac" | "opus" | "wav" | "ogg" | "mp3")) {
            let (turns, steps) = turns(&lanes(&path, LaneChoice::Mix)[0]);
            counts.recordings += 1;
            counts.with_turn += usize::from(turns > 0);
            counts.steps += steps.len();
            counts.speech += steps.iter().filter(|speech| **speech).count();
        }
    }
}

/// Returns the number of turns in a lane, and for each step whether it belongs to a turn and holds speech.
fn turns(samples: &[f32]) -> (usize, Vec<bool>) {
    let mut levels = Vec::new();
    Analyser::new().push(samples, &mut levels);
    let mut detector = Detector::new(GATE_DBFS);
    let mut tracker = TurnTracker::new(RULE, STEP_FRAMES);
    let (mut turns, mut steps) = (Vec::new(), Vec::new());
    for (number, frame) in levels.chunks_exact(BINS).enumerate() {
        for sound in detector.process(frame) {
            turns.extend(tracker.frame(sound));
            if let Sound::Steady(before) = sound {
                steps[tracker.first_retracted_step(before)..].fill(false);
            }
        }
        let whole = (number + 1).checked_sub(SEGMENT_FRAMES);
        if whole.is_some_and(|start| start.is_multiple_of(STEP_FRAMES)) {
            steps.push(tracker.segment().speech);
        }
    }
    turns.extend(tracker.finish());
    let of_turns = |step: usize| turns.iter().any(|turn| turn.steps.contains(&step));
    let steps = steps.iter().enumerate();
    let steps = steps.map(|(step, speech)| *speech && of_turns(step));
    (turns.len(), steps.collect())
}

/// Prints the mean over lanes of the two shares: of speech and of the rest, as far as detected correctly.
fn report(name: &str, scores: impl Iterator<Item = (f32, f32)>) {
    let scores: Vec<_> = scores.collect();
    let mean =
        |of: fn(&(f32, f32)) -> f32| scores.iter().map(of).sum::<f32>() / scores.len() as f32;
    let (speech, rest) = (mean(|score| score.0), mean(|score| score.1));
    let balanced = (speech + rest) / 2.0;
    println!("{name}: {balanced:.3} (speech {speech:.3}, rest {rest:.3})");
}

/// Returns the shares of speech and of the rest that are detected correctly in `samples`. `clean` gives the labels.
fn score(samples: &[f32], clean: &[f32]) -> (f32, f32) {
    let truth = truth(clean);
    let mut levels = Vec::new();
    Analyser::new().push(samples, &mut levels);
    let mut detector = Detector::new(GATE_DBFS);
    let mut frames = Vec::new();
    let sounds = levels
        .chunks_exact(BINS)
        .flat_map(|frame| detector.process(frame));
    for sound in sounds {
        frames.push(sound == Sound::Speech);
        if let Sound::Steady(before) = sound {
            let first = frames.len().saturating_sub(before + 1);
            frames[first..].fill(false);
        }
    }
    // The frame with its middle nearest to the middle of the label.
    let nearest = |label: usize| {
        let middle = label * LABEL_SAMPLES + LABEL_SAMPLES / 2;
        let frame = (middle + FRAME_HOP / 2).saturating_sub(FRAME_LENGTH / 2) / FRAME_HOP;
        frames[frame.min(frames.len() - 1)]
    };
    let mut detected: Vec<bool> = (0..truth.len()).map(nearest).collect();
    close_gaps(&mut detected);
    let share = |of: bool| {
        let all = truth
            .iter()
            .zip(&detected)
            .filter(|(truth, _)| **truth == of);
        let right = all.clone().filter(|(truth, detected)| truth == detected);
        right.count() as f32 / all.count() as f32
    };
    (share(true), share(false))
}

/// Scales noise of power 1 to −50 dBFS, and silences it in the first four seconds of every eight.
fn line_opens((sample, noise): (usize, &f32)) -> f32 {
    match sample / 64_000 % 2 {
        0 => 0.0,
        _ => 10f32.powf(-50.0 / 20.0) * noise,
    }
}

/// Returns a sample of a tone of 1 kHz and −6 dBFS that sounds for one second of every ten.
fn beep(sample: usize) -> f32 {
    match sample / 16_000 % 10 {
        0 => 0.709 * (std::f32::consts::TAU * sample as f32 / 16.0).sin(),
        _ => 0.0,
    }
}

/// Returns for each 10 ms of a clean lane whether they hold speech.
fn truth(clean: &[f32]) -> Vec<bool> {
    let level = |samples: &[f32]| 10.0 * power(samples).max(1e-12).log10();
    let labels = clean.chunks_exact(LABEL_SAMPLES);
    let mut truth: Vec<bool> = labels.map(|samples| level(samples) > SPEECH_DBFS).collect();
    close_gaps(&mut truth);
    truth
}

/// Fills the gaps in speech of at most [`MAX_GAP`] labels.
fn close_gaps(labels: &mut [bool]) {
    let mut last = None;
    for label in 0..labels.len() {
        if labels[label] {
            if let Some(last) = last.filter(|last| label - last <= MAX_GAP + 1) {
                labels[last..label].fill(true);
            }
            last = Some(label);
        }
    }
}

/// Adds noise of power 1 to a lane, `decibels` below the lane's speech, and scales the sum by `gain`.
fn mix(lane: &[f32], noise: &[f32], decibels: f32, gain: f32) -> Vec<f32> {
    let truth = truth(lane);
    let speech: Vec<f32> = lane
        .chunks_exact(LABEL_SAMPLES)
        .zip(&truth)
        .filter(|(_, speaks)| **speaks)
        .flat_map(|(samples, _)| samples.to_vec())
        .collect();
    let level = (power(&speech) * 10f32.powf(-decibels / 10.0)).sqrt();
    let both = lane.iter().zip(noise);
    both.map(|(sample, noise)| gain * (sample + level * noise))
        .collect()
}

/// Returns pink noise of power 1: white noise through Kellet's filter.
fn pink(length: usize) -> Vec<f32> {
    const POLES: [(f32, f32); 6] = [
        (0.99886, 0.055_517_9),
        (0.99332, 0.075_075_9),
        (0.969, 0.153_852),
        (0.8665, 0.310_485_6),
        (0.55, 0.532_952_2),
        (-0.7616, -0.016_898),
    ];
    let mut random = StdRng::seed_from_u64(7);
    let mut states = [0.0; POLES.len()];
    let samples = (0..length).map(|_| {
        let white = 2.0 * random.random::<f32>() - 1.0;
        for (state, (pole, weight)) in states.iter_mut().zip(POLES) {
            *state = pole * *state + weight * white;
        }
        states.iter().sum::<f32>() + 0.5362 * white
    });
    normalised(&samples.collect::<Vec<_>>())
}

/// Returns babble of power 1: [`TALKERS`] equally loud voices at once.
fn babble(folder: &Path, length: usize) -> Vec<f32> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "flac"))
        .collect();
    files.sort();
    let mut sum = vec![0.0; length];
    for talker in 0..TALKERS {
        let own = files.iter().skip(talker).step_by(TALKERS).cycle();
        let speech: Vec<f32> = own
            .flat_map(|file| lanes(file, LaneChoice::Mix).remove(0))
            .take(length)
            .collect();
        for (sum, sample) in sum.iter_mut().zip(normalised(&speech)) {
            *sum += sample;
        }
    }
    normalised(&sum)
}

/// Scales samples to power 1.
fn normalised(samples: &[f32]) -> Vec<f32> {
    let level = power(samples).sqrt();
    samples.iter().map(|sample| sample / level).collect()
}

/// Returns the mean square of samples.
fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32
}

/// Returns the decoded lanes of a recording.
fn lanes(path: &Path, choice: LaneChoice) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    decode(&bytes, Encoding::Auto, choice, &Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .lanes
}
