//! The configuration as text: what is in force and where it comes from, the template for a new file, the check of one.
//! Touches: `check_file` reads the file it checks.

use std::path::Path;

use serde_json::json;

use super::layer::Values;
use super::load::{LoadOptions, Loaded};
use super::machine::Machine;
use super::problem::{ConfigError, RenderStyle};
use super::schema::{Key, Kind, POOL, Preset, SECTIONS, keys_of};
use super::settings::Config;

/// The commented template that `qcbatch config init` writes: every key with its default.
pub const TEMPLATE: &str = include_str!("../../config/qcbatch.example.toml");

/// Whether `config show` says where values come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origins {
    /// As a comment behind each value.
    Shown,
    /// Values alone.
    Hidden,
}

impl Loaded {
    /// Everything in force, as TOML. Secrets are redacted, absent keys are comments.
    pub fn show(&self, origins: Origins) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            if section.name == POOL {
                for pool in &self.filled.pools {
                    text.push_str("[[pool]]\n");
                    show_keys(&mut text, section.name, &pool.values, origins);
                }
            } else {
                text.push_str(&format!("[{}]\n", section.name));
                show_keys(&mut text, section.name, &self.filled.values, origins);
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// The same for programs: by path of the key, each value as TOML writes it and its origin; pools by their names.
    /// Absent keys are left out.
    pub fn show_json(&self) -> serde_json::Value {
        let object = |values: &Values| -> serde_json::Value {
            let entries = values.iter().map(|(path, setting)| {
                let entry = json!({"value": setting.value.to_toml(), "origin": setting.origin.to_string()});
                (path.to_string(), entry)
            });
            entries.collect::<serde_json::Map<_, _>>().into()
        };
        let pools = self.filled.pools.iter().map(|pool| (pool.name.clone(), object(&pool.values)));
        json!({"settings": object(&self.filled.values), "pools": pools.collect::<serde_json::Map<_, _>>()})
    }

    /// Where the value of `path`, such as `daemon.tick`, comes from.
    pub fn origin(&self, path: &str) -> Option<String> {
        self.filled.values.get(path).map(|setting| setting.origin.to_string())
    }
}

fn show_keys(text: &mut String, section: &str, values: &Values, origins: Origins) {
    for key in keys_of(section) {
        text.push_str(&show_key(key, values, origins));
        text.push('\n');
    }
    text.push('\n');
}

fn show_key(key: &Key, values: &Values, origins: Origins) -> String {
    let Some(setting) = values.get(key.path) else {
        let meaning = match key.default {
            Preset::Absent(meaning) => meaning,
            _ => "the scheduler's default",
        };
        return format!("# {} is not set: {meaning}", key.name());
    };
    let line = format!("{} = {}", key.name(), setting.value.to_toml());
    match origins {
        Origins::Hidden => line,
        Origins::Shown => format!("{line:<44}  # {}", setting.origin),
    }
}

/// What a check of one file found.
#[derive(Debug)]
pub struct CheckedFile {
    /// Errors: none means the file is accepted.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// All of them for a person; empty when there is nothing to say.
    pub rendered: String,
}

/// Checks one file as `--config` would use it, with no environment and no flags.
pub fn check_file(path: &Path, machine: &Machine, style: RenderStyle) -> CheckedFile {
    let options = LoadOptions {
        explicit_file: Some(path.to_owned()),
        system_file: super::load::SYSTEM_FILE.into(),
        environment: Vec::new(),
        overrides: Vec::new(),
        machine: machine.clone(),
    };
    match Config::load(&options) {
        Ok(loaded) => {
            let rendered: Vec<String> = loaded.warnings.iter().map(|warning| warning.render(style)).collect();
            CheckedFile { errors: 0, warnings: rendered.len(), rendered: rendered.join("\n\n") }
        }
        Err(error) => {
            let rendered = error.render(style);
            let (errors, all) = match &error {
                ConfigError::Invalid(problems) => (problems.errors(), problems.iter().count()),
                ConfigError::Unreadable { .. } => (1, 1),
            };
            CheckedFile { errors, warnings: all - errors, rendered }
        }
    }
}

/// The reference of all keys as Markdown tables, one for each section: what `docs/configuration.md` must contain.
pub fn reference() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let header = if section.name == POOL { "[[pool]]".to_owned() } else { format!("[{}]", section.name) };
        text.push_str(&format!("### `{header}`\n\n{}\n\n", section.doc));
        text.push_str("| key | default | allowed | meaning |\n|---|---|---|---|\n");
        for key in keys_of(section.name) {
            let allowed = key.kind.short().replace('|', "\\|");
            text.push_str(&format!(
                "| `{}` | {} | {allowed} | {} |\n",
                key.name(),
                default_words(key),
                key.doc
            ));
        }
        text.push('\n');
    }
    text
}

fn default_words(key: &Key) -> String {
    match key.default {
        Preset::Absent(meaning) => meaning.to_owned(),
        Preset::Value(raw) => format!("`{}`", default_toml(&key.kind, raw)),
        Preset::SameAs(path) => format!("as `{path}`"),
        Preset::MachineCores(raw) => format!("`local`: the machine's cores; else `{raw}`"),
        Preset::LocalElse(local, other) => format!("`local`: `\"{local}\"`; else `\"{other}\"`"),
        Preset::AtMostQuarterOf(raw, path) => format!("`\"{raw}\"`, at most a quarter of `{path}`"),
        Preset::AtLeastTwice(raw, path) => format!("`\"{raw}\"`, at least twice `{path}`"),
        Preset::Required => "required".to_owned(),
    }
}

fn default_toml(kind: &Kind, raw: &str) -> String {
    match kind {
        Kind::Integer { .. } | Kind::List(_) | Kind::Variables => raw.to_owned(),
        _ => format!("\"{raw}\""),
    }
}
