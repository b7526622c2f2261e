//! The Rust code that `build.rs` generates from `proto/undertone/v1/emotion.proto`.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

tonic::include_proto!("undertone.v1");

/// The protocol's descriptors, which gRPC reflection serves.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
