//! One element from the start of its script to its end: the warning, the walltime, a cancel, and the last of its
//! processes.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::LocalError;
use super::entry::{Entry, now};
use super::journal::{Event, How};
use super::process;
use super::slots::Cores;
use super::supervise::KILL_WAIT;

/// An element whose script was started.
pub(super) struct Element {
    index: u32,
    child: Child,
    pid: i32,
}

/// How an element ended.
pub(super) struct Ending {
    pub index: u32,
    how: How,
    status: Option<ExitStatus>,
    reason: &'static str,
}

impl Element {
    /// Starts the script of element `index`.
    pub fn spawn(entry: &Entry, index: u32, program: &[String]) -> Result<Element, LocalError> {
        let Some((first, rest)) = program.split_first() else {
            return Err(LocalError::Supervisor { why: "there is no program to start".to_owned() });
        };
        let log = entry.log_of(index);
        let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
        let output = open().and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = output.map_err(LocalError::state("open", &log))?;
        let mut command = Command::new(first);
        command
            .args(rest)
            .arg("launch")
            .arg(&entry.script)
            .current_dir(&entry.directory)
            .env(process::MARK_VARIABLE, entry.mark(index))
            .env("QCBATCH_LOCAL_JOB_ID", entry.element_id(index))
            .env("QCBATCH_LOCAL_CORES", entry.cores.to_string())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        if entry.array_size > 1 {
            command.env("QCBATCH_LOCAL_ARRAY_INDEX", index.to_string());
        }
        let child = command.spawn().map_err(LocalError::state("start", &entry.script))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(-1);
        Ok(Element { index, child, pid })
    }

    /// The event of its start.
    pub fn started(&self) -> Event {
        let start_ticks = process::start_ticks(self.pid).unwrap_or(0);
        Event::Started { index: self.index, at: now(), pid: self.pid, start_ticks }
    }
}

impl Ending {
    /// The event of its end.
    pub fn event(&self) -> Event {
        Event::Ended {
            index: self.index,
            at: now(),
            how: self.how,
            code: self.status.and_then(|status| status.code()),
            signal: self.status.and_then(|status| status.signal()),
            reason: self.reason.to_owned(),
        }
    }
}

/// Waits for the end of `element`, or brings it about; its cores are free when this is done.
pub(super) async fn run_element(
    mut element: Element,
    entry: Entry,
    cores: Cores,
    mut cancelled: watch::Receiver<bool>,
) -> Ending {
    let began = Instant::now();
    let walltime = Duration::from_secs(entry.walltime_seconds);
    let warning = walltime.saturating_sub(Duration::from_secs(entry.warning_seconds));
    let (mut warned, mut cause, mut kill_at) = (false, None, None::<Instant>);
    let status = loop {
        tokio::select! {
            status = element.child.wait() => break status.ok(),
            () = sleep_until(began + warning), if !warned => {
                warned = true;
                process::signal(element.pid, Signal::SIGUSR2);
            }
            () = sleep_until(began + walltime), if cause.is_none() => cause = Some(How::Walltime),
            // An error means that the supervisor let go of the element, which it does only after its end.
            Ok(_) = cancelled.wait_for(|yes| *yes), if cause.is_none() => cause = Some(How::Cancelled),
            () = sleep_until(kill_at.unwrap_or(began)), if kill_at.is_some() => {
                process::kill_job(element.pid, &entry.mark(element.index));
                kill_at = Some(Instant::now() + KILL_WAIT);
            }
        }
        if cause.is_some() && kill_at.is_none() {
            process::signal(element.pid, Signal::SIGTERM);
            kill_at = Some(Instant::now() + KILL_WAIT);
        }
    };
    // What the script left behind goes with it.
    process::kill_job(element.pid, &entry.mark(element.index));
    drop(cores);
    let (how, reason) = match (cause, status) {
        (Some(How::Cancelled), _) => (How::Cancelled, "cancelled"),
        (Some(cause), _) => (cause, "its walltime was over"),
        (None, Some(status)) if status.success() => (How::Completed, ""),
        (None, Some(status)) if status.signal().is_some() => (How::Failed, "its script was killed"),
        (None, _) => (How::Failed, "its script failed"),
    };
    Ending { index: element.index, how, status, reason }
}
