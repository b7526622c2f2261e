#![no_main]

use std::panic;
use std::process::abort;
use std::time::Duration;

#[path = "../properties/bounded.rs"]
mod bounded;
#[path = "../properties/decode.rs"]
mod property;

/// Known panics of dependencies, which the product catches: one `path:line` per line.
static KNOWN_PANICS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/known-panics.txt");

libfuzzer_sys::fuzz_target!(init: ignore_known_panics(), |data: &[u8]| {
    bounded::bounded(Duration::from_secs(8), || property::holds(data));
});

/// Replaces libFuzzer's panic hook. The product catches the panics of decoders, but libFuzzer's hook would end every
/// run at the same one.
fn ignore_known_panics() {
    let known = std::fs::read_to_string(KNOWN_PANICS).unwrap_or_default();
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
