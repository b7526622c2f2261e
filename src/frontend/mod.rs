//! Samples to segments: the log-power spectrogram that trainer and server share.
//!
//! Mono f32 at 16 kHz comes in, in chunks of any size; normalised segments of 32 frames × 129 bins
//! go out. [`Analyser`] turns samples into raw frames, [`Segmenter`] normalises them and cuts
//! segments. Any chunking of the same samples gives bit-identical segments. The parameters live in
//! a [`Spec`], which a bundle's manifest carries (design, section 4). Knows nothing of audio
//! containers, models or requests.

mod analyser;
mod band;
mod logarithm;
mod segmenter;
mod spec;

pub use analyser::Analyser;
pub use band::{Band, NARROW_RATE, NarrowBand};
pub use segmenter::{FrameObserver, FrontendError, Segmenter, SegmenterEnd, Segments};
pub use spec::{LaneNormalisation, Spec, SpecError, Window};

/// Sample rate of everything behind the audio module, in hertz.
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
/// Fewest samples that are analysed at all: 10 ms.
pub const SHORTEST_SAMPLES: usize = SAMPLE_RATE as usize / 100;
/// Added to every power before the logarithm, so that silence is −23.0259.
pub const POWER_FLOOR: f32 = 1e-10;
/// Left-over frames at the end of the audio from which one more, right-aligned segment is cut.
pub const LEFTOVER_FRAMES: usize = 8;
