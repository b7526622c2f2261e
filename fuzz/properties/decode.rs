//! Decoding of any bytes returns valid lanes within the limits, or an error with a message.

use std::time::Duration;

use undertone::audio::{AudioError, Encoding, LaneChoice, Limits, RawFormat, Recording, decode};

/// Small limits, so that inputs reach all of them.
const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    seconds: 30.0,
    channels: 8,
    seconds_per_megabyte: 2_500.0,
    decoded_bytes: 8 << 20,
    held_bytes: 1 << 20,
    time: Duration::from_secs(5),
};

/// Checks one input. It is a file, or `raw:`, format, rate (u32) and channels (u16, little endian), then samples. A
/// last byte from 0xf0 to 0xfe also selects the lanes. So any file is an input.
pub(crate) fn holds(data: &[u8]) {
    let (bytes, encoding) = raw(data).unwrap_or((data, Encoding::Auto));
    let lanes = match data.last() {
        Some(0xf0..=0xf3) => LaneChoice::Mix,
        Some(0xf4..=0xf7) => LaneChoice::Each,
        Some(0xf8..=0xfa) => LaneChoice::Select(0),
        Some(0xfb..=0xfd) => LaneChoice::Select(1),
        Some(0xfe) => LaneChoice::Select(u16::MAX),
        _ => LaneChoice::Auto,
    };
    match decode(bytes, encoding, lanes, &LIMITS) {
        Ok(recording) => check_lanes(&recording, lanes),
        Err(AudioError::Resampler { rate, source }) => panic!("resampler fault: {rate}, {source}"),
        Err(error) => assert!(error.to_string().len() > 10, "{error:?} has no message"),
    }
}

fn raw(data: &[u8]) -> Option<(&[u8], Encoding)> {
    let rest = data.strip_prefix(b"raw:")?;
    let [format, r0, r1, r2, r3, c0, c1, samples @ ..] = rest else {
        return None;
    };
    let encoding = Encoding::Raw {
        format: match format % 4 {
            0 => RawFormat::PcmS16Le,
            1 => RawFormat::PcmF32Le,
            2 => RawFormat::Mulaw,
            _ => RawFormat::Alaw,
        },
        sample_rate: u32::from_le_bytes([*r0, *r1, *r2, *r3]),
        channels: u16::from_le_bytes([*c0, *c1]),
    };
    Some((samples, encoding))
}

fn check_lanes(recording: &Recording, choice: LaneChoice) {
    let Recording { lanes, source, .. } = recording;
    assert!((1..=LIMITS.channels).contains(&source.channels));
    let expected = match (choice, source.channels) {
        (LaneChoice::Each, channels) | (LaneChoice::Auto, channels @ ..=2) => channels,
        _ => 1,
    };
    assert_eq!(lanes.len(), usize::from(expected));
    let length = lanes[0].len();
    assert!(length > 0 && lanes.iter().all(|lane| lane.len() == length));
    // Rounding or changing the rate adds a little to the counted length.
    assert!(recording.seconds() <= LIMITS.seconds * 1.001);
    assert!(4 * length * lanes.len() <= LIMITS.decoded_bytes / 1_000 * 1_001);
    assert!(
        lanes.iter().flatten().all(|x| x.abs() < 1e7),
        "a sample is out of range"
    );
}
