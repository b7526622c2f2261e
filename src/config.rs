//! The server's configuration, one typed struct. A flag overrides the environment, the environment overrides the TOML
//! file, and the file overrides the default. Tables are merged key by key.
//!
//! A key `metrics_listen` is `metrics_listen = "…"` in the file, `UNDERTONE_METRICS_LISTEN` in the
//! environment and `--metrics-listen` on the command line. [`Config`] declares all keys. [`settings`] lists them for
//! the help, the environment and the reference page.

mod check;
mod environment;
mod load;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::{Address, AddressError};
use crate::audio::Limits;
use crate::engine;
use crate::telemetry::logs::LogFormat;

pub use environment::{Misspelt, PREFIX, file, misspelt};
pub use load::ConfigError;
pub use settings::{Given, Setting, SettingKind, settings};

/// Default port of the gRPC service.
pub const PORT: u16 = 50_051;
/// Default port of the admin listener.
pub const METRICS_PORT: u16 = 9_464;

/// The settings of a server.
///
/// This struct is the only place that lists them. A field's name is the key of the file, and gives the flag and the
/// environment variable their names. A field's doc comment is the help of its flag and its entry in
/// `docs/configuration.md`. [`Config::default`] gives the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the gRPC service: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADDRESS", value_parser = address::<PORT>, default_value_t = Self::default().listen)]
    #[serde(deserialize_with = "Address::deserialize::<PORT, _>")]
    pub listen: Address,
    /// Address of the admin listener with /metrics, /healthz and /readyz: HOST:PORT.
    #[arg(long, value_name = "ADDRESS", value_parser = address::<METRICS_PORT>, default_value_t = Self::default().metrics_listen)]
    #[serde(deserialize_with = "Address::deserialize::<METRICS_PORT, _>")]
    pub metrics_listen: Address,
    /// Folder of the model's bundle; if unset, the embedded bundle, if the build has one.
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library; if unset, ORT_DYLIB_PATH, then the usual places.
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Device that runs batches; cuda needs ONNX Runtime's GPU build, CUDA and cuDNN.
    #[arg(long, value_enum, value_name = "DEVICE", default_value_t = Self::default().device)]
    pub device: engine::Provider,
    /// Sets of sessions, each on its own thread; if unset, measured at start.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Threads inside each session; if unset, measured at start.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Requests that may be under way at a time; further requests are refused with a time to retry.
    #[arg(long, value_name = "N", default_value_t = Self::default().max_requests)]
    pub max_requests: usize,
    /// Bytes of tensors that all requests together may hold.
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_queue_bytes)]
    pub max_queue_bytes: usize,
    /// Seconds of predicted device time that all interactive requests together may hold.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_interactive_seconds)]
    pub max_interactive_seconds: f64,
    /// Seconds of predicted device time that all bulk requests together may hold.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_bulk_seconds)]
    pub max_bulk_seconds: f64,
    /// Longest predicted time of a batch, in milliseconds; interactive work may wait this long behind a batch.
    #[arg(long, value_name = "MS", default_value_t = Self::default().max_batch_ms)]
    pub max_batch_ms: f64,
    /// Milliseconds that work may wait for a larger batch while a device is free, if that is cheaper; 0 means no wait.
    #[arg(long, value_name = "MS", default_value_t = Self::default().max_queue_delay_ms)]
    pub max_queue_delay_ms: f64,
    /// Least share of device time that bulk work gets while it waits, at most 250 ms late; 0 to 0.9.
    #[arg(long, value_name = "SHARE", default_value_t = Self::default().bulk_share)]
    pub bulk_share: f64,
    /// Seconds of the longest recording that is interactive without a deadline; longer recordings are bulk.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().interactive_seconds)]
    pub interactive_seconds: f64,
    /// Weights of tenants in the fair division of device time, by name, such as `{acme = 3}`; others have weight 1.
    #[arg(long, value_name = "TABLE", value_parser = weights, default_value = "{}")]
    pub tenant_weights: BTreeMap<String, u32>,
    /// Largest size of a recording, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_audio_bytes)]
    pub max_audio_bytes: usize,
    /// Longest duration of a recording, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_audio_seconds)]
    pub max_audio_seconds: f64,
    /// Largest number of channels of a recording.
    #[arg(long, value_name = "N", default_value_t = Self::default().max_channels)]
    pub max_channels: u16,
    /// Seconds of audio that a megabyte (1,000,000 bytes) may decode to, in addition to ten minutes for any recording.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_seconds_per_megabyte)]
    pub max_seconds_per_megabyte: f64,
    /// Largest size of a decoded recording, in bytes: 64,000 for each second of each lane.
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_decoded_bytes)]
    pub max_decoded_bytes: usize,
    /// Longest time that the decoding of a recording may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_decode_seconds)]
    pub max_decode_seconds: f64,
    /// Longest time that requests under way have to end at shutdown, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().grace_seconds)]
    pub grace_seconds: f64,
    /// Format of log lines.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Self::default().log_format)]
    pub log_format: LogFormat,
    /// Level of undertone's own lines, or directives such as info,h2=debug.
    #[arg(long, value_name = "FILTER", default_value_t = Self::default().log)]
    pub log: String,
}

fn address<const PORT: u16>(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, PORT)
}

/// Parses the TOML table of weights in a flag.
fn weights(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let value: toml::Value = text
        .parse()
        .map_err(|_| "a table is needed, such as {acme = 3}".to_owned())?;
    value
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())
}

impl Default for Config {
    fn default() -> Self {
        let engine::EngineOptions {
            requests,
            limits,
            schedule,
            ..
        } = engine::EngineOptions::default();
        Self {
            listen: Address::tcp("127.0.0.1", PORT),
            metrics_listen: Address::tcp("127.0.0.1", METRICS_PORT),
            bundle: None,
            onnxruntime: None,
            device: engine::Provider::default(),
            workers: None,
            threads: None,
            max_requests: requests,
            max_queue_bytes: schedule.bytes,
            max_interactive_seconds: schedule.interactive_backlog.as_secs_f64(),
            max_bulk_seconds: schedule.bulk_backlog.as_secs_f64(),
            max_batch_ms: schedule.max_batch_time.as_secs_f64() * 1e3,
            max_queue_delay_ms: schedule.max_queue_delay.as_secs_f64() * 1e3,
            bulk_share: schedule.bulk_share,
            interactive_seconds: schedule.interactive_audio.as_secs_f64(),
            tenant_weights: schedule.weights,
            max_audio_bytes: limits.bytes,
            max_audio_seconds: limits.seconds,
            max_channels: limits.channels,
            max_seconds_per_megabyte: limits.seconds_per_megabyte,
            max_decoded_bytes: limits.decoded_bytes,
            max_decode_seconds: limits.time.as_secs_f64(),
            grace_seconds: 20.0,
            log_format: LogFormat::default(),
            log: "info".into(),
        }
    }
}

impl Config {
    /// Returns the options that the engine is opened with.
    #[must_use]
    pub fn engine(&self) -> engine::EngineOptions {
        engine::EngineOptions {
            bundle: self.bundle.clone(),
            onnxruntime: self.onnxruntime.clone(),
            provider: self.device,
            workers: self.workers,
            threads: self.threads,
            requests: self.max_requests,
            schedule: engine::Schedule {
                bytes: self.max_queue_bytes,
                interactive_backlog: Duration::from_secs_f64(self.max_interactive_seconds),
                bulk_backlog: Duration::from_secs_f64(self.max_bulk_seconds),
                max_batch_time: Duration::from_secs_f64(self.max_batch_ms / 1e3),
                max_queue_delay: Duration::from_secs_f64(self.max_queue_delay_ms / 1e3),
                bulk_share: self.bulk_share,
                interactive_audio: Duration::from_secs_f64(self.interactive_seconds),
                weights: self.tenant_weights.clone(),
            },
            limits: Limits {
                bytes: self.max_audio_bytes,
                seconds: self.max_audio_seconds,
                channels: self.max_channels,
                seconds_per_megabyte: self.max_seconds_per_megabyte,
                decoded_bytes: self.max_decoded_bytes,
                time: Duration::from_secs_f64(self.max_decode_seconds),
                ..Limits::default()
            },
        }
    }

    /// Returns the longest time that requests under way have to end at shutdown.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs_f64(self.grace_seconds)
    }
}
