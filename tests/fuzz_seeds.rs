//! The inputs under `fuzz/seeds`, among them all that once broke something, through the functions
//! that the fuzz targets call: none panics, allocates beyond its bound or works without end.
//!
//! Time is what this thread spent on the processor, so a busy machine changes nothing. The seeds of
//! `request` are replayed beside the code, which is private.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[path = "../fuzz/properties/bounded.rs"]
mod bounded;
#[path = "../fuzz/properties/bundle.rs"]
mod bundle;
#[path = "../fuzz/properties/decode.rs"]
mod decode;
#[path = "../fuzz/properties/frontend.rs"]
mod frontend;

use std::path::Path;
use std::time::Duration;

/// What one input may hold at a time. Decoded lanes are bounded at 8 MiB, by the property; the rest is
/// a decoder's tables and a resampler's.
const MEMORY: u64 = 64 << 20;

/// What one input may take: a hundred times what the slowest takes without optimisation.
const TIME: Duration = Duration::from_secs(20);

fn replay(target: &str, holds: fn(&[u8])) {
    // A dependency's panic is caught by the product, but a backtrace takes more memory than is allowed.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 5, "{}", folder.display());
    for path in paths {
        let data = std::fs::read(&path).unwrap();
        println!("{}", path.display());
        let mut took = Duration::ZERO;
        let allocated =
            allocation_counter::measure(|| took = bounded::bounded(TIME, || holds(&data)));
        let most = allocated.bytes_max;
        println!("  {took:.3?}, {} KiB", most >> 10);
        assert!(most < MEMORY, "{} needs {most} bytes", path.display());
    }
}

#[test]
fn audio_ends_in_lanes_or_in_words() {
    replay("decode", decode::holds);
}

#[test]
fn chunks_change_no_segment() {
    replay("frontend", frontend::holds);
}

#[test]
fn bundles_are_refused_by_file() {
    replay("bundle", bundle::holds);
}
