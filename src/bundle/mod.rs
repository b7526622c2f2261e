//! A model as one folder: manifest, graphs, golden vectors, card and checksums.
//!
//! [`Bundle::open`] reads a folder, [`Bundle::embedded`] the copy inside the binary. Both check, in
//! order, the checksums, the format version, the front end and the consistency of the manifest. The
//! module `runtime` checks the graphs and the golden vectors, because it can run them.
//! [`write`](writer::write) is the trainer's half. Depends on `frontend` alone, for its parameters.

#[cfg(feature = "embedded-model")]
pub mod embedded;
mod error;
mod files;
mod golden;
mod manifest;
pub mod names;
mod turns;
mod verified;
pub mod writer;

pub use error::{BundleError, GoldenError, ManifestError};
pub use files::BundleFiles;
pub use golden::Golden;
pub use manifest::{
    Context, Decision, Encoder, FORMAT, Manifest, Pooling, Precision, Sequence, SpeechGate,
    Training,
};
pub use turns::Turns;
pub use verified::Bundle;

#[cfg(test)]
pub(crate) use manifest::tests::manifest as small_manifest;
