#![no_main]

#[path = "../properties/bounded.rs"]
mod bounded;
#[path = "../properties/bundle.rs"]
mod property;

use std::time::Duration;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bounded::bounded(Duration::from_secs(5), || property::holds(data));
});
