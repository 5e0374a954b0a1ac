//! What is submitted, and the values adapters may put into commands and directives. Pure.
//! Refuses what could be misread anywhere down the line: control characters, blanks in names, odd paths.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SchedulerError;
use super::adapter::values::{Value, Values};
use crate::model::ids::Tag;
use crate::model::resources::{JobResources, NodeSharing};

/// One call of the submit command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubmitRequest {
    /// Carried as the job's name; a lost answer is looked up by it.
    pub tag: Tag,
    /// The submission's directory in the spool; the job starts there.
    pub directory: PathBuf,
    /// The rendered script.
    pub script: PathBuf,
    /// Where the scheduler writes the job's output; see `Scheduler::log_path`.
    pub log: PathBuf,
    /// Elements of the array; 1 = a single job.
    pub array_size: u32,
    /// What each job asks for.
    pub resources: JobResources,
    /// How long before the walltime each job is warned.
    pub warning: Duration,
    /// Nodes that no job of it should run on, by the scheduler's own names.
    pub excluded_nodes: Vec<String>,
}

impl SubmitRequest {
    /// The request's values by placeholder.
    pub(super) fn values(&self, first_array_index: u32) -> Result<Values, SchedulerError> {
        let resources = &self.resources;
        let mut values = Values::default();
        let mut number = |name, number: u64| values.set(name, Value::Number(number));
        let (nodes, tasks) = (u64::from(resources.nodes.max(1)), u64::from(resources.tasks.max(1)));
        let cores = u64::from(resources.cores.max(1));
        number("nodes", nodes);
        number("tasks", tasks);
        number("tasks_per_node", tasks.div_ceil(nodes));
        number("cores", cores);
        number("cores_per_node", tasks.div_ceil(nodes) * cores);
        number("cores_total", tasks * cores);
        if tasks * cores > 1 {
            number("parallel_cores", tasks * cores);
        }
        if self.array_size > 1 {
            number("array_size", u64::from(self.array_size));
            number("array_first", u64::from(first_array_index));
            number("array_last", u64::from(first_array_index) + u64::from(self.array_size) - 1);
        }
        if resources.gpus > 0 {
            number("gpus", u64::from(resources.gpus));
            values.set_some("gpu_type", word("gpu_type", resources.gpu_type.as_deref())?);
        }
        if resources.sharing == NodeSharing::Exclusive {
            values.set("exclusive", Value::Text("exclusive".to_owned()));
        }
        values.set("tag", Value::Text(self.tag.to_string()));
        values.set("walltime", Value::Span(resources.walltime));
        values.set("warning", Value::Span(self.warning));
        // Rounded up, a warning could come before the job begins.
        let minutes = |span: Duration| span.as_secs().div_ceil(60);
        let warned = minutes(self.warning) < minutes(resources.walltime);
        values.set_some("warning_minutes", warned.then(|| Value::Number(minutes(self.warning))));
        values.set_some("memory", resources.memory_bytes.map(Value::Bytes));
        let cores_per_node = tasks.div_ceil(nodes) * cores;
        let memory_per_core = resources.memory_bytes.map(|bytes| bytes.div_ceil(cores_per_node));
        values.set_some("memory_per_core", memory_per_core.map(Value::Bytes));
        values.set_some("several_nodes", (nodes > 1).then_some(Value::Number(nodes)));
        values.set("directory", path("directory", &self.directory)?);
        values.set("script", path("script", &self.script)?);
        values.set("log", path("log", &self.log)?);
        values.set_some("queue", word("queue", resources.queue.as_deref())?);
        values.set_some("account", word("account", resources.account.as_deref())?);
        values.set_some("qos", word("qos", resources.qos.as_deref())?);
        values.set_some("constraint", word("constraint", resources.constraint.as_deref())?);
        values.set_some("reservation", word("reservation", resources.reservation.as_deref())?);
        for line in &resources.extra {
            refuse_control("extra", line)?;
        }
        if !resources.extra.is_empty() {
            values.set("extra", Value::List(resources.extra.clone()));
        }
        // A name that could be misread is left out: that node is only avoided by its runner.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_name = |name: &&String| !name.is_empty() && name.chars().all(plain);
        let excluded: Vec<String> = self.excluded_nodes.iter().filter(is_name).cloned().collect();
        if !excluded.is_empty() {
            values.set("excluded_nodes", Value::List(excluded));
        }
        Ok(values)
    }
}

/// A name that stands unquoted in a directive: no blanks, quotes, backslashes, control characters, and not empty.
fn word(name: &'static str, text: Option<&str>) -> Result<Option<Value>, SchedulerError> {
    let Some(text) = text else { return Ok(None) };
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\' | '`' | '#' | '$');
    if text.is_empty() || text.contains(odd) {
        return Err(SchedulerError::Value {
            name,
            text: text.to_owned(),
            allowed: "a word without blanks or quotes",
        });
    }
    Ok(Some(Value::Text(text.to_owned())))
}

fn path(name: &'static str, path: &Path) -> Result<Value, SchedulerError> {
    let text = path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| SchedulerError::Value {
        name,
        text: path.to_string_lossy().into_owned(),
        allowed: "an absolute path in UTF-8",
    })?;
    refuse_control(name, text)?;
    Ok(Value::Text(text.to_owned()))
}

fn refuse_control(name: &'static str, text: &str) -> Result<(), SchedulerError> {
    if text.contains(char::is_control) {
        return Err(SchedulerError::Value {
            name,
            text: text.to_owned(),
            allowed: "text without control characters",
        });
    }
    Ok(())
}
