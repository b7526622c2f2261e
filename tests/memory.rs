//! Memory does not grow with the recording. Alone in its process, whose memory it measures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[cfg(target_os = "linux")]
mod hours;

/// Long enough that the bytes alone, or the samples, would be over the bound if they were kept.
#[cfg(target_os = "linux")]
#[test]
fn two_minutes_of_48_khz_stereo_need_less_than_6_mib() {
    use hours::{Sent, hear};
    for sent in [Sent::Wav, Sent::Flac] {
        let cost = hear(sent, 120);
        println!("{sent:?}: {cost:?}");
        assert!(cost.segments > 2 * 120 * 7, "{sent:?}: {cost:?}");
        assert!(cost.peak < 6 << 20, "{sent:?}: {cost:?}");
    }
}
