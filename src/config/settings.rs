//! The settings as a list: name, help, kind and default of each field of [`Config`]; and the settings that are given on
//! the command line.
//!
//! Everything here is derived from the fields of the struct, through clap.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use figment::value::{Dict, Value};
use serde::Serialize;

use super::Config;

/// Begins the part of a doc comment that states what holds if an optional setting is unset.
const UNSET: &str = "; if unset, ";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key of the file, such as `max_channels`. Flag and environment variable have the same name.
    pub key: String,
    /// Its help: one sentence without a full stop.
    pub help: String,
    /// How its value is written.
    pub kind: SettingKind,
    /// The default as text, or `None` if the setting is optional.
    pub default: Option<String>,
}

/// How a setting's value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Text, such as a path or an address.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// A whole number.
    Integer,
    /// A number, possibly with decimals.
    Number,
    /// A TOML table.
    Table,
}

impl Setting {
    fn of(arg: &Arg) -> Self {
        let defaults = arg.get_default_values();
        Self {
            key: arg.get_id().to_string(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            kind: SettingKind::of(arg),
            default: defaults.first().map(|text| text.to_string_lossy().into()),
        }
    }

    /// Returns what holds if an optional setting is unset.
    #[must_use]
    pub fn unset(&self) -> Option<&str> {
        self.help.split_once(UNSET).map(|(_, instead)| instead)
    }
}

impl SettingKind {
    fn of(arg: &Arg) -> Self {
        let value = arg.get_value_parser().type_id();
        let choices = arg.get_possible_values();
        if !choices.is_empty() {
            Self::Choice(choices.iter().map(|each| each.get_name().into()).collect())
        } else if value == TypeId::of::<usize>() || value == TypeId::of::<u16>() {
            Self::Integer
        } else if value == TypeId::of::<f64>() {
            Self::Number
        } else if value == TypeId::of::<BTreeMap<String, u32>>() {
            Self::Table
        } else {
            Self::Text
        }
    }

    /// Returns whether a value is text, even if it looks like another kind: `[::1]` is an address and not a list.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Choice(_))
    }
}

/// Returns all settings, in the order of the fields of [`Config`].
pub fn settings() -> &'static [Setting] {
    static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
        let command = Config::augment_args(Command::new("serve"));
        command.get_arguments().map(Setting::of).collect()
    });
    &SETTINGS
}

/// The settings that are given on the command line. Defaults are not among them, because a default must not override
/// the file or the environment.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Given(Dict);

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let config = Config::from_arg_matches(matches)?;
        let written = Value::serialize(config)
            .map_err(|error| clap::Error::raw(clap::error::ErrorKind::InvalidUtf8, error))?;
        let mut given = written.into_dict().unwrap_or_default();
        given.retain(|key, _| matches.value_source(key) == Some(ValueSource::CommandLine));
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        Config::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Config::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> ArgMatches {
        let command = Config::augment_args(Command::new("serve").no_binary_name(true));
        command.try_get_matches_from(arguments).unwrap()
    }

    #[test]
    fn every_field_is_a_setting_with_its_default() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        let mut fields: Vec<_> = defaults.as_object().unwrap().keys().collect();
        let mut keys: Vec<_> = settings().iter().map(|setting| &setting.key).collect();
        fields.sort_unstable();
        keys.sort_unstable();
        assert_eq!(fields, keys);
        let parsed = Config::from_arg_matches(&parse(&[])).unwrap();
        assert_eq!(parsed, Config::default());
    }

    #[test]
    fn every_setting_has_a_default_or_states_what_holds_without_it() {
        for setting in settings() {
            assert!(!setting.help.is_empty(), "{}", setting.key);
            assert_ne!(
                setting.default.is_some(),
                setting.unset().is_some(),
                "{}",
                setting.key
            );
        }
    }

    #[test]
    fn only_settings_on_the_command_line_are_given() {
        let matches = parse(&["--workers", "3", "--tenant-weights", "{ acme = 2 }"]);
        let Given(given) = Given::from_arg_matches(&matches).unwrap();
        let keys: Vec<_> = given.keys().map(String::as_str).collect();
        assert_eq!(keys, ["tenant_weights", "workers"]);
        // A value on the command line is also given if it equals the default.
        let Given(given) = Given::from_arg_matches(&parse(&["--max-channels", "8"])).unwrap();
        assert_eq!(given.len(), 1);
    }
}
