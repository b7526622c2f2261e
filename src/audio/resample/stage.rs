//! The resampling of whole blocks from one rate to 16 kHz.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, ResampleError, Resampler as _, WindowFunction};

use super::super::ResamplerError;
use super::super::rates::SAMPLE_RATE;

/// Shortest block in seconds. The anti-alias filter is as long as a block, so the block sets the filter's
/// steepness. Measured: the response is flat (0.001 dB) to 0.9 of the lower Nyquist frequency from 8 kHz (3.6 kHz;
/// −0.3 dB at 3.7 kHz) and to 0.94 from 11 kHz up (7.5 kHz). Above 8 kHz nothing exceeds −139 dB. A longer block
/// would gain 0.1 kHz from 8 kHz, and its length would be added to the delay while streaming.
const BLOCK_SECONDS: f64 = 0.032;

/// Resamples blocks of a fixed size. Input of any size is collected until a block is full.
#[derive(Debug)]
pub(super) struct FftStage {
    fft: Fft<f32>,
    /// Input of the block that is not full yet.
    pending: Vec<f32>,
    /// Samples of input in a block.
    block: usize,
    output: Vec<f32>,
    /// Samples of the filter's delay that are still to be dropped.
    delay: usize,
}

impl FftStage {
    /// Creates a stage from `rate` (Hz).
    pub(super) fn new(rate: u32) -> Result<Self, ResamplerError> {
        // Only with an even number of periods is the delay a whole number of samples.
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
        )?;
        let block = fft.input_frames_next();
        Ok(Self {
            pending: Vec::with_capacity(block),
            block,
            output: vec![0.0; fft.output_frames_next()],
            delay: fft.output_delay(),
            fft,
        })
    }

    /// Returns to the start of a lane.
    pub(super) fn reset(&mut self) {
        self.fft.reset();
        self.delay = self.fft.output_delay();
        self.pending.clear();
    }

    /// Appends to `out` the samples at 16 kHz that `samples` complete.
    pub(super) fn push(
        &mut self,
        mut samples: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), ResamplerError> {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.block - self.pending.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() == self.block {
                self.resample_block(out)?;
            }
        }
        Ok(())
    }

    /// Fills the block with zeros and resamples it.
    pub(super) fn flush(&mut self, out: &mut Vec<f32>) -> Result<(), ResamplerError> {
        self.pending.resize(self.block, 0.0);
        self.resample_block(out)
    }

    /// Returns the samples of the longer of a block's input and output.
    pub(super) fn longest_block(&self) -> usize {
        self.block.max(self.output.len())
    }

    /// Resamples the full block in `pending`.
    fn resample_block(&mut self, out: &mut Vec<f32>) -> Result<(), ResamplerError> {
        let frames = self.output.len();
        let refused = |_| ResampleError::InsufficientInputBufferSize {
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

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
