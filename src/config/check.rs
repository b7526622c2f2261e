//! Checks of a configuration's values. Each bound lies far beyond any reasonable use.

use super::Config;
use super::load::ConfigError;
use crate::address::Address;
use crate::engine::{TENANT_NAME, is_tenant_name};
use crate::telemetry::logs;

/// Longest time that is possible, in seconds: a day. It is so small that no sum of times overflows.
const DAY: f64 = 86_400.0;

impl Config {
    /// Returns an error for the first value that is not possible.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_counts()?;
        self.check_times()?;
        // A million seconds a megabyte is 8 bits a second, less than any codec needs.
        let per_megabyte = self.max_seconds_per_megabyte;
        if !(1.0..=1e6).contains(&per_megabyte) {
            let key = "max_seconds_per_megabyte";
            return refuse(key, &per_megabyte, "1 to 1000000 are possible");
        }
        if !(0.0..=0.9).contains(&self.bulk_share) {
            return refuse("bulk_share", &self.bulk_share, "0 to 0.9 are possible");
        }
        self.check_tenants()?;
        if let Address::Unix(_) = self.metrics_listen {
            let rule = "Prometheus scrapes over TCP, so HOST:PORT is needed";
            return refuse("metrics_listen", &self.metrics_listen, rule);
        }
        if let Err(error) = logs::filter(&self.log) {
            return refuse("log", &format!("`{}`", self.log), error.to_string());
        }
        Ok(())
    }

    /// Checks counts and sizes.
    fn check_counts(&self) -> Result<(), ConfigError> {
        // The bounds are so small that no sum overflows.
        for (key, value, most) in [
            ("workers", self.workers.unwrap_or(1), 1 << 10),
            ("threads", self.threads.unwrap_or(1), 1 << 10),
            ("max_requests", self.max_requests, 1 << 16),
            ("max_queue_bytes", self.max_queue_bytes, 1 << 40),
            ("max_audio_bytes", self.max_audio_bytes, 1 << 30),
            ("max_channels", usize::from(self.max_channels), 1 << 10),
            ("max_decoded_bytes", self.max_decoded_bytes, 1 << 40),
        ] {
            if !(1..=most).contains(&value) {
                return refuse(key, &value, format!("1 to {most} are possible"));
            }
        }
        Ok(())
    }

    /// Checks times.
    fn check_times(&self) -> Result<(), ConfigError> {
        for (key, value, least) in [
            ("max_audio_seconds", self.max_audio_seconds, 0.01),
            ("max_decode_seconds", self.max_decode_seconds, 0.01),
            ("grace_seconds", self.grace_seconds, 0.0),
            ("interactive_seconds", self.interactive_seconds, 0.0),
            (
                "max_interactive_seconds",
                self.max_interactive_seconds,
                0.01,
            ),
            ("max_bulk_seconds", self.max_bulk_seconds, 0.01),
            ("max_batch_ms", self.max_batch_ms, 0.01),
            ("max_queue_delay_ms", self.max_queue_delay_ms, 0.0),
        ] {
            if !(least..=DAY).contains(&value) {
                return refuse(key, &value, format!("{least} to {DAY} are possible"));
            }
        }
        Ok(())
    }

    /// Checks the tenants' names and weights.
    fn check_tenants(&self) -> Result<(), ConfigError> {
        for (tenant, weight) in &self.tenant_weights {
            let key = format!("tenant_weights.{tenant}");
            if *weight == 0 {
                let rule =
                    "1 or more is possible, because a tenant of weight 0 would wait for ever";
                return refuse(key, weight, rule);
            }
            if !is_tenant_name(tenant) {
                let rule = format!("a tenant's name must be {TENANT_NAME}");
                return refuse(key, weight, rule);
            }
        }
        Ok(())
    }
}

/// Returns the error for a value that is not possible.
fn refuse(
    key: impl Into<String>,
    value: &impl ToString,
    rule: impl Into<String>,
) -> Result<(), ConfigError> {
    Err(ConfigError::Value {
        key: key.into(),
        value: value.to_string(),
        rule: rule.into(),
    })
}
