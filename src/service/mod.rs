//! The gRPC service: messages, status codes and the server's stack of layers.
//!
//! The module only translates between gRPC and [`crate::engine`]. It makes no decision about audio, scheduling or
//! predictions.

mod batch_stream;
mod bounded_messages;
mod budget;
mod call_log;
mod compress_answers;
mod compression;
mod connection;
mod deadline;
mod emotion;
mod error;
mod framing;
mod health;
mod incoming;
mod intercept;
mod listener;
mod loading;
mod messages;
pub mod pb;
#[cfg(any(test, fuzzing))]
pub mod property;
mod refused_messages;
pub mod server;
mod status;
mod tenant;

pub use emotion::EmotionApi;
pub use error::ServerError;
pub use health::Health;
pub use listener::Listener;
