//! The gRPC service and the admin listener.

mod compressed;
mod limits;
mod log;
mod logged;
mod raw;
mod start;
