//! The node runner: the program inside a job. Claims chunks, runs their tasks through Python workers or itself, appends
//! reports. Touches the job directory, the pool's `ready` and node-local scratch only: no SQL, no scheduler, no network.

pub mod budget;
pub mod cgroup;
pub mod claim;
pub mod classify;
pub mod clock;
pub mod cpu_time;
pub mod end;
pub mod environment;
pub mod error;
pub mod grace;
pub mod guard;
pub mod hand;
pub mod heartbeat;
pub mod log;
pub mod lookout;
pub mod memory;
pub mod native;
pub mod notices;
pub mod progress;
pub mod reasons;
pub mod relay;
pub mod report;
pub mod runner;
pub mod scratch;
pub mod signals;
pub mod slot;
pub mod stderr;
pub mod stopwatch;
pub mod store;
pub mod work;
pub mod worker;

use std::path::Path;

use self::claim::Claim;
use self::environment::NodeEnvironment;
use self::error::{NodeError, chain};
use self::runner::Runner;
use crate::failpoint::{self, FailPoint};
use crate::model::task::JobManifest;
use crate::spool::{JobDirectory, atomic};

/// Runs the job whose directory this is, to its end. Returns the exit code (see `end`).
///
/// A second copy of the same job finds the chunk claimed, writes `duplicate.json` and returns 0.
pub fn run(job_directory: &Path) -> i32 {
    match run_job(job_directory) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("qcbatch node: {}", chain(&error));
            end::EXIT_FAILED
        }
    }
}

fn run_job(job_directory: &Path) -> Result<i32, NodeError> {
    let path = std::path::absolute(job_directory).map_err(NodeError::Start)?;
    let directory = JobDirectory::at(path);
    let manifest: JobManifest = atomic::read_json(&directory.manifest())?;
    let environment = NodeEnvironment::of_this_process();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NodeError::Start)?;
    runtime.block_on(async {
        // Before the claim: a signal that comes early must not leave a claimed chunk without an end record.
        let signals = signals::StopSignals::install().map_err(NodeError::Start)?;
        match claim::claim(&directory, &environment)? {
            Claim::Duplicate => {
                atomic::write_json(&directory.duplicate(), &environment.start_record(manifest.job_id))?;
                Ok(end::EXIT_SUCCESS)
            }
            Claim::Ours(chunk) => {
                failpoint::hit(FailPoint::TicketClaimed);
                let _log = log::to_file(&directory)?;
                Runner::new(directory, manifest, environment, chunk).run(signals).await
            }
        }
    })
}
