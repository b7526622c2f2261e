//! Numbers that the contract between trainer and server fixes.

/// Sample rate of all samples after the audio module, in hertz.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples in one analysis frame (16 ms).
pub const FRAME_LENGTH: usize = 256;
/// Samples from one frame to the next (8 ms).
pub const FRAME_HOP: usize = 128;
/// Frequency bins of a frame: 0 to 8 kHz in steps of 62.5 Hz.
pub const BINS: usize = FRAME_LENGTH / 2 + 1;
/// Frames in one segment.
pub const SEGMENT_FRAMES: usize = 32;
/// Samples that one segment spans: 4 224, or 264 ms.
pub const SEGMENT_SAMPLES: usize = FRAME_HOP * (SEGMENT_FRAMES - 1) + FRAME_LENGTH;
/// Values in one segment, `[32, 129]` row major: frame after frame.
pub const SEGMENT_VALUES: usize = SEGMENT_FRAMES * BINS;
/// Fewest samples of a lane: 10 ms. A shorter lane is refused.
pub const SHORTEST_SAMPLES: usize = SAMPLE_RATE as usize / 100;
/// Added to every power before the logarithm, so that silence is −23.0259.
pub const POWER_FLOOR: f32 = 1e-10;
/// Fewest left-over frames at the end of the audio for one more, right-aligned segment.
pub const LEFTOVER_FRAMES: usize = 8;
