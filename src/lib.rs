//! undertone hears how people speak: audio in, emotion probabilities over time out.
//!
//! The map, in the order in which data flows:
//!
//! - [`audio`]: bytes to lanes of f32 samples at 16 kHz. Knows formats; nothing of what is heard.
//! - [`frontend`]: samples to segments of 32 frames × 129 bins, incrementally. Trainer and server
//!   share it.
//! - [`speech`]: frames of the front end to speech or not, and to turns. Pure.
//! - [`bundle`]: a folder to a verified model: manifest, graphs, golden vectors, card.
//! - [`runtime`]: a bundle to sessions that run one batch; the only room that knows ONNX Runtime.
//! - [`scheduler`]: the work of many callers to batches. Its core is a pure state machine.
//! - [`decision`]: step evidence to predictions of spans. Pure.
//! - [`engine`]: the way of a recording through all of these, in one readable place.
//! - [`service`]: gRPC to the engine and back.
//! - [`telemetry`]: metrics, the admin listener, logs.
//! - [`config`] and [`cli`]: how a person sets all that up; [`address`] is where a server listens.
//!
//! Without default features there are `audio`, `frontend`, `speech` and `bundle`, which is what a trainer
//! needs; feature `runtime` adds ONNX Runtime, `server` the rest. Who may know whom stands in
//! `docs/design.md` and is checked by `tests/rooms.rs`.

pub mod audio;
pub mod bundle;
pub mod frontend;
pub mod speech;

#[cfg(feature = "runtime")]
pub mod runtime;

#[cfg(feature = "server")]
pub mod address;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod decision;
#[cfg(feature = "server")]
pub mod engine;
#[cfg(feature = "server")]
pub mod scheduler;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod telemetry;
