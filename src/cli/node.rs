//! `qcbatch node DIR`: runs a job's tasks inside the job. Hidden: job scripts call it.

use std::path::PathBuf;

use clap::Args;

/// What a job script gives.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// The job's directory in the spool
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// The runner's own exit code, which the scheduler sees. A code beyond eight bits counts as failure.
pub(super) fn run(args: NodeArgs) -> std::process::ExitCode {
    let code = crate::node::run(&args.directory);
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}
