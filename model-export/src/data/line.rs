//! Simulated telephone lines, to measure what they cost in accuracy.
//!
//! Input: samples at 16 kHz. Output: the bytes that a caller would send, for the server's own decoder.
//! Deterministic; needs no external tool.

use anyhow::Result;
use undertone::audio::{Encoding, RawFormat, Resampler};

/// Sample rate of a telephone line in hertz.
const LINE_RATE: u32 = 8_000;
/// Pass band of a telephone in hertz (ITU-T G.712).
const PASSED: [f64; 2] = [300.0, 3_400.0];
/// Taps of the band-pass filter. Its transitions are 3.3 · 8,000 / 255 = 104 Hz wide, and its stop band
/// is at −53 dB (Hamming window).
const TAPS: usize = 255;

/// The line between a speaker and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// No line: the unchanged recording.
    Direct,
    /// 8 kHz, 16 bits.
    Linear,
    /// 300 to 3,400 Hz, 8 kHz, µ-law.
    MuLaw,
}

impl Line {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Linear, Self::MuLaw];

    /// Returns the name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "16 kHz",
            Self::Linear => "8 kHz linear",
            Self::MuLaw => "8 kHz µ-law, 300–3,400 Hz",
        }
    }

    /// Returns what the line delivers for samples at 16 kHz, full scale ±1; `None` if there is no line.
    ///
    /// # Errors
    /// If the resampler fails, which would be a bug.
    pub fn carry(self, samples: &[f32]) -> Result<Option<(Vec<u8>, Encoding)>> {
        let (bytes, format) = match self {
            Self::Direct => return Ok(None),
            Self::Linear => {
                let halved = halved(samples)?;
                let bytes = halved
                    .iter()
                    .flat_map(|&sample| sixteen(sample).to_le_bytes());
                (bytes.collect(), RawFormat::PcmS16Le)
            }
            Self::MuLaw => {
                let passed = filtered(&halved(samples)?, &band_pass());
                let bytes = passed.iter().map(|&sample| mu_law(sixteen(sample)));
                (bytes.collect(), RawFormat::Mulaw)
            }
        };
        let encoding = Encoding::Raw {
            format,
            sample_rate: LINE_RATE,
            channels: 1,
        };
        Ok(Some((bytes, encoding)))
    }
}

/// Halves the sample rate from 16 to 8 kHz. The resampler converts 32 to 16 kHz, which is the same
/// ratio.
fn halved(samples: &[f32]) -> Result<Vec<f32>> {
    let mut resampler = Resampler::new(4 * LINE_RATE)?;
    let mut halved = Vec::with_capacity(samples.len() / 2 + 1);
    resampler.push(samples, &mut halved)?;
    resampler.finish(&mut halved)?;
    Ok(halved)
}

/// Returns the impulse response of the band-pass at [`LINE_RATE`]: the ideal one times a Hamming window.
fn band_pass() -> Vec<f32> {
    let middle = (TAPS / 2) as f64;
    let [low, high] = PASSED.map(|hertz| 2.0 * hertz / f64::from(LINE_RATE));
    let ideal = |edge: f64, t: f64| {
        if t == 0.0 {
            edge
        } else {
            (std::f64::consts::PI * edge * t).sin() / (std::f64::consts::PI * t)
        }
    };
    (0..TAPS)
        .map(|tap| {
            let t = tap as f64 - middle;
            let turn = std::f64::consts::TAU * tap as f64 / (TAPS - 1) as f64;
            let window = 0.54 - 0.46 * turn.cos();
            (window * (ideal(high, t) - ideal(low, t))) as f32
        })
        .collect()
}

/// Filters samples and removes the filter's delay, so that the length stays the same.
fn filtered(samples: &[f32], taps: &[f32]) -> Vec<f32> {
    let side = taps.len() / 2;
    let mut padded = vec![0.0; side];
    padded.extend_from_slice(samples);
    padded.resize(samples.len() + 2 * side, 0.0);
    padded
        .windows(taps.len())
        .map(|window| window.iter().zip(taps).map(|(x, tap)| x * tap).sum())
        .collect()
}

fn sixteen(sample: f32) -> i16 {
    // The cast saturates.
    (sample * 32_768.0).round() as i16
}

/// Encodes a 16-bit sample as ITU-T G.711 µ-law.
fn mu_law(sample: i16) -> u8 {
    /// Makes each segment twice as wide as the one below.
    const BIAS: u32 = 0x84;
    let magnitude = u32::from(sample.unsigned_abs()).min(32_635) + BIAS;
    let segment = magnitude.ilog2() - 7;
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment as u8) << 4 | mantissa as u8)
}

#[cfg(test)]
mod tests {
    use undertone::audio::{LaneChoice, Limits, decode};

    use super::*;

    fn tone(hertz: f32) -> Vec<f32> {
        let step = std::f32::consts::TAU * hertz / 16_000.0;
        (0..16_000).map(|i| 0.5 * (step * i as f32).sin()).collect()
    }

    /// What arrives of a tone, in dB, away from the ends.
    fn arrives(line: Line, hertz: f32) -> f32 {
        let (bytes, encoding) = line.carry(&tone(hertz)).unwrap().unwrap();
        let recording = decode(&bytes, encoding, LaneChoice::Mix, &Limits::default()).unwrap();
        assert_eq!(recording.source.captured_rate, 8_000);
        let lane = &recording.lanes[0];
        assert_eq!(lane.len(), 16_000);
        let middle = &lane[4_000..12_000];
        let power = middle.iter().map(|x| x * x).sum::<f32>() / middle.len() as f32;
        10.0 * (power / 0.125).log10()
    }

    #[test]
    fn a_line_passes_its_band_and_stops_the_rest() {
        for (hertz, linear, telephone) in [
            (100.0, true, false),
            (200.0, true, false),
            (400.0, true, true),
            (1_000.0, true, true),
            (3_300.0, true, true),
            (3_500.0, true, false),
            (4_500.0, false, false),
            (7_000.0, false, false),
        ] {
            for (line, passes) in [(Line::Linear, linear), (Line::MuLaw, telephone)] {
                let decibels = arrives(line, hertz);
                let expected = if passes {
                    decibels.abs() < 0.3
                } else {
                    decibels < -40.0
                };
                assert!(expected, "{line:?} {hertz} Hz: {decibels}");
            }
        }
        assert!(Line::Direct.carry(&tone(1_000.0)).unwrap().is_none());
    }

    #[test]
    fn mu_law_is_what_the_decoder_reads() {
        let phone = Encoding::Raw {
            format: RawFormat::Mulaw,
            sample_rate: 16_000,
            channels: 1,
        };
        let codes: Vec<u8> = (0..=255).collect();
        let values = decode(&codes, phone, LaneChoice::Mix, &Limits::default()).unwrap();
        for (code, &value) in codes.iter().zip(&values.lanes[0]) {
            let again = mu_law(sixteen(value));
            // There are two zeros.
            assert!(
                again == *code || value == 0.0,
                "{code:#04x} {value} {again:#04x}"
            );
        }
        assert_eq!([mu_law(i16::MAX), mu_law(i16::MIN)], [0x80, 0x00]);
    }
}
