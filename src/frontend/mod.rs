//! Samples to segments: the log-power spectrogram that trainer and server share.
//!
//! Input: mono f32 samples at 16 kHz, in chunks of any size. Output: normalised segments of 32 frames ×
//! 129 bins. [`Analyser`] turns samples into raw frames. [`Segmenter`] normalises them and cuts segments.
//! Any chunking of the same samples gives bit-identical segments. A [`Spec`] in the bundle's manifest
//! has the parameters. Does not depend on audio containers, models or requests.

mod analyser;
mod band;
mod contract;
mod logarithm;
mod segmenter;
mod spec;

pub use analyser::Analyser;
pub use band::{Band, NARROW_RATE, NarrowBand};
pub use contract::{
    BINS, FRAME_HOP, FRAME_LENGTH, LEFTOVER_FRAMES, POWER_FLOOR, SAMPLE_RATE, SEGMENT_FRAMES,
    SEGMENT_SAMPLES, SEGMENT_VALUES, SHORTEST_SAMPLES,
};
pub use segmenter::{FrameObserver, FrontendError, Segmenter, SegmenterEnd, Segments};
pub use spec::{LaneNormalisation, Spec, SpecError, Window};
