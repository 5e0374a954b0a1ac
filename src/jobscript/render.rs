//! Renders a job script and checks that the result is one. Pure but for the parsed templates.

use std::path::Path;

use minijinja::{Error, Value, context};

use super::{ScriptError, ScriptInput, TemplateSet};
use crate::model::resources::SetupErrors;

/// Schedulers refuse bigger scripts (Slurm: 4 MiB).
const SCRIPT_BYTES_MAX: usize = 4 << 20;

/// The script for `input`.
pub fn render(input: &ScriptInput, templates: &TemplateSet) -> Result<String, ScriptError> {
    let name = input.template.as_str();
    let template = templates
        .environment
        .get_template(name)
        .map_err(|_| ScriptError::Unknown { name: name.to_owned(), known: templates.names().join(", ") })?;
    let context = context! {
        directives => safe_lines("directive", &input.directives)?,
        scheduler_lines => safe_lines("scheduler line", &input.scheduler_lines)?,
        array_index => Value::from_safe_string(array_index(input)?),
        scheduler_job_id => Value::from_safe_string(scheduler_job_id(input)?),
        launch => launch(input)?,
        warn_after_seconds => input.warn_after.map(|after| after.as_secs()),
        tag => input.tag.as_str(),
        pool => input.pool.0.as_str(),
        directory => path("directory", &input.directory)?,
        program => path("program", &input.program)?,
        job_ids => input.job_ids.iter().map(|id| id.0).collect::<Vec<_>>(),
        setup => setup_lines(input)?,
        setup_errors_are_fatal => input.setup_errors == SetupErrors::Fatal,
        environment => environment(input)?,
        scratch => input.scratch.as_deref().map(|scratch| path("scratch", scratch)).transpose()?,
    };
    let script = template.render(context).map_err(|error| template_error(name, &error))?;
    let why = if !script.starts_with("#!") {
        "its first line does not begin with `#!`"
    } else if script.contains(['\r', '\0']) {
        "it holds a carriage return or a zero byte"
    } else if script.len() > SCRIPT_BYTES_MAX {
        "it is bigger than 4 MiB"
    } else if !script.ends_with('\n') {
        "its last line has no end"
    } else {
        return Ok(script);
    };
    Err(ScriptError::Result { name: name.to_owned(), why })
}

pub(super) fn template_error(name: &str, error: &Error) -> ScriptError {
    ScriptError::Template {
        name: error.name().unwrap_or(name).to_owned(),
        line: error.line().unwrap_or(0),
        message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
    }
}

fn value_error(name: &'static str, text: &str, allowed: &'static str) -> ScriptError {
    ScriptError::Value { name, text: text.to_owned(), allowed }
}

/// Lines that go in as they are; each has to be one.
fn safe_lines(name: &'static str, lines: &[String]) -> Result<Vec<Value>, ScriptError> {
    lines
        .iter()
        .map(|line| {
            if line.contains(char::is_control) {
                return Err(value_error(name, line, "one line without control characters"));
            }
            Ok(Value::from_safe_string(line.clone()))
        })
        .collect()
}

fn launch(input: &ScriptInput) -> Result<Option<Value>, ScriptError> {
    let Some(launch) = &input.launch else { return Ok(None) };
    let line = |name, text: &String| {
        let mut lines = safe_lines(name, std::slice::from_ref(text))?;
        Ok::<_, ScriptError>(lines.pop())
    };
    let (hosts, command) = (line("hosts", &launch.hosts)?, line("launch", &launch.command)?);
    Ok(Some(context! { hosts, command }))
}

/// A pool's setup may hold several lines in one text, and tabs.
fn setup_lines(input: &ScriptInput) -> Result<Vec<Value>, ScriptError> {
    let lines: Vec<String> =
        input.setup.iter().flat_map(|text| text.lines()).map(|line| line.replace('\t', "    ")).collect();
    safe_lines("setup", &lines)
}

fn array_index(input: &ScriptInput) -> Result<String, ScriptError> {
    let Some(variable) = &input.array_index_variable else { return Ok("0".to_owned()) };
    variable_name("array_index_variable", variable)?;
    let first = input.first_array_index;
    Ok(match first {
        0 => format!("\"${{{variable}:-0}}\""),
        // Outside arrays such schedulers leave the variable unset or 0.
        _ => format!("$(( ${{{variable}:-0}} >= {first} ? ${{{variable}:-0}} - {first} : 0 ))"),
    })
}

fn scheduler_job_id(input: &ScriptInput) -> Result<String, ScriptError> {
    let word = input.scheduler_job_id.as_deref().unwrap_or_default();
    if word.contains(|c: char| c.is_control() || c == '"' || c == '`') {
        return Err(value_error("scheduler_job_id", word, "a shell word without quotes"));
    }
    Ok(format!("\"{word}\""))
}

fn environment(input: &ScriptInput) -> Result<Vec<Value>, ScriptError> {
    input
        .environment
        .iter()
        .map(|(name, value)| {
            variable_name("environment", name)?;
            Ok(context! { name => Value::from_safe_string(name.clone()), value => value })
        })
        .collect()
}

fn variable_name(what: &'static str, name: &str) -> Result<(), ScriptError> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(value_error(what, name, "a variable's name: letters, digits and `_`"))
}

fn path(name: &'static str, path: &Path) -> Result<String, ScriptError> {
    path.to_str()
        .filter(|_| path.is_absolute())
        .map(str::to_owned)
        .ok_or_else(|| value_error(name, &path.to_string_lossy(), "an absolute path in UTF-8"))
}
