//! Expands what stands for something in paths: `~/`, `{home}`, `{user}`, `{hostname}`, `{state}`.
//! Pure.

use super::layer::{Layer, Values};
use super::machine::Machine;
use super::problem::Problem;
use super::schema::{Kind, find};
use super::value::Value;

/// The state directory comes first: other paths refer to it.
const STATE: &str = "site.state";

/// Makes every path of filled settings absolute. The problem is a state directory that refers to itself.
pub(super) fn expand(filled: &mut Layer, machine: &Machine) -> Option<Problem> {
    let mut problem = None;
    let mut state = String::new();
    if let Some(setting) = filled.values.get_mut(STATE)
        && let Value::Text(text) = &mut setting.value
    {
        if text.contains("{state}") {
            let title = "impossible value for `site.state`: refers to itself";
            problem = Some(Problem::error(
                title,
                setting.origin.place().clone(),
                "expected a path without `{state}`",
            ));
        }
        *text = expand_path(text, machine, "");
        state = text.clone();
    }
    expand_values(&mut filled.values, machine, &state);
    for pool in &mut filled.pools {
        expand_values(&mut pool.values, machine, &state);
    }
    problem
}

fn expand_values(values: &mut Values, machine: &Machine, state: &str) {
    for (path, setting) in values.iter_mut().filter(|(path, _)| **path != STATE) {
        match (find(path).map(|key| &key.kind), &mut setting.value) {
            (Some(Kind::Path), Value::Text(text)) => *text = expand_path(text, machine, state),
            (Some(Kind::Program), Value::Text(text)) if text.contains('/') => {
                *text = expand_path(text, machine, state)
            }
            (Some(Kind::List(Kind::Path)), Value::List(items)) => {
                items.iter_mut().for_each(|item| *item = expand_path(item, machine, state));
            }
            _ => {}
        }
    }
}

fn expand_path(text: &str, machine: &Machine, state: &str) -> String {
    let home = machine.home.to_string_lossy();
    let text = match text.strip_prefix("~/") {
        Some(rest) => format!("{home}/{rest}"),
        None => text.to_owned(),
    };
    text.replace("{state}", state)
        .replace("{home}", &home)
        .replace("{user}", &machine.user)
        .replace("{hostname}", &machine.hostname)
}
