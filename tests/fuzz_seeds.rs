//! Runs the functions of the fuzz targets on the inputs under `fuzz/seeds`, which include all inputs that ever caused
//! a fault. None may panic, or exceed its limit of memory or processor time.
//!
//! The time is the processor time of this thread, so a busy machine changes nothing. The seeds of `request` are
//! replayed by a unit test, because that code is private.

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

/// Bytes that one input may allocate at a time. The property limits decoded lanes to 8 MiB. The rest is for the tables
/// of a decoder and a resampler.
const MEMORY: u64 = 64 << 20;

/// Processor time that one input may take: a hundred times that of the slowest in a debug build.
const TIME: Duration = Duration::from_secs(20);

fn replay(target: &str, holds: fn(&[u8])) {
    // The product catches panics of dependencies, but a backtrace would exceed the memory limit.
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
fn audio_decodes_or_is_refused_with_a_message() {
    replay("decode", decode::holds);
}

#[test]
fn chunk_sizes_change_no_segment() {
    replay("frontend", frontend::holds);
}

#[test]
fn bundles_are_refused_by_the_name_of_the_file() {
    replay("bundle", bundle::holds);
}
