//! undertone classifies emotion in speech: audio in, emotion probabilities over time out.
//!
//! The modules, in the order in which data flows through them:
//!
//! - [`audio`] decodes bytes to lanes of f32 samples at 16 kHz. It depends on no other module, and not on
//!   speech or models.
//! - [`frontend`] turns samples into segments of 32 frames × 129 bins, incrementally. The trainer and the
//!   server share it. It depends on no other module.
//! - [`speech`] finds speech and turns in the frames of the front end. It does no I/O and does not depend
//!   on models.
//! - [`bundle`] turns a folder into a verified model: manifest, graphs, golden vectors, model card. It
//!   depends on the front end's parameters alone.
//! - `runtime` opens the graphs of a bundle and runs one batch at a time. It is the only module that uses
//!   ONNX Runtime, and it does not depend on callers, queues or audio.
//! - `scheduler` combines the work of many callers into batches. Its core is a state machine without
//!   clock, threads or I/O. It does not depend on audio or gRPC.
//! - `decision` turns step evidence into predictions of spans. It is arithmetic alone and depends on no
//!   other module.
//! - `engine` takes a recording through all modules above to its predictions. It does not depend on gRPC, the
//!   configuration or the command line.
//! - `telemetry` records metrics for the scheduler, the engine and the service. It exports them and writes
//!   logs. It does not depend on the modules that it observes.
//! - `address` parses the addresses at which a server listens or to which a client connects. It depends on no
//!   other module.
//! - `service` translates between gRPC and the engine. It makes no decision about a recording.
//! - `config` reads the settings of the server, and `cli` is the command line.
//!
//! Features select how many of these modules are compiled:
//!
//! | feature | modules | for |
//! |---|---|---|
//! | none | `audio`, `frontend`, `speech`, `bundle` | a trainer |
//! | `runtime` | and `runtime` | a trainer that checks its bundles |
//! | `engine` | and `scheduler`, `decision`, `engine`, and the recording part of `telemetry` | a program that embeds undertone |
//! | `server` (default) | all | the program `undertone` |
//!
//! `embedded-model` (default) embeds the default bundle in the binary. `tests/module_boundaries.rs` checks
//! which module depends on which.
#![cfg_attr(feature = "engine", doc = "")]
#![cfg_attr(feature = "engine", doc = "# Example")]
#![cfg_attr(feature = "engine", doc = "")]
#![cfg_attr(
    feature = "engine",
    doc = "Classifies a file without a server (`examples/embed.rs`):"
)]
#![cfg_attr(feature = "engine", doc = "```no_run")]
#![cfg_attr(feature = "engine", doc = include_str!("../examples/embed.rs"))]
#![cfg_attr(feature = "engine", doc = "```")]

pub mod audio;
pub mod bundle;
pub mod frontend;
pub mod speech;

#[cfg(feature = "runtime")]
pub mod runtime;

#[cfg(feature = "engine")]
pub mod decision;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod scheduler;
#[cfg(feature = "engine")]
pub mod telemetry;

#[cfg(feature = "server")]
pub mod address;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod service;
