//! One typed configuration: a TOML file, overridden by environment variables, overridden by flags.
//!
//! A key `metrics_listen` is `metrics_listen = "…"` in the file, `UNDERTONE_METRICS_LISTEN` in the
//! environment and `--metrics-listen` on the command line. [`Config`] declares all keys. [`settings`] lists them for
//! the help, the environment and the reference page.

mod check;
mod environment;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::address::{Address, AddressError};
use crate::audio::Limits;
use crate::engine;
use crate::telemetry::logs::LogFormat;

pub use environment::{Misspelt, PREFIX, file, misspelt};
pub use settings::{Given, Setting, SettingKind, settings};

/// Port of the gRPC service where none is given.
pub const PORT: u16 = 50_051;
/// Port of the admin listener where none is given.
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
    /// Folder of the model's bundle; if unset, the embedded bundle.
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
    /// Requests answered at a time; more are refused with a time to retry.
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
    /// Milliseconds that no batch exceeds, as predicted: how long interactive work may wait behind a batch.
    #[arg(long, value_name = "MS", default_value_t = Self::default().max_batch_ms)]
    pub max_batch_ms: f64,
    /// Milliseconds that work may wait on a free device for a larger batch, if that is cheaper; 0 never waits.
    #[arg(long, value_name = "MS", default_value_t = Self::default().max_queue_delay_ms)]
    pub max_queue_delay_ms: f64,
    /// Share of device time that bulk work gets at least while it waits, at most 250 ms late; from 0 to 0.9.
    #[arg(long, value_name = "SHARE", default_value_t = Self::default().bulk_share)]
    pub bulk_share: f64,
    /// Seconds of the longest recording that stays interactive without a deadline; longer ones are bulk.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().interactive_seconds)]
    pub interactive_seconds: f64,
    /// Weights of tenants in the fair division of device time, by name, as in `{acme = 3}`; others have weight 1.
    #[arg(long, value_name = "TABLE", value_parser = weights, default_value = "{}")]
    pub tenant_weights: BTreeMap<String, u32>,
    /// Bytes of one recording.
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_audio_bytes)]
    pub max_audio_bytes: usize,
    /// Seconds of one recording.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_audio_seconds)]
    pub max_audio_seconds: f64,
    /// Channels of one recording.
    #[arg(long, value_name = "N", default_value_t = Self::default().max_channels)]
    pub max_channels: u16,
    /// Seconds of audio that a megabyte (1,000,000 bytes) may decode to, beyond the first ten minutes.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_seconds_per_megabyte)]
    pub max_seconds_per_megabyte: f64,
    /// Bytes of one recording once decoded: 64,000 for each second of each lane.
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_decoded_bytes)]
    pub max_decoded_bytes: usize,
    /// Seconds that decoding one recording may take.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().max_decode_seconds)]
    pub max_decode_seconds: f64,
    /// Seconds that requests under way have to end at shutdown.
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

/// Parses a TOML table of weights, as the environment variable has it.
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

/// Why a configuration is refused; names the key and where it was set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key does not parse, or is unknown.
    #[error("configuration: {error}{}", did_you_mean(error))]
    Parse {
        /// What, and where it was set.
        error: Box<figment::Error>,
    },
    /// The file is not there.
    #[error("configuration file {} is not there", .0.display())]
    File(PathBuf),
    /// A value that cannot work.
    #[error("configuration: `{key}` is {value}; {rule}")]
    Value {
        /// The key, with what stands before it: `tenant_weights.acme`.
        key: String,
        /// Its value.
        value: String,
        /// What it must be.
        rule: String,
    },
    /// The configuration cannot be written as TOML.
    #[error("the configuration cannot be printed: {0}")]
    Print(#[from] toml::ser::Error),
}

/// The key that was probably meant by one that is unknown.
fn did_you_mean(error: &figment::Error) -> String {
    let meant = match &error.kind {
        Kind::UnknownField(name, known) => environment::nearest(name, known.iter().copied()),
        _ => None,
    };
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

impl Config {
    /// Reads the configuration: defaults < file < environment < flags.
    ///
    /// # Errors
    /// The first key that does not parse, is unknown or cannot work.
    pub fn load(file: Option<&Path>, flags: &impl Serialize) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::File(file.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(environment::Environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| ConfigError::Parse {
                error: Box::new(error),
            })?;
        config.check()?;
        Ok(config)
    }

    /// All keys with their values as TOML, which [`Config::load`] reads again. Those that have none are
    /// comments.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let set = toml::Table::try_from(self)?;
        let mut unset = String::new();
        for setting in settings() {
            if let Some(instead) = setting.unset().filter(|_| !set.contains_key(&setting.key)) {
                unset += &format!("# {} is not set: {instead}\n", setting.key);
            }
        }
        Ok(unset + &toml::to_string(self)?)
    }

    /// What the engine is opened with.
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

    /// How long requests under way are given at shutdown.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs_f64(self.grace_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        workers: Option<usize>,
    }

    const NO_FLAGS: Flags = Flags { workers: None };

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_flag_overrides_the_file_which_overrides_the_default() {
        assert_eq!(Config::load(None, &NO_FLAGS).unwrap(), Config::default());
        let file = file("workers = 3\nmax_channels = 2");
        let config = Config::load(Some(file.path()), &NO_FLAGS).unwrap();
        assert_eq!((config.workers, config.max_channels), (Some(3), 2));
        let config = Config::load(Some(file.path()), &Flags { workers: Some(5) }).unwrap();
        assert_eq!((config.workers, config.max_channels), (Some(5), 2));
    }

    #[test]
    fn what_one_default_limit_allows_the_others_do_not_refuse() {
        let config = Config::default();
        let seconds = config.max_audio_seconds;
        // Two channels of 16 bits at 16 kHz, and room for a header.
        let pcm = seconds * 16_000.0 * 2.0 * 2.0 + 65_536.0;
        assert!(pcm <= config.max_audio_bytes as f64, "{pcm} bytes");
        // Every channel a lane of 32-bit floats at 16 kHz.
        let decoded = seconds * 16_000.0 * 4.0 * f64::from(config.max_channels);
        assert!(
            decoded <= config.max_decoded_bytes as f64,
            "{decoded} bytes"
        );
        // Speech is coded with 6 kbit/s or more.
        let allowed = config.engine().limits.seconds_per_megabyte * seconds * 750.0 / 1e6;
        assert!(seconds <= allowed, "{allowed} s");
        // Decoding takes 4 ms a second at most.
        assert!(seconds * 0.004 <= config.max_decode_seconds);
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for content in [
            "",
            "workers = 3\nlisten = \"[::1]\"\n[tenant_weights]\nacme = 3\n\"10.0.0.1\" = 2",
            "listen = \"unix:/run/u.sock\"\nbundle = \"models/default\"\nlog = \"off\"",
        ] {
            let config = Config::load(Some(file(content).path()), &NO_FLAGS).unwrap();
            let printed = config.to_toml().unwrap();
            let again = Config::load(Some(file(&printed).path()), &NO_FLAGS).unwrap();
            assert_eq!(again, config, "{printed}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        for (content, message) in [
            ("listen = \"no where\"", "listen"),
            ("listen = 50051", "listen"),
            (
                "metrics_listen = \"unix:/run/u.sock\"",
                "HOST:PORT is needed",
            ),
            ("colour = 1", "colour"),
            ("workrs = 1", "did you mean `workers`?"),
            ("max-requests = 1", "did you mean `max_requests`?"),
            (
                "[tenant_weights]\nacme = 0",
                "`tenant_weights.acme` is 0; 1 or more",
            ),
            ("[tenant_weights]\nacme = -1", "tenant_weights.acme"),
            ("[tenant_weights]\n\"\" = 1", engine::TENANT_NAME),
            ("[tenant_weights]\n\"acme corp\" = 1", engine::TENANT_NAME),
            ("[tenant_weights]\n\"caf\u{e9}\" = 1", engine::TENANT_NAME),
            ("log = \"wran\"", "`wran` is no level"),
            ("workers = 0", "`workers` is 0; 1 to 1024 are possible"),
            ("max_audio_seconds = -1.0", "max_audio_seconds"),
            ("max_decoded_bytes = 0", "max_decoded_bytes"),
            (
                "max_seconds_per_megabyte = inf",
                "`max_seconds_per_megabyte` is inf; 1 to 1000000 are possible",
            ),
            ("grace_seconds = nan", "grace_seconds"),
        ] {
            let file = file(content);
            let error = Config::load(Some(file.path()), &NO_FLAGS)
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{error}");
        }
        let missing = Config::load(Some(Path::new("no-such.toml")), &NO_FLAGS).unwrap_err();
        assert!(missing.to_string().contains("no-such.toml is not there"));
    }
}
