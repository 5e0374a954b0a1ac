//! `show`: everything about one record: inputs, result, history, why it waits.

use serde_json::Value;

use super::field;
use super::jobs::state_word;
use super::records::task_word;
use crate::api::wire::ComputePriority;
use crate::cli::format;
use crate::cli::screen::{Report, Screen, state_style};
use crate::cli::table::{Colour, Column, printable, render};
use crate::model::task::RESTART_EXTRA;
use crate::model::view::{AttemptLine, RecordDetail, TaskLine};

const ATTEMPTS: [Column; 9] = [
    Column::right("TRY", 0),
    Column::left("STATUS", 0).painted(state_style),
    Column::left("FAILURE", 0).cut_to(9),
    Column::right("JOB", 3),
    Column::left("NODE", 2).cut_to(8),
    Column::right("CORES", 5),
    Column::right("WALL", 1),
    Column::right("PEAK", 6),
    Column::left("PROGRAM", 4).cut_to(8),
];

/// Longest inline rendering of keywords and properties.
const LONGEST_VALUE: usize = 2000;

impl Report for RecordDetail {
    fn table(&self, screen: &Screen) -> String {
        let line = &self.line;
        let style = match screen.colour {
            Colour::On => state_style(line.status.as_str()),
            Colour::Off => anstyle::Style::new(),
        };
        let mut text = format!("record {} {style}{}{style:#}\n", line.id, line.status.as_str());
        field(&mut text, "task", task_word(line));
        field(&mut text, "program", &line.program);
        field(&mut text, "model", &format::model(&line.method, &line.basis));
        field(&mut text, "keywords", &keywords(&self.specification));
        field(&mut text, "molecule", &molecule(&line.formula, &self.molecule));
        field(&mut text, "compute tag", &line.compute_tag);
        field(&mut text, "requested", &format::exact_moment(line.created_on, &screen.zone));
        field(&mut text, "changed", &format::exact_moment(line.modified_on, &screen.zone));
        if let Some(energy) = line.return_energy {
            field(&mut text, "energy", &format!("{energy:.10} Eh"));
        }
        if let Some(energies) = &self.energies {
            field(&mut text, "steps", &format!("{}{}", energies.len(), went_on(self)));
        }
        if !self.trajectory.is_empty() {
            let ids: Vec<String> = self.trajectory.iter().map(ToString::to_string).collect();
            field(&mut text, "trajectory", &format!("records {}", ids.join(" ")));
        }
        field(&mut text, "native files", &self.native_files.join(" "));
        if let Some(task) = &self.task {
            describe_task(&mut text, task, screen);
        }
        describe_result(&mut text, self);
        if !self.history.is_empty() {
            let rows: Vec<Vec<String>> = self.history.iter().map(attempt).collect();
            text.push_str("\nattempts\n");
            text.push_str(&render(&ATTEMPTS, &rows, screen.width, screen.colour));
        }
        if !self.events.is_empty() {
            text.push_str("\nevents\n");
        }
        for event in &self.events {
            let at = format::exact_moment(event.at, &screen.zone);
            text.push_str(&format!("{at}  {:<10}  {}\n", event.kind, printable(&event.message)));
        }
        text
    }

    fn quiet(&self) -> String {
        format!("{}\n", self.line.status.as_str())
    }
}

/// Behind the number of steps, where the first ones were another attempt's.
fn went_on(detail: &RecordDetail) -> String {
    let attempt = detail.extras.get(RESTART_EXTRA).and_then(|restart| restart.get("attempt")?.as_u64());
    attempt.map(|attempt| format!(", went on from attempt {attempt}")).unwrap_or_default()
}

fn describe_task(text: &mut String, task: &TaskLine, screen: &Screen) {
    let mut asked = vec![format!("{} priority", ComputePriority::word(task.compute_priority))];
    asked.extend(task.cores.map(|cores| format::count(u64::try_from(cores).unwrap_or(0), "core")));
    asked.extend(task.memory_bytes.and_then(|bytes| u64::try_from(bytes).ok()).map(format::bytes));
    asked.extend(task.walltime_seconds.map(|seconds| format::duration(seconds as f64)));
    asked.extend(task.nodes.map(|nodes| format::count(u64::from(nodes), "node")));
    asked.extend(task.gpus.map(|gpus| format::count(u64::from(gpus), "GPU")));
    asked.extend(task.pool.as_ref().map(|pool| format!("pool {pool}")));
    field(text, "asks for", &asked.join(", "));
    if task.tries > 0 || task.losses > 0 {
        field(text, "tries spent", &format!("{}; lost without its fault: {}", task.tries, task.losses));
    }
    if let Some(job) = &task.job {
        let known = job.scheduler_job_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        field(text, "job", &format!("{}{known} in {}: {}", job.id, job.pool, state_word(job)));
        field(text, "job's reason", job.reason.as_deref().unwrap_or_default());
    }
    field(text, "waits because", task.waiting_reason.as_deref().unwrap_or_default());
    if let Some(not_before) = task.not_before.filter(|at| *at > screen.now) {
        field(text, "not before", &format::exact_moment(not_before, &screen.zone));
    }
}

/// Scalar properties; arrays such as gradients are for `--json`.
fn describe_result(text: &mut String, detail: &RecordDetail) {
    let Some(Value::Object(properties)) = &detail.properties else { return };
    let scalars: Vec<(&String, &Value)> = properties
        .iter()
        .filter(|(_, value)| matches!(value, Value::Number(_) | Value::String(_) | Value::Bool(_)))
        .collect();
    if !scalars.is_empty() {
        text.push_str("\nproperties\n");
    }
    for (name, value) in scalars {
        let shown = match value {
            Value::String(word) => printable(word),
            other => other.to_string(),
        };
        text.push_str(&format!("  {name} = {shown}\n"));
    }
}

fn attempt(attempt: &AttemptLine) -> Vec<String> {
    let absent = || format::ABSENT.to_owned();
    let failure = match (attempt.failure, &attempt.error_type) {
        (Some(class), Some(kind)) => format!("{}: {kind}", class.as_str()),
        (Some(class), None) => class.as_str().to_owned(),
        (None, Some(kind)) => kind.clone(),
        (None, None) => absent(),
    };
    let mut program = match (&attempt.program, &attempt.program_version) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        (Some(name), None) => name.clone(),
        _ => absent(),
    };
    // QCEngine's version is for `--json`: a line is short.
    if let Some(way) = attempt.through.as_deref().and_then(|through| through.split(' ').next()) {
        program.push_str(&format!(" ({way})"));
    }
    let peak = attempt.peak_memory_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    vec![
        attempt.attempt.to_string(),
        attempt.status.as_str().to_owned(),
        failure,
        attempt.job_id.map_or_else(absent, |job| job.to_string()),
        attempt.hostname.clone().unwrap_or_else(absent),
        attempt.cores.map_or_else(absent, |cores| cores.to_string()),
        format::maybe_duration(attempt.wall_seconds),
        peak.map_or_else(absent, format::bytes),
        program,
    ]
}

/// The keywords of a specification as compact JSON; nothing for none.
fn keywords(specification: &Value) -> String {
    match specification.get("keywords") {
        Some(Value::Object(keywords)) if !keywords.is_empty() => {
            crate::cli::table::cut(&printable(&Value::Object(keywords.clone()).to_string()), LONGEST_VALUE)
        }
        _ => String::new(),
    }
}

fn molecule(formula: &str, molecule: &Value) -> String {
    let number = |name: &str| molecule.get(name).and_then(Value::as_f64);
    let atoms = molecule.get("symbols").and_then(Value::as_array).map(Vec::len);
    let mut text = formula.to_owned();
    if let Some(atoms) = atoms {
        text.push_str(&format!(", {}", format::count(atoms as u64, "atom")));
    }
    if let Some(charge) = number("molecular_charge") {
        text.push_str(&format!(", charge {charge}"));
    }
    if let Some(multiplicity) = number("molecular_multiplicity") {
        text.push_str(&format!(", multiplicity {multiplicity}"));
    }
    text
}
