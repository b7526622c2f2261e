//! Generates Rust code from `proto/` into OUT_DIR, and the descriptor set that gRPC reflection serves.

use std::path::PathBuf;

use prost::Message as _;

const ROOT: &str = "proto";
const FILES: [&str; 1] = ["proto/undertone/v1/emotion.proto"];

pub(crate) fn compile() -> Result<(), String> {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = protox::compile(FILES, [ROOT])
        .map_err(|error| format!("the protocol does not compile: {error}"))?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())
        .map_err(|error| format!("the protocol's descriptors cannot be written: {error}"))?;
    tonic_prost_build::configure()
        // With `Bytes`, audio is a slice of the transport's buffer and is not copied.
        .bytes(".undertone.v1.ClassifyRequest.audio")
        .compile_fds(descriptors)
        .map_err(|error| format!("no code can be generated from the protocol: {error}"))
}
