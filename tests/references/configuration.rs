//! `docs/configuration.md`, from the fields of `undertone::config::Config`.

use std::fmt::Write as _;

use undertone::config::{PREFIX, Setting, SettingKind, settings};

#[test]
fn the_configuration_page_equals_the_settings() {
    super::check("configuration.md", &page());
}

const RULES: &str = "\
Every setting is a flag of `undertone serve`, an environment variable and a key of a TOML file. A flag overrides the
environment. The environment overrides the file. The file overrides the default. Tables are merged key by key.

```toml
# serve.toml
listen = \"0.0.0.0:50051\"
max_requests = 512

[tenant_weights]
acme = 3
```

`undertone serve --config serve.toml` reads that file, as does the environment variable `UNDERTONE_CONFIG`.
`undertone serve --check` prints the effective configuration as such a file, and exits. An unknown key is an error. An
environment variable that is empty counts as unset.

Each value is checked at start. An error names the key, the value and what is possible.

## Settings

";

fn page() -> String {
    let mut page = super::heading("Configuration reference", "src/config.rs") + RULES;
    for setting in settings() {
        write_setting(&mut page, setting);
    }
    page.trim_end().to_owned() + "\n"
}

fn write_setting(page: &mut String, setting: &Setting) {
    let Setting {
        key,
        help,
        kind,
        default,
    } = setting;
    let kind = match kind {
        SettingKind::Text => "text".into(),
        SettingKind::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(" or ")
        }
        SettingKind::Integer => "whole number".into(),
        SettingKind::Number => "number".into(),
        SettingKind::Table => "table".into(),
    };
    let default = match default {
        Some(value) => format!("`{value}`"),
        None => "unset".into(),
    };
    let flag = key.replace('_', "-");
    let variable = format!("{PREFIX}{}", key.to_uppercase());
    writeln!(
        page,
        "### {key}\n\n{help}.\n\n\
         - value: {kind}\n- default: {default}\n- flag: `--{flag}`\n- environment: `{variable}`\n"
    )
    .unwrap();
}
