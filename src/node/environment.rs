//! What the job's environment tells the runner: host, the scheduler's id, restarts, scratch. Reads variables only.
//!
//! The job script exports `QCBATCH_*`; Slurm's own variables serve where it did not.

use std::path::PathBuf;

use crate::model::ids::JobId;
use crate::model::task::StartRecord;

/// Where the runner finds itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEnvironment {
    /// The node.
    pub hostname: String,
    /// The runner's process id.
    pub pid: u32,
    /// The scheduler's id of the job, array element included.
    pub scheduler_job_id: Option<String>,
    /// How many times the scheduler has started this same job before.
    pub restarts: u32,
    /// `TMPDIR`, or `/tmp`.
    pub temporary_directory: PathBuf,
    /// The directories of `PATH`.
    pub search_path: Vec<PathBuf>,
    /// Signals that the job script got before it could hand them on, such as `USR2`.
    pub early_signals: Vec<String>,
    /// GPUs that the scheduler gave the job, where it told.
    pub visible_gpus: Option<Vec<String>>,
}

impl NodeEnvironment {
    /// Of the running process.
    pub fn of_this_process() -> NodeEnvironment {
        let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let variable = |name: &str| std::env::var(name).ok();
        NodeEnvironment::read(variable, hostname.unwrap_or_else(|| "unknown".into()), std::process::id())
    }

    fn read(variable: impl Fn(&str) -> Option<String>, hostname: String, pid: u32) -> NodeEnvironment {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let array_element = || {
            let (array, element) = (variable("SLURM_ARRAY_JOB_ID")?, variable("SLURM_ARRAY_TASK_ID")?);
            Some(format!("{array}_{element}"))
        };
        let scheduler_job_id =
            variable("QCBATCH_SCHEDULER_JOB_ID").or_else(array_element).or_else(|| variable("SLURM_JOB_ID"));
        let restarts = variable("QCBATCH_RESTART_COUNT").or_else(|| variable("SLURM_RESTART_COUNT"));
        NodeEnvironment {
            // A scheduler may have a name of its own for the node; by that one it is asked to leave it out.
            hostname: variable("QCBATCH_NODE_NAME").unwrap_or(hostname),
            pid,
            scheduler_job_id,
            restarts: restarts.and_then(|count| count.parse().ok()).unwrap_or(0),
            temporary_directory: variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
            search_path: variable("PATH")
                .map_or_else(Vec::new, |path| std::env::split_paths(&path).collect()),
            early_signals: variable("QCBATCH_EARLY_SIGNALS")
                .map_or_else(Vec::new, |names| names.split_whitespace().map(str::to_owned).collect()),
            visible_gpus: variable("CUDA_VISIBLE_DEVICES")
                .or_else(|| variable("ROCR_VISIBLE_DEVICES"))
                .map(|list| list.split(',').map(|gpu| gpu.trim().to_owned()).collect()),
        }
    }

    /// The GPUs of a job that asked for `count`: those that the scheduler named, or the node's first ones.
    pub fn gpus(&self, count: u32) -> Vec<String> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match &self.visible_gpus {
            Some(visible) => visible.iter().take(count).cloned().collect(),
            None => (0..count).map(|number| number.to_string()).collect(),
        }
    }

    /// The runner's first words. The clock is for people: no program compares clocks of two hosts.
    pub fn start_record(&self, job_id: JobId) -> StartRecord {
        StartRecord {
            job_id,
            hostname: self.hostname.clone(),
            pid: self.pid,
            scheduler_job_id: self.scheduler_job_id.clone(),
            node_clock: jiff::Timestamp::now().as_second(),
        }
    }
}

#[cfg(test)]
mod tests;
