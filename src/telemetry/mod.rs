//! Observability for operators: metrics, probes and logs. Metrics and probes have an HTTP listener of their own.
//!
//! [`metrics`] defines the names, units, labels and buckets of all metrics; [`batches`] and [`requests`] record them. The
//! module does not depend on the modules that it observes. No label contains a value from a caller.

pub mod accept;
pub mod admin;
pub mod batches;
pub mod calls;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod requests;
