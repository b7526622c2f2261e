//! Decodes audio: the bytes of a file, or raw samples, become lanes of mono f32 at 16 kHz, full scale ±1.
//!
//! `input` supplies the bytes, whole or as they arrive. `sniff` finds the format. The decoder of the format
//! (`wav`, `w64`, `au`, `aiff`, `caf`, `container` or `pcm`) yields interleaved frames at the source's rate.
//! `lanes` selects the channels and resamples them at once, so audio at the source's rate is never collected.
//! [`decode`] and [`Decoder`] use the same code and differ only in where the bytes come from. All limits are
//! checked while decoding, because headers may be wrong. A new format needs entries in `magic`, `sniff` and
//! `by_format`, and one file. This module does not depend on segments, models or gRPC.

mod aac;
mod adts;
mod aiff;
mod au;
mod bits;
mod by_format;
mod caf;
mod caf_chunks;
mod codecs;
mod concatenated_flac;
mod container;
mod cut_detector;
mod decoder;
mod encoding;
mod error;
mod estimate;
mod g711;
mod id3;
mod input;
mod job;
mod lane_choice;
mod lanes;
mod layout;
mod limits;
mod magic;
mod mp4_start;
mod mpeg;
mod mpeg_end;
#[cfg(feature = "opus")]
mod opus;
#[cfg(feature = "opus")]
mod opus_header;
mod pcm;
mod pieces;
mod pipe;
mod probe;
mod rates;
mod raw_content;
mod recording;
mod resample;
mod sniff;
mod source_checks;
mod stop;
mod timer;
mod track_decoder;
mod vorbis;
mod w64;
mod wav;
mod whole;

pub use decoder::Decoder;
pub use encoding::{Encoding, RawFormat};
pub use error::{AudioError, ResamplerError};
pub use estimate::{Estimate, estimate};
pub use lane_choice::LaneChoice;
pub use limits::Limits;
pub use rates::{CapturedRate, SAMPLE_RATE};
pub use recording::{Ending, Recording, Source};
pub use resample::Resampler;
pub use stop::{Stop, StopOnDrop};
pub use whole::{decode, decode_until};

#[cfg(test)]
mod response;
#[cfg(test)]
mod tests;
