//! Reading and printing of a configuration.
//!
//! A file, the environment and flags come in, a checked [`Config`] or a [`ConfigError`] goes out.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use serde::Serialize;

use super::Config;
use super::environment;
use super::settings::settings;

impl Config {
    /// Reads the configuration. Each source overrides those before it: defaults, file, environment, flags.
    ///
    /// # Errors
    /// Returns an error for the first key that does not parse, is unknown or has an impossible value, and for a missing
    /// file.
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

    /// Returns all keys with their values as TOML, which [`Config::load`] reads again. Optional keys that are unset
    /// become comments.
    ///
    /// # Errors
    /// Returns an error if a path is not valid UTF-8.
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
}

/// The reason why a configuration is refused. The message names the key and, if known, where it was set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that does not parse, or an unknown key.
    #[error("configuration: {error}{}", did_you_mean(error))]
    Parse {
        /// The fault, and where the key was set.
        error: Box<figment::Error>,
    },
    /// A configuration file that does not exist.
    #[error("configuration file {} does not exist", .0.display())]
    File(PathBuf),
    /// A value that cannot work.
    #[error("configuration: `{key}` is {value}; {rule}")]
    Value {
        /// The key with its table, such as `tenant_weights.acme`.
        key: String,
        /// Its value.
        value: String,
        /// The values that are possible.
        rule: String,
    },
    /// The configuration cannot be written as TOML.
    #[error("the configuration cannot be printed: {0}")]
    Print(#[from] toml::ser::Error),
}

/// Returns a question that names the key that was probably meant, if a key is unknown and one is similar.
fn did_you_mean(error: &figment::Error) -> String {
    let meant = match &error.kind {
        Kind::UnknownField(name, keys) => environment::nearest(name, keys.iter().copied()),
        _ => None,
    };
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

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
    fn the_default_limits_agree_with_each_other() {
        let config = Config::default();
        let seconds = config.max_audio_seconds;
        // Two channels of 16 bits at 16 kHz, and space for a header.
        let pcm = seconds * 16_000.0 * 2.0 * 2.0 + 65_536.0;
        assert!(pcm <= config.max_audio_bytes as f64, "{pcm} bytes");
        // Each channel is a lane of 32-bit floats at 16 kHz.
        let decoded = seconds * 16_000.0 * 4.0 * f64::from(config.max_channels);
        assert!(
            decoded <= config.max_decoded_bytes as f64,
            "{decoded} bytes"
        );
        // Codecs for speech have a bit rate of 6 kbit/s (750 bytes/s) or more.
        let allowed = config.engine().limits.seconds_per_megabyte * seconds * 750.0 / 1e6;
        assert!(seconds <= allowed, "{allowed} s");
        // Decoding takes at most 4 ms for each second of audio.
        assert!(seconds * 0.004 <= config.max_decode_seconds);
    }

    #[test]
    fn a_printed_configuration_is_read_again() {
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
    fn an_error_names_the_key_of_an_impossible_value() {
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
        assert!(missing.to_string().contains("no-such.toml does not exist"));
    }
}
