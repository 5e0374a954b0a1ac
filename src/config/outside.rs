//! Layers from outside the files: environment variables `QCBATCH_SECTION__KEY` and flags.
//! Pure: the environment is handed in.

use std::sync::Arc;

use super::document::refusal_problem;
use super::layer::{Layer, Origin, PoolLayer, Setting, Values};
use super::problem::Problem;
use super::schema::{KEYS, Key, POOL, find};
use super::source::{Place, Source, SourceKind};
use super::suggest::nearest;
use super::value::read_raw;

/// What all variables and keys of the environment begin with.
const PREFIX: &str = "QCBATCH_";

/// Names the configuration file, as `--config` does.
pub const CONFIG_VARIABLE: &str = "QCBATCH_CONFIG";

/// Short for `QCBATCH_SITE__STATE`.
pub const STATE_VARIABLE: &str = "QCBATCH_STATE";

/// One setting from the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// As it was typed, for messages.
    typed: String,
    /// `daemon.tick`, or `pool.NAME.cores`.
    path: String,
    value: String,
}

/// Why a `--set` cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a setting: expected SECTION.KEY=VALUE, such as daemon.log=debug or pool.local.cores=4")]
pub struct NotASetting(String);

impl Override {
    /// `--set SECTION.KEY=VALUE`.
    pub fn parse(text: &str) -> Result<Override, NotASetting> {
        let (path, value) = text.split_once('=').ok_or_else(|| NotASetting(text.to_owned()))?;
        if !path.contains('.') {
            return Err(NotASetting(text.to_owned()));
        }
        Ok(Override { typed: format!("--set {text}"), path: path.trim().to_owned(), value: value.to_owned() })
    }

    /// A named flag: `Override::flag("--state", "site.state", "/x")`.
    pub fn flag(flag: &str, path: &str, value: &str) -> Override {
        Override { typed: format!("{flag} {value}"), path: path.to_owned(), value: value.to_owned() }
    }
}

impl std::str::FromStr for Override {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Override, NotASetting> {
        Override::parse(text)
    }
}

/// What the environment says. Variables without `__` belong to other parts of the program and are left alone.
pub(super) fn read_environment(environment: &[(String, String)]) -> (Layer, Vec<Problem>) {
    let mut layer = Layer::default();
    let mut problems = Vec::new();
    let mut variables: Vec<_> = environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // The short cut first, so that the full name wins.
    variables.sort_by_key(|(name, _)| (name != STATE_VARIABLE, name.clone()));
    for (name, raw) in variables {
        let known = KEYS.iter().find(|key| key.environment_variable().as_deref() == Some(name));
        let key = if name == STATE_VARIABLE { find("site.state") } else { known };
        let text = format!("{name}={raw}");
        let value_start = name.len() + 1;
        match key {
            Some(key) => {
                let secret = key.kind.is_secret().then_some(value_start..text.len());
                let source = Source::line(SourceKind::Environment, &text, secret);
                set(&mut layer.values, &mut layer.refused, &mut problems, key, raw, (&source, value_start));
            }
            None => problems.extend(unknown_variable(name, &text)),
        }
    }
    (layer, problems)
}

fn unknown_variable(name: &str, text: &str) -> Option<Problem> {
    let typed = name[PREFIX.len()..].to_lowercase();
    let paths: Vec<String> =
        KEYS.iter().filter(|key| key.section() != POOL).map(|key| key.path.replace('.', "__")).collect();
    let meant = nearest(&typed, paths.iter().map(String::as_str))
        .map(|path| format!("{PREFIX}{}", path.to_uppercase()));
    // The value of a variable that is not known may be a secret.
    let source = Source::line(SourceKind::Environment, text, Some(name.len() + 1..text.len()));
    let place = Place { source, span: 0..name.len() };
    let is_ours = typed.contains("__");
    match (is_ours, meant) {
        (true, Some(meant)) => {
            Some(Problem::error("unknown variable", place, format!("did you mean `{meant}`?")))
        }
        (true, None) => {
            Some(Problem::error("unknown variable", place, "no such key").with_help(
                "`QCBATCH_SECTION__KEY` sets a key; keys of pools are set by `--set` or in a file",
            ))
        }
        (false, Some(meant)) if meant.replace("__", "_") == *name => {
            Some(Problem::warning("this variable is not read", place, format!("did you mean `{meant}`?")))
        }
        (false, _) => None,
    }
}

/// What the flags say. `pools` are the pools of the layers below.
pub(super) fn read_overrides(overrides: &[Override], pools: &[PoolLayer]) -> (Layer, Vec<Problem>) {
    let mut layer = Layer::default();
    let mut problems = Vec::new();
    let mut names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    if names.is_empty() {
        names.push("local");
    }
    for Override { typed, path, value } in overrides {
        let value_start = typed.len() - value.len();
        let (pool, path) = match path.strip_prefix("pool.").and_then(|rest| rest.split_once('.')) {
            Some((name, key)) => (Some(name), format!("{POOL}.{key}")),
            None => (None, path.clone()),
        };
        let key =
            find(&path).filter(|key| (key.section() == POOL) == pool.is_some() && key.path != "pool.name");
        let secret = key.is_none_or(|key| key.kind.is_secret()).then_some(value_start..typed.len());
        let source = Source::line(SourceKind::Flag, typed, secret);
        let place = Place { source: source.clone(), span: 0..typed.len() };
        match (key, pool) {
            (None, _) => problems.push(unknown_path(&path, place)),
            (Some(key), _) if key.kind.is_secret() => {
                let problem = Problem::error(
                    format!("`{}` on the command line", key.path),
                    place,
                    "everybody can see it there",
                );
                problems.push(
                    problem
                        .with_help("put it into a file with mode 0600 and name that by `database.url_file`"),
                );
            }
            (Some(_), Some(name)) if !names.contains(&name) => {
                let label = format!("expected one of: {}", names.join(", "));
                problems.push(Problem::error(format!("no pool `{name}`"), place, label));
            }
            (Some(key), Some(name)) => {
                let position = layer.pools.iter().position(|known| known.name == name).unwrap_or_else(|| {
                    layer.pools.push(PoolLayer { name: name.to_owned(), place, values: Values::new() });
                    layer.pools.len() - 1
                });
                let values = &mut layer.pools[position].values;
                set(values, &mut layer.refused, &mut problems, key, value, (&source, value_start));
            }
            (Some(key), None) => {
                set(&mut layer.values, &mut layer.refused, &mut problems, key, value, (&source, value_start));
            }
        }
    }
    (layer, problems)
}

fn unknown_path(path: &str, place: Place) -> Problem {
    let label = if path.starts_with("pool.") && find(path).is_some() {
        "expected the pool's name too: pool.NAME.KEY=VALUE".to_owned()
    } else {
        match nearest(path, KEYS.iter().map(|key| key.path)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "no such key; `qcbatch config show` lists them".to_owned(),
        }
    };
    Problem::error(format!("unknown key `{path}`"), place, label)
}

fn set(
    values: &mut Values,
    refused: &mut std::collections::BTreeSet<&'static str>,
    problems: &mut Vec<Problem>,
    key: &'static Key,
    raw: &str,
    (source, value_start): (&Arc<Source>, usize),
) {
    match read_raw(&key.kind, raw) {
        Ok(value) => {
            let place = Place { source: source.clone(), span: value_start..value_start + raw.len() };
            values.insert(key.path, Setting { value, origin: Origin::Given(place) });
        }
        Err(refusals) => {
            refused.insert(key.path);
            problems.extend(
                refusals.into_iter().map(|refusal| refusal_problem(key, refusal, source, value_start)),
            );
        }
    }
}
