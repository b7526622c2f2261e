//! Any rate to 16 kHz, incrementally: the same samples come out however the input is cut.
//!
//! rubato's overlap-add FFT resampler, fed blocks of its own fixed size through a buffer (fed
//! anything else, chunk borders would move samples). Its delay is taken off, so sample n lies at
//! n / 16,000 s. 16 kHz passes through bit for bit.

mod idle;

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::{AudioError, SAMPLE_RATE};

/// Shortest block in seconds. The anti-alias filter is as long as a block, so this sets its
/// steepness. Measured: flat (0.001 dB) to 0.9 of the lower Nyquist from 8 kHz (3.6 kHz; −0.3 dB
/// at 3.7) and to 0.94 from 11 kHz up (7.5 kHz); above 8 kHz nothing over −139 dB. A longer block
/// would buy 0.1 kHz from 8 kHz and cost its length in delay while streaming.
const BLOCK_SECONDS: f64 = 0.032;

/// Up to which rate, in Hz, rates are taken in steps of so many Hz; the last step is for all above.
///
/// A block is a multiple of rate / gcd(rate, 16,000). Eight lanes of 767,995 Hz would need 200 MB of
/// tables and six seconds to make them, for a request of a few bytes. Every step divides 16,000, so
/// blocks are bounded at 48,000 samples; rounding errs by at most 104 ppm, about as much as the clock
/// that recorded it. No rate in use is touched.
const STEPS: [(u32, u32); 5] = [
    (24_000, 1),
    (48_000, 5),
    (96_000, 10),
    (192_000, 20),
    (384_000, 40),
];
const STEP_ABOVE: u32 = 80;

/// One lane's resampler to [`SAMPLE_RATE`].
#[derive(Debug)]
pub struct Resampler {
    rate: u32,
    /// None at 16 kHz.
    stage: Option<Stage>,
    /// Samples pushed.
    taken: u64,
    /// Samples handed out.
    given: u64,
}

#[derive(Debug)]
struct Stage {
    fft: Fft<f32>,
    /// Input of the block under way.
    pending: Vec<f32>,
    block: usize,
    output: Vec<f32>,
    /// Of the filter's delay, what is still to be dropped.
    delay: usize,
}

impl Resampler {
    /// A resampler from `rate` (Hz), at the start of a lane.
    ///
    /// # Errors
    /// [`AudioError::ZeroRate`] or [`AudioError::RateOutOfRange`].
    pub fn new(rate: u32) -> Result<Self, AudioError> {
        super::lanes::check_rate("the source", rate)?;
        let rate = rounded(rate);
        let stage = if rate == SAMPLE_RATE {
            None
        } else {
            let kept = idle::take(rate).map(Ok);
            Some(kept.unwrap_or_else(|| Stage::new(rate))?)
        };
        Ok(Self {
            rate,
            stage,
            taken: 0,
            given: 0,
        })
    }

    /// Takes samples at the source's rate and appends to `out` those at 16 kHz that are settled.
    ///
    /// # Errors
    /// [`AudioError::Resampler`], which would be a fault of ours.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.stage {
            None => out.extend_from_slice(samples),
            Some(stage) => stage.push(samples, out).map_err(|e| fault(self.rate, &e))?,
        }
        self.given += (out.len() - before) as u64;
        Ok(())
    }

    /// Ends the lane: appends the rest to `out`, so that n samples pushed have become
    /// ⌈n · 16,000 / rate⌉.
    ///
    /// # Errors
    /// [`AudioError::Resampler`], which would be a fault of ours.
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let due = self.taken * u64::from(SAMPLE_RATE);
        let due = due
            .div_ceil(u64::from(self.rate))
            .saturating_sub(self.given);
        let end = out.len() + due as usize;
        if let Some(stage) = &mut self.stage {
            while out.len() < end {
                stage.pending.resize(stage.block, 0.0);
                stage.run(out).map_err(|e| fault(self.rate, &e))?;
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

impl Stage {
    fn new(rate: u32) -> Result<Self, AudioError> {
        // An even number of periods: only then is the delay a whole number of samples.
        let pair = 2 * rate / gcd(rate, SAMPLE_RATE);
        let pairs = (BLOCK_SECONDS * f64::from(rate) / f64::from(pair))
            .ceil()
            .max(1.0);
        let block = pairs as usize * pair as usize;
        let fft = Fft::new_custom(
            rate as usize,
            SAMPLE_RATE as usize,
            block,
            1,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|e| fault(rate, &e))?;
        let block = fft.input_frames_next();
        Ok(Self {
            pending: Vec::with_capacity(block),
            block,
            output: vec![0.0; fft.output_frames_next()],
            delay: fft.output_delay(),
            fft,
        })
    }

    /// Back to the start of a lane.
    fn reset(&mut self) {
        self.fft.reset();
        self.delay = self.fft.output_delay();
        self.pending.clear();
    }

    fn push(
        &mut self,
        mut samples: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), rubato::ResampleError> {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.block - self.pending.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() == self.block {
                self.run(out)?;
            }
        }
        Ok(())
    }

    /// Turns the full block in `pending` into output.
    fn run(&mut self, out: &mut Vec<f32>) -> Result<(), rubato::ResampleError> {
        let frames = self.output.len();
        let refused = |_| rubato::ResampleError::InsufficientInputBufferSize {
            expected: self.block,
            actual: self.pending.len(),
        };
        let input = InterleavedSlice::new(&self.pending[..], 1, self.block).map_err(refused)?;
        let mut output =
            InterleavedSlice::new_mut(&mut self.output[..], 1, frames).map_err(refused)?;
        self.fft.process_into_buffer(&input, &mut output, None)?;
        self.pending.clear();
        let dropped = self.delay.min(frames);
        self.delay -= dropped;
        out.extend_from_slice(&self.output[dropped..]);
        Ok(())
    }
}

fn rounded(rate: u32) -> u32 {
    let step = STEPS.iter().find(|(up_to, _)| rate <= *up_to);
    let step = step.map_or(STEP_ABOVE, |(_, step)| *step);
    (rate + step / 2) / step * step
}

fn fault(rate: u32, error: &dyn std::error::Error) -> AudioError {
    AudioError::Resampler {
        rate,
        detail: error.to_string(),
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
