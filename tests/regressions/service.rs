//! gRPC messages and their limits.
