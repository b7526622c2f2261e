//! Resamples a lane from any rate to 16 kHz, piece by piece.
//!
//! The samples do not depend on how the input is divided. rubato's overlap-add FFT resampler receives blocks of its
//! own fixed size from a buffer, because with other sizes the borders of the pieces would change samples. Its delay
//! is removed, so sample n is at n / 16,000 s. Samples at 16 kHz are copied bit for bit.

mod idle;
mod stage;

use super::rates::SAMPLE_RATE;
use super::{AudioError, source_checks};
use stage::FftStage;

/// Rates are rounded to multiples of a step. Each entry is the highest rate for its step, and the step, both in Hz.
///
/// A block is a multiple of rate / gcd(rate, 16,000). So eight lanes of 767,995 Hz would need 200 MB of tables and
/// six seconds to compute them, for a request of a few bytes. Every step divides 16,000, which limits blocks to
/// 48,000 samples. The error of rounding is at most 104 ppm, about that of the recorder's clock. Rates in common use
/// are not changed.
const STEPS: [(u32, u32); 5] = [
    (24_000, 1),
    (48_000, 5),
    (96_000, 10),
    (192_000, 20),
    (384_000, 40),
];

/// Hz of the step for all higher rates.
const STEP_ABOVE: u32 = 80;

/// Resamples one lane to [`SAMPLE_RATE`].
#[derive(Debug)]
pub struct Resampler {
    rate: u32,
    /// `None` at 16 kHz.
    stage: Option<FftStage>,
    /// Samples pushed so far.
    pushed: u64,
    /// Samples returned so far.
    returned: u64,
}

impl Resampler {
    /// Creates a resampler from `rate` (Hz), at the start of a lane.
    ///
    /// # Errors
    /// [`AudioError::ZeroRate`] or [`AudioError::RateOutOfRange`], or [`AudioError::Resampler`], which would be a
    /// fault of this program.
    pub fn new(rate: u32) -> Result<Self, AudioError> {
        source_checks::check_rate("the source", rate)?;
        let rate = rounded(rate);
        let stage = if rate == SAMPLE_RATE {
            None
        } else {
            let idle = idle::take(rate).map(Ok);
            let stage = idle.unwrap_or_else(|| FftStage::new(rate));
            Some(stage.map_err(|source| AudioError::Resampler { rate, source })?)
        };
        Ok(Self {
            rate,
            stage,
            pushed: 0,
            returned: 0,
        })
    }

    /// Resamples samples at the source's rate and appends to `out` the samples at 16 kHz that they complete.
    ///
    /// # Errors
    /// [`AudioError::Resampler`], which would be a fault of this program.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.pushed += samples.len() as u64;
        let before = out.len();
        match &mut self.stage {
            None => out.extend_from_slice(samples),
            Some(stage) => stage
                .push(samples, out)
                .map_err(|source| AudioError::Resampler {
                    rate: self.rate,
                    source,
                })?,
        }
        self.returned += (out.len() - before) as u64;
        Ok(())
    }

    /// Ends the lane and appends the remaining samples to `out`. n samples pushed become ⌈n · 16,000 / rate⌉ samples
    /// in total.
    ///
    /// # Errors
    /// [`AudioError::Resampler`], which would be a fault of this program.
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let due = self.pushed * u64::from(SAMPLE_RATE);
        let due = due
            .div_ceil(u64::from(self.rate))
            .saturating_sub(self.returned);
        let end = out.len() + due as usize;
        if let Some(stage) = &mut self.stage {
            while out.len() < end {
                stage.flush(out).map_err(|source| AudioError::Resampler {
                    rate: self.rate,
                    source,
                })?;
            }
        }
        out.truncate(end);
        Ok(())
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        if let Some(stage) = self.stage.take() {
            idle::keep(self.rate, stage);
        }
    }
}

/// Returns `rate` (Hz) rounded to a multiple of its step.
fn rounded(rate: u32) -> u32 {
    let step = STEPS.iter().find(|(up_to, _)| rate <= *up_to);
    let step = step.map_or(STEP_ABOVE, |(_, step)| *step);
    (rate + step / 2) / step * step
}
