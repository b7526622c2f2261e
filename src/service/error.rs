//! Errors that end the server.

use std::io;

/// Why the server does not start, or why it ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken, or the machine does not have it.
    #[error("cannot listen on {address}: {source}; choose another address with --{flag}")]
    Listen {
        /// The address as it was configured.
        address: String,
        /// The flag that sets the address.
        flag: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors of the protocol are not valid.
    #[error("gRPC reflection cannot be offered: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}
