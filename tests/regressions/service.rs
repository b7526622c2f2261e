//! The gRPC service and the admin listener, as a caller and an operator meet them.

mod logged;
mod start;
