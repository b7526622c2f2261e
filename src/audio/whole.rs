//! Decoding of a recording when all of its bytes are there.

use super::input::Input;
use super::job::DecodeJob;
use super::rates::CapturedRate;
use super::timer::DecodeTimer;
use super::{AudioError, Encoding, LaneChoice, Limits, Recording, Stop, by_format};

/// Decodes a whole recording.
///
/// Blocks for 0.1 to 4 ms of CPU time per second of audio, so it belongs on a thread that may block.
///
/// # Errors
/// [`AudioError`] names what is wrong with the bytes, or the limit that they exceed
/// ([`AudioError::is_limit`]).
///
/// # Example
/// ```
/// use undertone::audio::{Encoding, LaneChoice, Limits, RawFormat, decode};
///
/// let phone = Encoding::Raw { format: RawFormat::Mulaw, sample_rate: 8_000, channels: 1 };
/// let recording = decode(&[0xff; 8_000], phone, LaneChoice::Auto, &Limits::default())?;
/// assert_eq!(recording.lanes.len(), 1);
/// assert_eq!(recording.seconds(), 1.0);
/// # Ok::<(), undertone::audio::AudioError>(())
/// ```
pub fn decode(
    bytes: &[u8],
    encoding: Encoding,
    lanes: LaneChoice,
    limits: &Limits,
) -> Result<Recording, AudioError> {
    decode_until(&Stop::default(), bytes, encoding, lanes, limits)
}

/// Decodes a whole recording like [`decode`], unless `stop` ends it before.
///
/// # Errors
/// The errors of [`decode`], and [`AudioError::Stopped`].
pub fn decode_until(
    stop: &Stop,
    bytes: &[u8],
    encoding: Encoding,
    lanes: LaneChoice,
    limits: &Limits,
) -> Result<Recording, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    if bytes.len() > limits.bytes {
        return Err(AudioError::TooLarge {
            bytes: bytes.len(),
            limit: limits.bytes,
        });
    }
    let job = DecodeJob {
        lanes,
        limits: *limits,
        timer: DecodeTimer::start(limits.time, stop.clone()),
        size: Some(bytes.len() as u64),
        captured_rate: CapturedRate::default(),
    };
    let mut decoded = Vec::new();
    let mut append = |lanes: &mut [Vec<f32>]| {
        decoded.resize_with(lanes.len(), Vec::new);
        for (decoded, samples) in decoded.iter_mut().zip(lanes) {
            decoded.append(samples);
        }
        Ok(())
    };
    let input = Input::whole(bytes, job.timer.clone());
    let ending = by_format::decode(input, encoding, &job, &mut append)?;
    Ok(Recording {
        lanes: decoded,
        source: ending.source,
        truncated: ending.truncated,
        channels_changed: ending.channels_changed,
    })
}
