//! `proto/` → Rust in OUT_DIR, and the descriptor set that reflection serves.

use std::path::PathBuf;

use prost::Message as _;

const ROOT: &str = "proto";
const FILES: [&str; 1] = ["proto/undertone/v1/emotion.proto"];

pub(crate) fn compile() {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = match protox::compile(FILES, [ROOT]) {
        Ok(descriptors) => descriptors,
        Err(error) => panic!("the protocol does not compile: {error}"),
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())
        .expect("OUT_DIR is writable");
    tonic_prost_build::configure()
        // Audio arrives as a slice of the transport's own buffer.
        .bytes(".undertone.v1.ClassifyRequest.audio")
        .compile_fds(descriptors)
        .expect("checked descriptors make code");
}
