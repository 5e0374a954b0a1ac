//! `qcbatch node DIR`: runs a job's tasks inside the job. Hidden: job scripts call it.

use std::path::PathBuf;

use clap::Args;

/// What a job script gives.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// The job's directory in the spool
    #[arg(value_name = "DIR", required_unless_present = "guard")]
    directory: Option<PathBuf>,

    /// Wait for the end of the runner at the other end of standard input, then kill its programs
    #[arg(long, hide = true, conflicts_with = "directory")]
    guard: bool,
}

/// The runner's own exit code, which the scheduler sees. A code beyond eight bits counts as failure.
pub(super) fn run(args: NodeArgs) -> std::process::ExitCode {
    let Some(directory) = args.directory else {
        crate::node::guard::run(std::io::stdin().lock());
        return std::process::ExitCode::SUCCESS;
    };
    let code = crate::node::run(&directory);
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}
