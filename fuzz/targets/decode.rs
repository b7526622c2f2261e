#![no_main]

use std::panic;
use std::process::abort;
use std::time::Duration;

#[path = "../properties/bounded.rs"]
mod bounded;
#[path = "../properties/decode.rs"]
mod property;

/// Panics of dependencies that are known and caught, one `path:line` a line.
static KNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/known-panics.txt");

libfuzzer_sys::fuzz_target!(init: forgive_known_panics(), |data: &[u8]| {
    bounded::bounded(Duration::from_secs(8), || property::holds(data));
});

/// The product catches a decoder's panic; libFuzzer's own hook would end at it, the same one every
/// time.
fn forgive_known_panics() {
    let known = std::fs::read_to_string(KNOWN).unwrap_or_default();
    panic::set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()))
            .unwrap_or_default();
        if !known
            .lines()
            .any(|line| !line.is_empty() && place.ends_with(line))
        {
            eprintln!("{panic}");
            abort();
        }
    }));
}
