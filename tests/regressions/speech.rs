//! Finding speech.

use std::f32::consts::TAU;
use std::path::PathBuf;

use undertone::audio::{Encoding, LaneChoice, Limits, decode};
use undertone::service::pb::{AudioConfig, AudioEncoding, ClassifyRequest, Lane, Prediction};

use crate::common::{self, Client, Server};
use crate::data;

async fn classify(client: &Client, request: ClassifyRequest) -> Lane {
    let answer = client.clone().classify(request).await.unwrap();
    answer.into_inner().lanes.remove(0)
}

fn file(audio: Vec<u8>) -> ClassifyRequest {
    ClassifyRequest {
        audio: audio.into(),
        ..Default::default()
    }
}

fn mulaw(samples: &[f32], rate: u32) -> ClassifyRequest {
    let audio: Vec<u8> = samples.iter().map(|sample| mulaw_byte(*sample)).collect();
    ClassifyRequest {
        audio: audio.into(),
        config: Some(AudioConfig {
            encoding: AudioEncoding::Mulaw.into(),
            sample_rate_hz: rate,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// G.711: sign, segment and four bits of a value of 14 bits, inverted.
fn mulaw_byte(sample: f32) -> u8 {
    let magnitude = (sample.abs() * 8_159.0).min(8_158.0) as u32 + 33;
    let segment = magnitude.ilog2() - 5;
    let step = magnitude >> (segment + 1) & 0xf;
    let sign = if sample < 0.0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

fn total(lane: &Lane) -> &Prediction {
    lane.total.as_ref().unwrap()
}

fn assert_no_speech(lane: &Lane, what: &str) {
    assert_eq!(lane.turns, [], "{what}");
    let reason = total(lane).reason().as_str_name();
    assert_eq!(reason, "ABSTENTION_REASON_NO_SPEECH", "{what}");
}

#[tokio::test]
async fn tones_of_a_telephone_and_chords_are_no_speech() {
    let server = Server::start();
    let client = server.client().await;
    for name in [
        "dtmf_8k",
        "busy_8k",
        "dialtone_8k",
        "ringback_us_8k",
        "chord_16k",
        "arpeggio_16k",
    ] {
        let Some(path) = data::shared(&format!("regressions/tone_{name}.flac")) else {
            return;
        };
        let lane = classify(&client, file(std::fs::read(path).unwrap())).await;
        assert_no_speech(&lane, name);
    }
}

/// Tones in turn: their frequencies in hertz and how long they last in seconds, again and again.
struct Cadence(&'static str, &'static [(&'static [f32], f32)]);

const CADENCES: [Cadence; 12] = [
    Cadence("busy, United States", &[(&[480.0, 620.0], 0.5), (&[], 0.5)]),
    Cadence("busy, United Kingdom", &[(&[400.0], 0.375), (&[], 0.375)]),
    Cadence("busy, Germany", &[(&[425.0], 0.48), (&[], 0.48)]),
    Cadence("congestion, Europe", &[(&[425.0], 0.2), (&[], 0.2)]),
    Cadence("ring-back, Europe", &[(&[425.0], 1.0), (&[], 4.0)]),
    Cadence(
        "ring-back, United Kingdom",
        &[
            (&[400.0, 450.0], 0.4),
            (&[], 0.2),
            (&[400.0, 450.0], 0.4),
            (&[], 2.0),
        ],
    ),
    Cadence("dial tone, United Kingdom", &[(&[350.0, 450.0], 4.0)]),
    Cadence(
        "special information",
        &[
            (&[950.0], 0.33),
            (&[1_400.0], 0.33),
            (&[1_800.0], 0.33),
            (&[], 1.0),
        ],
    ),
    Cadence("fax calling", &[(&[1_100.0], 0.5), (&[], 3.0)]),
    Cadence("fax called", &[(&[2_100.0], 3.0), (&[], 0.1)]),
    Cadence(
        "keys",
        &[
            (&[697.0, 1_209.0], 0.1),
            (&[], 0.1),
            (&[770.0, 1_477.0], 0.1),
            (&[], 0.1),
            (&[941.0, 1_336.0], 0.1),
            (&[], 0.1),
        ],
    ),
    Cadence("siren, two tones", &[(&[440.0], 0.5), (&[585.0], 0.5)]),
];

impl Cadence {
    /// Seven seconds, full scale.
    fn samples(&self, rate: u32) -> Vec<f32> {
        let Self(_, tones) = self;
        let mut samples = Vec::new();
        for (tones, seconds) in tones.iter().cycle() {
            if samples.len() >= 7 * rate as usize {
                break;
            }
            samples.extend((0..(seconds * rate as f32) as usize).map(|i| {
                let phase = TAU * i as f32 / rate as f32;
                let sum: f32 = tones.iter().map(|hertz| (hertz * phase).sin()).sum();
                sum / tones.len().max(1) as f32
            }));
        }
        samples
    }
}

#[tokio::test]
async fn signalling_tones_are_no_speech_at_any_level() {
    let server = Server::start();
    let client = server.client().await;
    for cadence in &CADENCES {
        for level in [-6.0, -20.0, -40.0] {
            let gain = 10f32.powf(level / 20.0);
            let at = |rate: u32| -> Vec<f32> {
                let samples = cadence.samples(rate);
                samples.iter().map(|sample| gain * sample).collect()
            };
            for (request, coding) in [
                (file(common::wav(&at(16_000), 16_000)), "16 kHz"),
                (file(common::wav(&at(8_000), 8_000)), "8 kHz"),
                (mulaw(&at(8_000), 8_000), "8 kHz, µ-law"),
            ] {
                let lane = classify(&client, request).await;
                assert_no_speech(&lane, &format!("{}, {level} dBFS, {coding}", cadence.0));
            }
        }
    }
}

/// A sine that goes up and down between 600 and 1,500 Hz, 6 s at 16 kHz.
fn siren(period: f32) -> Vec<f32> {
    let mut phase = 0.0;
    let samples = (0..96_000).map(|i| {
        let rise = (i as f32 / 16_000.0 / period).fract();
        let hertz = 600.0 + 900.0 * (1.0 - (2.0 * rise - 1.0).abs());
        phase = (phase + TAU * hertz / 16_000.0) % TAU;
        0.3 * phase.sin()
    });
    samples.collect()
}

#[tokio::test]
async fn sirens_are_no_speech() {
    let server = Server::start();
    let client = server.client().await;
    for period in [0.35, 5.0] {
        let lane = classify(&client, file(common::wav(&siren(period), 16_000))).await;
        assert_no_speech(&lane, &format!("up and down in {period} s"));
    }
}

/// Seconds of a beat.
const BEAT: f32 = 0.4;

/// Music as it is played to who waits: chords, a bass and a melody over them, so many beats at 16 kHz.
fn hold_music(beats: usize) -> Vec<f32> {
    let beat = (BEAT * 16_000.0) as usize;
    let mut music = vec![0.0; beats * beat];
    let chords: [[i32; 3]; 4] = [[0, 4, 7], [9, 12, 16], [5, 9, 12], [7, 11, 14]];
    let melody = [
        12, 16, 19, 16, 14, 12, 9, 12, 17, 16, 14, 12, 11, 14, 19, 17,
    ];
    for start in 0..beats {
        let chord = chords[start / 4 % chords.len()];
        if start % 4 == 0 {
            for tone in chord {
                play(&mut music, start * beat, 4 * beat, tone, 0.05, 0.3);
            }
        }
        if start % 2 == 0 {
            play(&mut music, start * beat, 2 * beat, chord[0] - 12, 0.08, 1.5);
        }
        let tone = melody[start % melody.len()];
        play(&mut music, start * beat, 2 * beat, tone, 0.1, 3.0);
    }
    music
}

/// Adds a note of six partials, so many semitones over middle C, that fades by `decay` nepers a second.
fn play(music: &mut [f32], start: usize, length: usize, tone: i32, level: f32, decay: f32) {
    let hertz = 261.6 * 2f32.powf(tone as f32 / 12.0);
    for (i, sample) in music.iter_mut().skip(start).take(length).enumerate() {
        let seconds = i as f32 / 16_000.0;
        let partials = (1..=6).map(|k| (TAU * hertz * k as f32 * seconds).sin() / k as f32);
        let attack = (seconds / 0.01).min(1.0);
        let release = ((length - i) as f32 / 160.0).min(1.0);
        *sample += level * attack * release * (-decay * seconds).exp() * partials.sum::<f32>();
    }
}

/// An angry sentence from EMO-DB.
fn angry() -> Option<PathBuf> {
    data::shared("emodb/03a01Wa.flac")
}

#[tokio::test]
async fn a_sentence_after_hold_music_decides_the_total() {
    let Some(path) = angry() else {
        return;
    };
    let server = Server::start();
    let client = server.client().await;
    let audio = std::fs::read(path).unwrap();
    let sentence = decode(&audio, Encoding::Auto, LaneChoice::Mix, &Limits::default());
    let sentence = sentence.unwrap().lanes.remove(0);
    let alone = classify(&client, file(audio)).await;
    assert_eq!(total(&alone).label, "anger");
    // 30 s.
    let music = hold_music(75);
    let waiting = classify(&client, file(common::wav(&music, 16_000))).await;
    assert_no_speech(&waiting, "hold music");
    for pause in [0, 8_000] {
        let call = [music.clone(), vec![0.0; pause], sentence.clone()].concat();
        let call = classify(&client, file(common::wav(&call, 16_000))).await;
        assert_eq!(total(&call).label, "anger", "after {pause} samples");
        assert!(!total(&call).abstained);
    }
}

#[tokio::test]
async fn emotional_speech_is_not_taken_for_a_tone() {
    let server = Server::start();
    let client = server.client().await;
    for (corpus, every) in [
        ("ravdess", 60),
        ("banglaser", 60),
        ("emodb", 30),
        ("cremad", 250),
    ] {
        let Some(folder) = data::shared(corpus) else {
            return;
        };
        let manifest = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
        let names = manifest
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').next());
        for name in names.step_by(every) {
            let path = folder.join(name);
            let lane = classify(&client, file(std::fs::read(&path).unwrap())).await;
            assert_ne!(lane.turns, [], "{}", path.display());
        }
    }
}
