//! Environment variables as a source of the configuration, and a search for misspelt ones.

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

use super::settings::{Setting, settings};

/// Prefix of the environment variables.
pub const PREFIX: &str = "UNDERTONE_";

/// Name of the variable for the configuration file. It is not a key of that file.
const CONFIG: &str = "config";

/// The variables that are named after keys. An empty variable counts as unset, because deployment tools set variables
/// to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Environment;

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        let name = format!("`{PREFIX}` environment variable(s)");
        Metadata::named(name).interpolater(|_: &Profile, keys: &[&str]| {
            let keys: Vec<_> = keys.iter().map(|key| key.to_ascii_uppercase()).collect();
            keys.join(".")
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut set = Dict::new();
        for (key, text) in variables() {
            let Some(setting) = setting(&key) else {
                continue;
            };
            let value = if setting.kind.is_text() {
                Value::from(text)
            } else {
                match text.parse() {
                    Ok(value) => value,
                    Err(never) => match never {},
                }
            };
            set.insert(key, value);
        }
        Ok(Profile::Default.collect(set))
    }
}

/// Returns the path of the configuration file that `UNDERTONE_CONFIG` names.
#[must_use]
pub fn file() -> Option<std::path::PathBuf> {
    let path = std::env::var_os(format!("{PREFIX}{}", CONFIG.to_ascii_uppercase()))?;
    (!path.is_empty()).then(|| path.into())
}

/// A variable with our prefix that is not named after a key, but nearly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misspelt {
    /// The variable.
    pub variable: String,
    /// The variable that was probably meant.
    pub meant: String,
}

/// Returns the variables with our prefix that set nothing and look misspelt.
///
/// Other variables with our prefix are ignored, because Kubernetes sets `UNDERTONE_SERVICE_HOST` and more for a service
/// named `undertone`.
#[must_use]
pub fn misspelt() -> Vec<Misspelt> {
    let named = |key: &str| format!("{PREFIX}{}", key.to_ascii_uppercase());
    let unknown = variables().filter(|(key, _)| setting(key).is_none() && key != CONFIG);
    let mut misspelt: Vec<_> = unknown
        .filter_map(|(key, _)| {
            let keys = settings()
                .iter()
                .map(|setting| &*setting.key)
                .chain([CONFIG]);
            Some(Misspelt {
                variable: named(&key),
                meant: named(nearest(&key, keys)?),
            })
        })
        .collect();
    misspelt.sort_by(|a, b| a.variable.cmp(&b.variable));
    misspelt
}

/// Returns the setting of a key.
fn setting(key: &str) -> Option<&'static Setting> {
    settings().iter().find(|setting| setting.key == key)
}

/// Returns the name that was probably meant by an unknown one, if one is similar.
pub(super) fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_ascii_lowercase().replace('-', "_");
    // One wrong letter in three is possible, and at most three. So `port` is not `log` misspelt.
    let most = (unknown.chars().count() / 3).min(3);
    names
        .map(|name| (strsim::osa_distance(&unknown, name), name))
        .min()
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, name)| name)
}

/// Returns the variables with our prefix that are not empty: the rest of each name in lower case, and the value.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?;
        let (prefix, key) = name.split_at_checked(PREFIX.len())?;
        let value = value.to_string_lossy();
        let ours = prefix.eq_ignore_ascii_case(PREFIX) && !value.trim().is_empty();
        ours.then(|| (key.to_ascii_lowercase(), value.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_distinguished_from_an_unrelated_one() {
        let nearest = |unknown| nearest(unknown, settings().iter().map(|each| &*each.key));
        for (unknown, meant) in [
            ("workrs", "workers"),
            ("worker", "workers"),
            ("wrokers", "workers"),
            ("log_fromat", "log_format"),
            ("logformat", "log_format"),
            ("max-requests", "max_requests"),
            ("max_audio_secs", "max_audio_seconds"),
            ("thread", "threads"),
            ("listne", "listen"),
            ("LISTEN", "listen"),
        ] {
            assert_eq!(nearest(unknown), Some(meant), "{unknown}");
        }
        for others in [
            "service_host",
            "service_port",
            "service_port_grpc",
            "port",
            "port_50051_tcp",
            "port_50051_tcp_addr",
            "port_50051_tcp_proto",
            "colour",
            "home",
            "",
        ] {
            assert_eq!(nearest(others), None, "{others}");
        }
    }
}
