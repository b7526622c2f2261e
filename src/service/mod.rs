//! gRPC on one side, the engine on the other: messages, status codes, the server's stack.
//!
//! Only translates. What a request means is decided in `engine` and behind it.

mod answers;
mod around;
mod batch;
mod budget;
mod call_log;
mod compression;
mod deadline;
mod emotion;
mod framing;
mod gate;
mod health;
mod incoming;
mod listener;
mod messages;
#[cfg(any(test, fuzzing))]
pub mod property;
mod refusals;
mod requests;
pub mod server;
mod status;
mod tenant;

/// The generated protocol, `undertone.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod pb {
    tonic::include_proto!("undertone.v1");

    /// Descriptors of the protocol, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

pub use emotion::Emotion;
pub use health::Health;
