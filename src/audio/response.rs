//! Measures the resampler's response tone by tone, to higher and to lower rates.
//!
//! The tests check these bounds. The pass-band ripple is within 0.01 dB to 0.9 of the lower Nyquist frequency from
//! 8 kHz, and to 0.94 from 11,025 Hz up. The stop-band attenuation is at least 135 dB from 8,001 Hz on. Images from
//! upsampling and all other spurious tones are at least 125 dB down.

use std::f64::consts::TAU;

use super::{AudioError, Resampler, SAMPLE_RATE};

/// dB.
const RIPPLE: f64 = 0.01;
/// dB relative to the tone.
const STOP_BAND: f64 = -135.0;
/// dB relative to the tone.
const SPURIOUS: f64 = -125.0;

/// Returns `samples` resampled to 16 kHz, pushed in pieces of the lengths `cuts` and then the rest at once.
pub(super) fn resampled(
    rate: u32,
    samples: &[f32],
    cuts: impl IntoIterator<Item = usize>,
) -> Vec<f32> {
    let mut resampler = Resampler::new(rate).unwrap();
    let (mut out, mut rest) = (Vec::new(), samples);
    for cut in cuts {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        resampler.push(now, &mut out).unwrap();
        rest = later;
    }
    resampler.push(rest, &mut out).unwrap();
    resampler.finish(&mut out).unwrap();
    out
}

fn sine(rate: u32, hertz: f64, seconds: f64) -> Vec<f32> {
    let step = TAU * hertz / f64::from(rate);
    (0..(f64::from(rate) * seconds) as u32)
        .map(|i| (step * f64::from(i)).sin() as f32)
        .collect()
}

/// A resampled full-scale sine, in dB relative to the original, without its ends.
struct Response {
    /// The tone itself, at any phase.
    tone: f64,
    /// The rest without the tone, at the phase that it has without delay.
    spurious: f64,
    /// All of the output.
    all: f64,
}

fn response(rate: u32, hertz: f64) -> Response {
    let out = resampled(rate, &sine(rate, hertz, 1.0), []);
    // An uncommon rate is rounded by up to 104 ppm, so a second may differ by two samples.
    let off = out.len().abs_diff(SAMPLE_RATE as usize);
    assert!(off <= 2, "from {rate} Hz: {off} samples");
    let step = TAU * hertz / f64::from(SAMPLE_RATE);
    // Half a second contains a whole number of periods of each tone in the test below.
    let inner = 4_000..12_000;
    let mean = |f: &dyn Fn(usize) -> f64| inner.clone().map(f).sum::<f64>() / inner.len() as f64;
    let in_phase = 2.0 * mean(&|i| f64::from(out[i]) * (step * i as f64).sin());
    let across = 2.0 * mean(&|i| f64::from(out[i]) * (step * i as f64).cos());
    let decibels = |power: f64| 10.0 * power.max(1e-20).log10();
    Response {
        tone: decibels(in_phase.powi(2) + across.powi(2)),
        spurious: decibels(
            2.0 * mean(&|i| (f64::from(out[i]) - in_phase * (step * i as f64).sin()).powi(2)),
        ),
        all: decibels(2.0 * mean(&|i| f64::from(out[i]).powi(2))),
    }
}

#[test]
fn the_resampler_passes_speech_and_stops_higher_frequencies() {
    let rates = [
        8_000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400,
        192_000,
    ];
    for rate in rates {
        let nyquist = f64::from(rate.min(SAMPLE_RATE)) / 2.0;
        let flat_to = if rate < 11_025 { 0.9 } else { 0.94 } * nyquist;
        // Multiples of 2 Hz have whole periods in half a second.
        let tones = (1..=24).map(|i| (flat_to * f64::from(i) / 48.0).floor() * 2.0);
        let (mut ripple, mut spurious) = (0.0_f64, f64::NEG_INFINITY);
        for hertz in tones {
            let response = response(rate, hertz);
            ripple = ripple.max(response.tone.abs());
            spurious = spurious.max(response.spurious);
        }
        let top = f64::from(rate) / 2.0;
        let stopped = [
            8_002.0, 8_050.0, 8_200.0, 8_700.0, 10_000.0, 13_000.0, 16_000.0, 24_000.0,
        ]
        .into_iter()
        .chain((1..=8).map(|i| 8_000.0 + (top - 8_000.0) * f64::from(i) / 8.0 - 2.0))
        .filter(|&hertz| hertz > 8_000.0 && hertz < top);
        let leak = stopped
            .map(|hertz| response(rate, hertz).all)
            .fold(f64::NEG_INFINITY, f64::max);
        println!(
            "{rate} Hz: ripple {ripple:.4} dB to {flat_to:.0} Hz, spurious {spurious:.0} dB, \
             stop-band {leak:.0} dB"
        );
        assert!(ripple < RIPPLE, "{rate} Hz: ripple of {ripple} dB");
        assert!(
            spurious < SPURIOUS,
            "{rate} Hz: {spurious} dB beside the tone, or it is late"
        );
        assert!(leak < STOP_BAND, "{rate} Hz: {leak} dB leak");
    }
}

#[test]
fn uncommon_rates_are_resampled() {
    for rate in [
        2_000, 7_999, 11_127, 22_255, 44_101, 47_999, 767_999, 768_000,
    ] {
        let response = response(rate, 400.0);
        assert!(
            response.tone.abs() < 0.01,
            "{rate} Hz: {} dB",
            response.tone
        );
    }
    assert!(matches!(
        Resampler::new(0),
        Err(AudioError::ZeroRate { .. })
    ));
    assert!(matches!(
        Resampler::new(1_999),
        Err(AudioError::RateOutOfRange { .. })
    ));
}
