//! The gRPC service and the admin listener, as a caller and an operator meet them.

mod compressed;
mod limits;
mod log;
mod logged;
mod raw;
mod start;
