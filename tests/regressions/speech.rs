//! Faults in speech detection: tones and music that were speech, and speech that was lost.

use std::f32::consts::TAU;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::audio::{Encoding, LaneChoice, Limits, decode};
use undertone::service::pb::{AudioConfig, AudioEncoding, ClassifyRequest, Lane, Prediction};

use crate::common::{self, Client, Server};
use crate::data;

async fn classify(client: &Client, request: ClassifyRequest) -> Lane {
    let response = client.clone().classify(request).await.unwrap();
    response.into_inner().lanes.remove(0)
}

fn file(audio: Vec<u8>) -> ClassifyRequest {
    ClassifyRequest {
        audio: audio.into(),
        ..Default::default()
    }
}

/// Returns a request with samples in µ-law.
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

/// Encodes a sample in G.711 µ-law: the inverted sign, segment and four bits of a value of 14 bits.
fn mulaw_byte(sample: f32) -> u8 {
    let magnitude = (sample.abs() * 8_159.0).min(8_158.0) as u32 + 33;
    let segment = magnitude.ilog2() - 5;
    let step = magnitude >> (segment + 1) & 0xf;
    let sign = if sample < 0.0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

/// Returns the total prediction of a lane.
fn total(lane: &Lane) -> &Prediction {
    lane.total.as_ref().unwrap()
}

/// Asserts that a lane has no turn and abstains because of that.
fn assert_no_speech(lane: &Lane, case: &str) {
    assert_eq!(lane.turns, [], "{case}");
    let reason = total(lane).reason().as_str_name();
    assert_eq!(reason, "ABSTENTION_REASON_NO_SPEECH", "{case}");
}

#[tokio::test]
async fn recorded_telephone_tones_and_chords_are_not_speech() {
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

/// A repeated sequence of tones. Each has its frequencies in hertz and its duration in seconds; silence has no
/// frequency.
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
    /// Returns seven seconds at full scale.
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
async fn signalling_tones_are_not_speech_at_any_level() {
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

/// Returns a sine that rises and falls between 600 and 1,500 Hz once a `period`, in seconds: 6 s at 16 kHz.
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

/// A function of one number: a waveform of its phase, or a frequency of the time.
type Wave = fn(f32) -> f32;

/// Returns the sum of every `step`-th harmonic up to the eighth. The amplitude of harmonic k is 1/k.
fn harmonics(phase: f32, step: usize) -> f32 {
    let numbers = (1..=8).step_by(step).map(|k| k as f32);
    numbers.map(|k| (k * phase).sin() / k).sum()
}

#[tokio::test]
async fn sirens_with_harmonics_are_not_speech() {
    let server = Server::start();
    let client = server.client().await;
    let waves: [(&str, Wave); 4] = [
        ("square", |phase| harmonics(phase, 2)),
        ("sawtooth", |phase| harmonics(phase, 1)),
        ("cubed sine", |phase| phase.sin().powi(3)),
        // Two equally loud harmonics, so either may be the loudest in a frame.
        ("two alike", |phase| phase.sin() + (2.0 * phase).sin()),
    ];
    let sweeps: [(&str, Wave); 3] = [
        ("yelp", |t| 1_000.0 + 500.0 * (TAU * 4.0 * t).sin()),
        ("wail", |t| 900.0 - 500.0 * (TAU * 0.25 * t).cos()),
        ("whoop", |t| 500.0 + 700.0 * (0.8 * t).fract().powi(2)),
    ];
    for (name, wave) in waves {
        for (path, hertz) in sweeps {
            let mut phase = 0.0;
            let samples = (0..8 * 16_000).map(|i| {
                phase = (phase + TAU * hertz(i as f32 / 16_000.0) / 16_000.0) % TAU;
                0.2 * wave(phase)
            });
            let samples: Vec<f32> = samples.collect();
            let lane = classify(&client, file(common::wav(&samples, 16_000))).await;
            assert_no_speech(&lane, &format!("{path}, {name}"));
        }
    }
}

#[tokio::test]
async fn sirens_are_not_speech() {
    let server = Server::start();
    let client = server.client().await;
    for period in [0.35, 5.0] {
        let lane = classify(&client, file(common::wav(&siren(period), 16_000))).await;
        assert_no_speech(&lane, &format!("siren with a period of {period} s"));
    }
}

/// Duration of a beat, in seconds.
const BEAT: f32 = 0.4;

/// Returns hold music of `beats` beats at 16 kHz: chords, a bass and a melody.
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

/// Adds a note of six partials to the music. It is `tone` semitones over middle C and decays by `decay` nepers a
/// second.
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

/// A function that returns a sample of a note, from its frequency in hertz and the seconds since its start.
type Instrument = fn(f32, f32) -> f32;

/// Returns a sample of a bell.
fn bell(hertz: f32, t: f32) -> f32 {
    // The ratio of each partial to the note, its level, and its decay in nepers a second.
    let partials = [
        (0.5, 0.5, 1.2),
        (1.0, 1.0, 2.0),
        (1.19, 0.6, 2.5),
        (1.56, 0.4, 3.0),
        (2.0, 0.7, 3.5),
        (2.66, 0.4, 5.0),
        (3.01, 0.3, 6.0),
        (4.1, 0.2, 8.0),
    ];
    let partial = |(ratio, level, decay): (f32, f32, f32)| {
        level * (-decay * t).exp() * (TAU * ratio * hertz * t).sin()
    };
    partials.map(partial).iter().sum()
}

/// Returns a sample of a bowed string: the harmonics up to the twelfth. The phase is in periods.
fn bowed(periods: f32) -> f32 {
    (1..=12)
        .map(|k| (TAU * periods * k as f32).sin() / k as f32)
        .sum()
}

/// Returns a sample of a bowed string with vibrato.
fn violin(hertz: f32, t: f32) -> f32 {
    let vibrato = 0.01 * (1.0 - (TAU * 5.5 * t).cos()) / (TAU * 5.5);
    (t / 0.08).min(1.0) * (1.0 + 0.2 * (TAU * 5.5 * t).sin()) * bowed(hertz * (t + vibrato))
}

/// Returns a sample of a melody with vibrato that slides up into each note.
fn wail(hertz: f32, t: f32) -> f32 {
    let vibrato = 0.015 * (1.0 - (TAU * 6.0 * t).cos()) / (TAU * 6.0);
    let slide = 0.2 * 0.15 * (1.0 - (-t / 0.15).exp());
    bowed(hertz * (t - slide + vibrato))
}

/// Returns a sample of an organ: five stops with a tremolo.
fn organ(hertz: f32, t: f32) -> f32 {
    let tremolo = 1.0 + 0.15 * (TAU * 6.2 * t).sin();
    let stops = [(1.0, 1.0), (2.0, 0.7), (3.0, 0.4), (4.0, 0.4), (6.0, 0.2)];
    let stop = |(ratio, level): (f32, f32)| level * (TAU * ratio * hertz * t).sin();
    tremolo * stops.map(stop).iter().sum::<f32>()
}

/// Returns a sample of a struck string. Higher harmonics decay faster.
fn piano(hertz: f32, t: f32) -> f32 {
    let partial = |k: f32| (-(1.2 + 0.8 * k) * t).exp() * (TAU * hertz * k * t).sin() / k;
    (1..=10).map(|k| partial(k as f32)).sum()
}

/// Returns a sample of a plucked string. It is brighter than a struck one.
fn plucked(hertz: f32, t: f32) -> f32 {
    let partial =
        |k: f32| (-(1.0 + 0.3 * k * k) * t).exp() * (TAU * hertz * k * t).sin() / k.sqrt();
    (1..=14).map(|k| partial(k as f32)).sum()
}

/// A kind of hold music.
struct Music {
    name: &'static str,
    chords: Option<Instrument>,
    melody: Option<Instrument>,
    /// A kick on the first beat and noise on the second.
    drums: bool,
}

const MUSICS: [Music; 7] = [
    Music {
        name: "chords of bells",
        chords: Some(bell),
        melody: None,
        drums: false,
    },
    Music {
        name: "chords of violins with a beat",
        chords: Some(violin),
        melody: None,
        drums: true,
    },
    Music {
        name: "a wail over an organ",
        chords: Some(organ),
        melody: Some(wail),
        drums: false,
    },
    Music {
        name: "a wail alone",
        chords: None,
        melody: Some(wail),
        drums: false,
    },
    Music {
        name: "a piano with a beat",
        chords: Some(piano),
        melody: Some(piano),
        drums: true,
    },
    Music {
        name: "plucked strings",
        chords: Some(plucked),
        melody: Some(plucked),
        drums: false,
    },
    Music {
        name: "plucked strings with a beat",
        chords: Some(plucked),
        melody: Some(plucked),
        drums: true,
    },
];

impl Music {
    /// Returns 60 beats, thirty seconds, at 16 kHz.
    fn samples(&self) -> Vec<f32> {
        /// Samples of a beat: 0.5 s.
        const BEAT_SAMPLES: usize = 8_000;
        let mut random = StdRng::seed_from_u64(5);
        let mut music = vec![0.0; 60 * BEAT_SAMPLES];
        let mut play =
            |start: usize, beats: usize, level: f32, sound: &mut dyn FnMut(f32) -> f32| {
                let length = beats * BEAT_SAMPLES;
                for (i, sample) in music
                    .iter_mut()
                    .skip(start * BEAT_SAMPLES)
                    .take(length)
                    .enumerate()
                {
                    let edge = (i.min(length - i) as f32 / 160.0).min(1.0);
                    *sample += level * edge * sound(i as f32 / 16_000.0);
                }
            };
        let hertz = |tone: i32| 261.6 * 2f32.powf(tone as f32 / 12.0);
        let chords: [[i32; 3]; 4] = [[0, 4, 7], [-3, 0, 4], [-7, -3, 0], [-5, -1, 2]];
        let melody = [
            12, 16, 19, 16, 14, 12, 9, 12, 17, 16, 14, 12, 11, 14, 19, 17,
        ];
        for beat in 0..60 {
            if let Some(chord) = self.chords.filter(|_| beat % 4 == 0) {
                for tone in chords[beat / 4 % chords.len()] {
                    play(beat, 4, 0.08, &mut |t| chord(hertz(tone), t));
                }
            }
            if let Some(voice) = self.melody {
                play(beat, 1, 0.12, &mut |t| {
                    voice(hertz(melody[beat % melody.len()]), t)
                });
            }
            if self.drums && beat % 2 == 0 {
                play(beat, 1, 0.3, &mut |t| {
                    (-18.0 * t).exp() * (TAU * 60.0 * t).sin()
                });
            } else if self.drums {
                play(beat, 1, 0.1, &mut |t| {
                    (-16.0 * t).exp() * random.random_range(-1.0..1.0)
                });
            }
        }
        music
    }
}

/// Returns a read book and, if the corpus is there, an angry sentence from EMO-DB.
fn sentences() -> Vec<Vec<f32>> {
    let mut paths = vec![PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/audio/book.flac"
    ))];
    paths.extend(angry());
    let samples = paths.iter().map(|path| {
        let audio = std::fs::read(path).unwrap();
        let decoded = decode(&audio, Encoding::Auto, LaneChoice::Mix, &Limits::default());
        decoded.unwrap().lanes.remove(0)
    });
    samples.collect()
}

#[tokio::test]
async fn a_sentence_after_any_hold_music_decides_the_total() {
    let server = Server::start();
    let client = server.client().await;
    for sentence in sentences() {
        let alone = classify(&client, file(common::wav(&sentence, 16_000))).await;
        for kind in &MUSICS {
            let call = [kind.samples(), vec![0.0; 20_000], sentence.clone()].concat();
            let call = classify(&client, file(common::wav(&call, 16_000))).await;
            let (alone, total) = (total(&alone), total(&call));
            assert_eq!(total.label, alone.label, "after {}", kind.name);
            assert_eq!(total.abstained, alone.abstained, "after {}", kind.name);
        }
    }
}

/// Returns the path of an angry sentence from EMO-DB, if the corpus is there.
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
        assert_eq!(
            total(&call).label,
            "anger",
            "{pause} samples after the music"
        );
        assert!(!total(&call).abstained);
    }
}

#[tokio::test]
async fn emotional_speech_is_not_detected_as_a_tone() {
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
