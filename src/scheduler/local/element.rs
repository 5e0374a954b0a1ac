//! Runs one element: starts the script in a process group of its own, warns it, ends it at its walltime or when it is
//! cancelled, and says how it ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::KILL_WAIT_SECONDS;
use super::entry::{Element, Entry, Phase};
use super::list::now;
use super::state::LocalState;
use crate::process::ProcessMark;

/// Between two looks at the script; costs nothing beside a QC program.
const LOOK: Duration = Duration::from_millis(100);

/// What an element's thread tells: which one it is, and what is known of it.
pub(super) type Told = (u32, Element);

/// Runs element `index` to its end and tells the supervisor when it started and how it ended.
pub fn run(state: &LocalState, entry: &Entry, index: u32, teller: &Sender<Told>) {
    let started_on = Some(now());
    let mut element = Element { phase: Phase::Running, started_on, ..Element::default() };
    match start(entry, index) {
        Ok(child) => {
            element.process = ProcessMark::of(child.id().cast_signed()).ok();
            // The supervisor lives as long as one of its elements; if it is gone there is nobody to tell.
            let _ = teller.send((index, element.clone()));
            let (phase, status) = follow(state, entry, index, child);
            element.phase = phase;
            element.exit_code = status.and_then(|status| status.code());
            element.signal = status.and_then(|status| status.signal());
        }
        Err(_) => element.phase = Phase::NodeFailure,
    }
    element.process = None;
    element.ended_on = Some(now());
    let _ = teller.send((index, element));
}

fn start(entry: &Entry, index: u32) -> io::Result<Child> {
    let log = File::options().create(true).append(true).mode(0o600).open(entry.log_of(index))?;
    let mut command = Command::new(&entry.script);
    if entry.array_size > 1 {
        command.env("QCBATCH_LOCAL_ARRAY_INDEX", index.to_string());
    }
    command
        .env("QCBATCH_LOCAL_JOB_ID", entry.element_id(index))
        .current_dir(&entry.directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

/// Waits for the script, warning and ending it in time.
fn follow(state: &LocalState, entry: &Entry, index: u32, mut child: Child) -> (Phase, Option<ExitStatus>) {
    let started = Instant::now();
    let walltime = Duration::from_secs(entry.walltime_seconds);
    let warning = walltime.saturating_sub(Duration::from_secs(entry.warning_seconds));
    let pid = Pid::from_raw(child.id().cast_signed());
    let mut warned = entry.warning_seconds == 0;
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // What it left in its group must not go on in the cores of others.
                let _ = killpg(pid, Signal::SIGKILL);
                return (if status.success() { Phase::Completed } else { Phase::Failed }, Some(status));
            }
            Err(_) => return (Phase::NodeFailure, None),
        }
        if state.cancel_mark(entry.id, index).exists() {
            return (Phase::Cancelled, end(&mut child, pid));
        }
        if started.elapsed() >= walltime {
            return (Phase::Walltime, end(&mut child, pid));
        }
        if !warned && started.elapsed() >= warning {
            warned = true;
            // To the script alone, as `sbatch --signal=B:USR2` does; it hands the signal on.
            let _ = kill(pid, Signal::SIGUSR2);
        }
        thread::sleep(LOOK);
    }
}

/// TERM to the whole group, KILL to what is left after the wait.
fn end(child: &mut Child, group: Pid) -> Option<ExitStatus> {
    let _ = killpg(group, Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(KILL_WAIT_SECONDS);
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            let _ = killpg(group, Signal::SIGKILL);
            return Some(status);
        }
        thread::sleep(LOOK);
    }
    let _ = killpg(group, Signal::SIGKILL);
    child.wait().ok()
}
