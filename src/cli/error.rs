//! Errors that end a command.

use tonic::Status;

/// Why a command fails. Its message is all that a user needs to read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error(transparent)]
    Open(#[from] crate::engine::OpenError),
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    #[error(transparent)]
    Server(#[from] crate::service::ServerError),
    #[error(transparent)]
    Filter(#[from] crate::telemetry::logs::FilterError),
    #[error("logging cannot start: {0}; another logger is set in this process")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    #[error("the exporter of the metrics cannot be built: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("the system refused an operation: {0}")]
    System(#[from] std::io::Error),
    #[error("a task of the program panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("no server answers at {url}: {}; start one with `undertone serve`", cause(.source))]
    Connect {
        url: String,
        source: tonic::transport::Error,
    },
    #[error("the server at {url} does not report its limits: {}", describe(.source))]
    GetModel { url: String, source: Box<Status> },
}

/// Returns the cause of a transport error. The error itself only states that the transport failed.
fn cause(error: &tonic::transport::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Returns a status as a message for a user.
pub(super) fn describe(status: &Status) -> String {
    format!("{} ({:?})", status.message(), status.code())
}
