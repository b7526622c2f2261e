//! Real speech of any length: the repository's recording of a book, repeated.

use undertone::audio::{Encoding, LaneChoice, Limits, decode};

use crate::common;

/// Returns samples at 16 kHz.
pub(crate) fn samples(seconds: f64) -> Vec<f32> {
    let book = decode(
        &common::book(),
        Encoding::Auto,
        LaneChoice::Mix,
        &Limits::default(),
    );
    let lane = book.unwrap().lanes.remove(0);
    let count = (seconds * 16_000.0) as usize;
    lane.iter().copied().cycle().take(count).collect()
}

/// Returns a 16-bit WAV file at 8 kHz, as telephone recorders write it.
pub(crate) fn telephone(seconds: f64) -> Vec<u8> {
    let half: Vec<f32> = samples(seconds)
        .chunks(2)
        .map(|pair| pair.iter().sum::<f32>() / pair.len() as f32)
        .collect();
    common::wav(&half, 8_000)
}
