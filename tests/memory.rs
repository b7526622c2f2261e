//! Memory does not grow with the recording. The test measures its process, so it is the only test in this file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[cfg(target_os = "linux")]
mod hours;

/// The recording is so long that its bytes alone, or its samples, would exceed the limit if they were kept.
#[cfg(target_os = "linux")]
#[test]
fn two_minutes_of_48_khz_stereo_need_less_than_6_mib() {
    use hours::{Sent, measure};
    for sent in [Sent::Wav, Sent::Flac] {
        let cost = measure(sent, 120);
        println!("{sent:?}: {cost:?}");
        assert!(cost.segments > 2 * 120 * 7, "{sent:?}: {cost:?}");
        assert!(cost.peak < 6 << 20, "{sent:?}: {cost:?}");
    }
}
