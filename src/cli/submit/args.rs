//! The arguments of `qcbatch submit`, and what they mean. Pure.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::api::wire::{ComputePriority, Reuse, SubmitOptions, Unrunnable};
use crate::cli::error::CliError;
use crate::cli::wait::parse_timeout;
use crate::config::units;
use crate::model::calculation::Driver;
use crate::model::ids::PoolName;
use crate::model::qcschema::InputDefaults;
use crate::model::resources::TaskResources;
use crate::model::task::Placement;

const CALCULATION: &str = "Defaults for what a document does not specify";
const SCHEDULING: &str = "Scheduling";
const AFTERWARDS: &str = "Afterwards";

/// What was typed.
#[derive(Args, Debug, Default)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub documents: DocumentArgs,

    #[command(flatten)]
    pub task: TaskArgs,

    /// Priority relative to other waiting tasks
    #[arg(long, value_enum, value_name = "PRIORITY", help_heading = SCHEDULING)]
    pub priority: Option<Priority>,

    /// Make new records even where identical ones exist
    #[arg(long, help_heading = SCHEDULING)]
    pub new: bool,

    /// Submit a job of its own for each task, at once
    #[arg(long, help_heading = SCHEDULING)]
    pub now: bool,

    /// Refuse the whole submission if no pool can ever run one of its tasks
    #[arg(long, help_heading = SCHEDULING)]
    pub strict: bool,

    /// Wait until every record has ended; the exit code tells the outcome
    #[arg(long, conflicts_with_all = ["parsable", "dry_run"], help_heading = AFTERWARDS)]
    pub wait: bool,

    /// Stop waiting (for the end, or for the scheduler's job ids) after this time
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, help_heading = AFTERWARDS)]
    pub timeout: Option<Duration>,

    /// Print ids only: of records, or with --now of the scheduler's jobs
    #[arg(long, conflicts_with = "dry_run", help_heading = AFTERWARDS)]
    pub parsable: bool,

    /// Show the job scripts and the submit commands; store and submit nothing
    #[arg(long, help_heading = AFTERWARDS)]
    pub dry_run: bool,
}

/// Documents, and what those that leave something open are given.
#[derive(Args, Debug, Default)]
pub struct DocumentArgs {
    /// QCSchema (one document, a list, or JSON lines), XYZ, a directory of them, or `-` for standard input
    #[arg(value_name = "FILE|DIR|-", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Program, as QCEngine names it: psi4, mopac, …
    #[arg(long, value_name = "NAME", help_heading = CALCULATION)]
    pub program: Option<String>,

    /// Method: hf, b3lyp, pm7, …
    #[arg(long, value_name = "NAME", help_heading = CALCULATION)]
    pub method: Option<String>,

    /// Basis set
    #[arg(long, value_name = "NAME", help_heading = CALCULATION)]
    pub basis: Option<String>,

    /// Driver: energy, gradient, hessian or properties
    #[arg(long, value_name = "WORD", value_parser = parse_driver, help_heading = CALCULATION)]
    pub driver: Option<Driver>,

    /// The program's keywords: a JSON object, or KEY=VALUE; may be repeated
    #[arg(long, value_name = "JSON|KEY=VALUE", help_heading = CALCULATION)]
    pub keywords: Vec<String>,

    /// Optimize the geometry with this procedure: geometric, optking, …
    #[arg(long, value_name = "NAME", conflicts_with = "driver", help_heading = CALCULATION)]
    pub optimizer: Option<String>,

    /// Charge of molecules read from XYZ, SDF or Psi4
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, help_heading = CALCULATION)]
    pub charge: Option<f64>,

    /// Multiplicity (2S+1) of molecules read from XYZ, SDF or Psi4
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), help_heading = CALCULATION)]
    pub multiplicity: Option<u32>,
}

/// Where tasks run and what each may use.
#[derive(Args, Debug, Default)]
pub struct TaskArgs {
    /// Compute tag: only pools that serve it run the tasks
    #[arg(long, value_name = "TAG", help_heading = SCHEDULING)]
    pub tag: Option<String>,

    /// Run in this pool only
    #[arg(long, value_name = "NAME", help_heading = SCHEDULING)]
    pub pool: Option<String>,

    /// Cores of each task
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), help_heading = SCHEDULING)]
    pub cores: Option<u32>,

    /// GPUs of each task, which no other task of its job sees
    #[arg(long, value_name = "COUNT", help_heading = SCHEDULING)]
    pub gpus: Option<u32>,

    /// Nodes of each task, over which its program runs with MPI; cores, GPUs and memory are of each of them
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), help_heading = SCHEDULING)]
    pub nodes: Option<u32>,

    /// Memory of each task, such as `4GiB`; without it what history says, or the configured default
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, help_heading = SCHEDULING)]
    pub memory: Option<u64>,

    /// Time limit of each task, such as `2h` or `01:30:00`; without it what history says, or the configured default
    #[arg(long, value_name = "TIME", value_parser = parse_walltime, help_heading = SCHEDULING)]
    pub walltime: Option<Duration>,
}

/// A priority on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Priority {
    /// After everything else
    Low,
    /// As usual
    Normal,
    /// Before everything else
    High,
}

/// What is done once the daemon has taken the documents in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Afterwards {
    /// Say which records they are.
    Tell,
    /// Print the records' ids.
    RecordIds,
    /// Print the scheduler's job ids, once known.
    SchedulerIds,
    /// Wait for the end.
    Wait,
    /// Nothing is stored: show what would be submitted.
    Preview,
}

impl SubmitArgs {
    /// The options as the daemon takes them.
    pub fn options(&self) -> Result<SubmitOptions, CliError> {
        Ok(SubmitOptions {
            compute_priority: self.priority.map(|priority| match priority {
                Priority::Low => ComputePriority::Low,
                Priority::Normal => ComputePriority::Normal,
                Priority::High => ComputePriority::High,
            }),
            placement: if self.now { Placement::Dedicated } else { Placement::Shared },
            reuse: if self.new { Reuse::Never } else { Reuse::Existing },
            unrunnable: if self.strict { Unrunnable::Refuse } else { Unrunnable::Wait },
            ..self.task.options(&self.documents)?
        })
    }

    /// What follows the intake.
    pub fn afterwards(&self) -> Afterwards {
        match (self.dry_run, self.wait, self.parsable, self.now) {
            (true, ..) => Afterwards::Preview,
            (_, true, ..) => Afterwards::Wait,
            (_, _, true, true) => Afterwards::SchedulerIds,
            (_, _, true, false) => Afterwards::RecordIds,
            _ => Afterwards::Tell,
        }
    }
}

impl TaskArgs {
    /// The options of `documents` that are run so.
    pub fn options(&self, documents: &DocumentArgs) -> Result<SubmitOptions, CliError> {
        Ok(SubmitOptions {
            compute_tag: self.tag.clone(),
            pool: self.pool.clone().map(PoolName),
            resources: TaskResources {
                cores: self.cores,
                memory_bytes: self.memory,
                walltime_seconds: self.walltime.map(|walltime| walltime.as_secs()),
                gpus: self.gpus.filter(|gpus| *gpus > 0),
                nodes: self.nodes.filter(|nodes| *nodes > 1),
            },
            defaults: InputDefaults {
                program: documents.program.clone(),
                method: documents.method.clone(),
                basis: documents.basis.clone(),
                driver: documents.driver,
                keywords: parse_keywords(&documents.keywords)?,
                optimizer: documents.optimizer.clone(),
            },
            ..SubmitOptions::default()
        })
    }
}

/// Objects and pairs, later ones winning. A pair's value is JSON where it can be read so, else a string.
fn parse_keywords(given: &[String]) -> Result<Map<String, Value>, CliError> {
    let mut keywords = Map::new();
    for text in given {
        if text.trim_start().starts_with('{') {
            let object: Map<String, Value> = serde_json::from_str(text)
                .map_err(|error| CliError::usage(format!("--keywords is no JSON object: {error}")))?;
            keywords.extend(object);
            continue;
        }
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                keywords.insert(name.trim().to_owned(), value);
            }
            _ => {
                return Err(CliError::usage(format!(
                    "--keywords `{text}` is neither a JSON object nor KEY=VALUE"
                )));
            }
        }
    }
    Ok(keywords)
}

fn parse_driver(text: &str) -> Result<Driver, String> {
    match Driver::parse(&text.to_lowercase()) {
        Some(driver) if driver != Driver::Deferred => Ok(driver),
        _ => Err("the drivers are energy, gradient, hessian and properties".to_owned()),
    }
}

fn parse_memory(text: &str) -> Result<u64, String> {
    match units::parse_size(text) {
        Ok(0) => Err("it must be more than nothing".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("{error}; give {}", units::SIZE_FORMS)),
    }
}

fn parse_walltime(text: &str) -> Result<Duration, String> {
    let walltime = parse_timeout(text)?;
    if walltime.as_secs() == 0 { Err("it must be at least a second".to_owned()) } else { Ok(walltime) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keywords_are_json_where_they_can_be() {
        let given = [
            "{\"scf_type\": \"df\", \"guess\": \"sad\"}",
            "e_convergence=1e-8",
            "guess=core",
            "soscf=true",
            "note= x",
        ];
        let keywords = parse_keywords(&given.map(str::to_owned)).unwrap();
        let expected =
            json!({"scf_type": "df", "guess": "core", "e_convergence": 1e-8, "soscf": true, "note": " x"});
        assert_eq!(Value::Object(keywords), expected);
        for wrong in ["scf_type", "=1", "{\"a\": }"] {
            assert!(parse_keywords(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_what_was_typed() {
        let args = SubmitArgs {
            now: true,
            new: true,
            priority: Some(Priority::High),
            task: TaskArgs { walltime: Some(Duration::from_secs(5400)), ..TaskArgs::default() },
            strict: true,
            parsable: true,
            ..SubmitArgs::default()
        };
        let options = args.options().unwrap();
        assert_eq!(options.placement, Placement::Dedicated);
        assert_eq!(options.reuse, Reuse::Never);
        assert_eq!(options.unrunnable, Unrunnable::Refuse);
        assert_eq!(options.compute_priority, Some(ComputePriority::High));
        assert_eq!(options.resources.walltime_seconds, Some(5400));
        assert_eq!(args.afterwards(), Afterwards::SchedulerIds);
        assert_eq!(SubmitArgs::default().options().unwrap(), SubmitOptions::default());
    }

    #[test]
    fn sizes_and_times_must_be_something() {
        assert!(parse_memory("0B").is_err());
        assert!(parse_memory("4").is_err());
        assert_eq!(parse_memory("4GiB"), Ok(4 << 30));
        assert!(parse_walltime("10ms").is_err());
        assert_eq!(parse_walltime("01:30:00"), Ok(Duration::from_secs(5400)));
    }
}
