#![no_main]

#[path = "../properties/bounded.rs"]
mod bounded;

use std::time::Duration;

use undertone::service::property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bounded::bounded(Duration::from_secs(5), || property::holds(data));
});
