//! Measures decoder, resampler and front end on hours of 48 kHz stereo, piece by piece: `cargo run --release
//! --example hours [HOURS]`. The default is four hours. Prints one figure per line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot run has nothing to report"
)]

#[path = "../tests/hours/mod.rs"]
mod hours;

use hours::{Sent, measure};

fn main() {
    let argument = std::env::args().nth(1);
    let hours: f64 = argument.map_or(4.0, |hours| hours.parse().unwrap());
    let seconds = (hours * 3_600.0) as usize;
    for (name, sent) in [("wav", Sent::Wav), ("flac", Sent::Flac)] {
        let cost = measure(sent, seconds);
        println!("{name}_seconds {seconds}");
        println!("{name}_megabytes {:.1}", cost.bytes as f64 / 1e6);
        println!("{name}_segments {}", cost.segments);
        println!(
            "{name}_peak_rss_over_baseline_mib {:.2}",
            cost.peak as f64 / f64::from(1 << 20)
        );
        println!("{name}_cpu_ms_per_second {:.3}", cost.cpu_ms);
    }
}
