//! Tries a pool: asks its scheduler what it is, then sends a small job through everything that the daemon's jobs go
//! through, and tells what that proved and what it did not. Submits and cancels nothing but its own job.

mod clock;
mod follow;
mod job;
mod judge;
mod look;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::config::PoolConfig;
use crate::jobscript::TemplateSet;
use crate::scheduler::Scheduler;
use crate::spool::layout::Spool;

/// What is tried, and how patiently.
#[derive(Debug)]
pub struct Trial {
    /// The scheduler, not probed yet.
    pub scheduler: Scheduler,
    /// The pool whose jobs are like the probe job.
    pub pool: PoolConfig,
    /// Where its files go.
    pub spool: Spool,
    /// Job script templates.
    pub templates: TemplateSet,
    /// Our own program as compute nodes find it.
    pub program: PathBuf,
    /// How long the job may take from submission to its end.
    pub timeout: Duration,
}

/// What became of one thing that was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was seen to work.
    Proven,
    /// It could not be tried here, or showed nothing.
    Unproven,
    /// It was seen not to work.
    Failed,
}

/// One thing that was tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub subject: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// What was seen, or what to do.
    pub detail: String,
}

/// How a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything was tried that could be.
    Complete,
    /// The job did not end in time and was cancelled.
    TimedOut,
}

/// Everything that a trial found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The adapter's name.
    pub adapter: String,
    /// The pool that the job was made for.
    pub pool: String,
    /// The scheduler's version.
    pub version: Option<String>,
    /// The name it gives itself.
    pub cluster: Option<String>,
    /// Most elements of one array.
    pub array_size_max: Option<u32>,
    /// Optional services.
    pub services: BTreeMap<String, bool>,
    /// The form chosen of each command that has several: by what is asked with it.
    pub variants: BTreeMap<String, String>,
    /// The user's live jobs before the probe job.
    pub your_jobs: Option<usize>,
    /// The probe job's id.
    pub scheduler_job_id: Option<String>,
    /// Where its files are, when they were kept.
    pub kept: Option<PathBuf>,
    /// How the trial ended.
    pub ending: Ending,
    /// Each thing that was tried, in order.
    pub findings: Vec<Finding>,
}

impl Report {
    fn new(trial: &Trial) -> Report {
        Report {
            adapter: trial.scheduler.name().to_owned(),
            pool: trial.pool.name.to_string(),
            version: None,
            cluster: None,
            array_size_max: None,
            services: BTreeMap::new(),
            variants: BTreeMap::new(),
            your_jobs: None,
            scheduler_job_id: None,
            kept: None,
            ending: Ending::Complete,
            findings: Vec::new(),
        }
    }

    fn add(&mut self, subject: &'static str, verdict: Verdict, detail: impl Into<String>) {
        self.findings.push(Finding { subject, verdict, detail: detail.into() });
    }

    fn proven(&mut self, subject: &'static str, detail: impl Into<String>) {
        self.add(subject, Verdict::Proven, detail);
    }

    fn unproven(&mut self, subject: &'static str, detail: impl Into<String>) {
        self.add(subject, Verdict::Unproven, detail);
    }

    fn failed(&mut self, subject: &'static str, detail: impl Into<String>) {
        self.add(subject, Verdict::Failed, detail);
    }

    /// Whether anything was seen not to work.
    pub fn has_failures(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Verdict::Failed)
    }
}

/// Tries everything. `progress` is told what is being done, in a few words.
pub async fn run(trial: &Trial, progress: &(dyn Fn(&str) + Sync)) -> Report {
    let mut report = Report::new(trial);
    progress("asking the scheduler what it is");
    if look::look(trial, &mut report).await {
        job::send(trial, &mut report, progress).await;
    }
    report
}
