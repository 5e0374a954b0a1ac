//! One long-lived Python worker: a process group of its own, a line of JSON in, a line of JSON out.
//!
//! Whatever ends a worker, its whole process group is killed, so that no program of a task outlives it.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::cgroup::Cgroup;
use super::cpu_time;
use super::error::NodeError;
use super::memory;
use super::stderr::{StderrLog, Tail, follow};
use crate::model::calculation::Calculation;
use crate::model::task::Progress;
use crate::spool::frame::MAX_REPORT_BYTES;

/// Imports from a cold network filesystem take minutes, never this long.
const START_LIMIT: Duration = Duration::from_secs(300);
/// How long a group has between TERM and KILL.
const KILL_GRACE: Duration = Duration::from_secs(2);
/// How long to wait for what a dead worker left in its pipe, and for its group to be gone.
const BURIAL_LIMIT: Duration = Duration::from_secs(1);

/// What a worker is asked.
#[derive(Serialize, Debug)]
pub struct Request<'a> {
    /// What is to be computed.
    pub calculation: &'a Calculation,
    /// Cores for the program.
    pub cores: u32,
    /// Memory for the program.
    pub memory_bytes: u64,
    /// Nodes over which the program runs; the others are of each.
    pub nodes: u32,
    /// What starts it there.
    pub mpiexec: Option<&'a str>,
    /// An empty directory of its own.
    pub scratch_directory: &'a Path,
}

/// What a worker answers.
#[derive(Deserialize, Debug)]
pub struct Reply {
    /// A QCSchema v1 result.
    pub result: Option<Box<RawValue>>,
    /// Or why there is none.
    pub error: Option<ReplyError>,
    /// What the program printed.
    pub stdout: Option<String>,
    /// What it wrote to standard error.
    pub stderr: Option<String>,
    /// Files that the protocol asked for.
    pub native_files: BTreeMap<String, String>,
    /// User and system time.
    pub cpu_seconds: f64,
    /// The program.
    pub program: Option<String>,
    /// Its version.
    pub program_version: Option<String>,
    /// What the last program of a failed task ended with, in Python's way: a signal is a negative number.
    #[serde(default)]
    pub exit_code: Option<i32>,
}

impl Reply {
    /// Whether the task is done.
    pub fn is_result(&self) -> bool {
        self.result.is_some() && self.error.is_none()
    }
}

/// QCEngine's own account of a failure.
#[derive(Deserialize, Debug)]
pub struct ReplyError {
    /// QCEngine's `error_type`.
    pub error_type: String,
    /// Its message.
    pub error_message: String,
}

/// A line that is not the answer yet.
#[derive(Deserialize)]
struct Underway {
    progress: Progress,
}

/// How such a line begins; no answer begins so.
const UNDERWAY: &[u8] = b"{\"progress\":";

/// A worker's first line.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Greeting {
    /// It can work.
    Ready(Ready),
    /// QCEngine cannot be used by this interpreter, and why.
    Broken(String),
}

#[derive(Deserialize)]
struct Ready {
    qcengine_version: String,
}

/// Why a worker gave no answer. It is of no further use.
#[derive(Debug)]
pub enum NoAnswer {
    /// It closed its pipes: it is dead or dying.
    Gone,
    /// What it wrote is not an answer.
    Nonsense(String),
}

/// How a worker died.
#[derive(Debug)]
pub struct Death {
    /// Its exit status; none when it had to be killed to find out.
    pub status: Option<ExitStatus>,
    /// Its last words.
    pub stderr: Option<String>,
}

impl Death {
    /// The signal that killed it.
    pub fn signal(&self) -> Option<Signal> {
        self.status.and_then(|status| status.signal()).and_then(|number| Signal::try_from(number).ok())
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    group: Pid,
    cgroup: Option<Arc<Cgroup>>,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    stderr: JoinHandle<()>,
    tail: Tail,
    tasks_asked: u32,
    resident_at_start: u64,
    /// QCEngine's version, as the worker told.
    pub qcengine_version: String,
}

impl Worker {
    /// Starts `command` and waits until it says that it is ready. All that it ever starts is in `cgroup`, if there is one.
    pub async fn start(
        command: &[String],
        environment: &[(&str, String)],
        cgroup: Option<Arc<Cgroup>>,
        log: &StderrLog,
    ) -> Result<Worker, NodeError> {
        let failed = |message: String| NodeError::Worker { message };
        let (program, arguments) =
            command.split_first().ok_or_else(|| failed("its command is empty".into()))?;
        let program = program.clone();
        let mut command = match &cgroup {
            Some(cgroup) => Command::from(cgroup.command(&program)),
            None => Command::new(&program),
        };
        let mut child = command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("{program} cannot be executed: {error}")))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id());
        let (Some(requests), Some(answers), Some(stderr), Some(pid)) = pipes else {
            return Err(failed("it has no pipes".into()));
        };
        let tail = Tail::default();
        let stderr = tokio::spawn(follow(stderr, log.clone(), tail.clone()));
        let group = Pid::from_raw(pid.cast_signed());
        let answers = BufReader::new(answers);
        let mut worker = Worker {
            child,
            group,
            cgroup,
            requests,
            answers,
            stderr,
            tail,
            tasks_asked: 0,
            resident_at_start: 0,
            qcengine_version: String::new(),
        };
        let greeting = timeout(START_LIMIT, worker.read_line()).await;
        let message = match greeting.map(|line| line.map(|line| serde_json::from_slice::<Greeting>(&line))) {
            Ok(Ok(Ok(Greeting::Ready(ready)))) => {
                worker.qcengine_version = ready.qcengine_version;
                worker.resident_at_start = memory::of_process(worker.group);
                return Ok(worker);
            }
            Ok(Ok(Ok(Greeting::Broken(why)))) => Some(why),
            Ok(Ok(Err(_))) => Some(format!("{program} did not greet as a worker does")),
            Ok(Err(_)) => None,
            Err(_) => Some(format!("{program} was not ready within {} s", START_LIMIT.as_secs())),
        };
        let death = worker.bury().await;
        Err(NodeError::Worker { message: message.unwrap_or_else(|| ended_early(&program, &death)) })
    }

    /// The worker's process id, which is its group's too.
    pub fn pid(&self) -> Pid {
        self.group
    }

    /// Where the kernel keeps limits: it and what it starts may hold so much from now on. One that holds more is killed.
    pub async fn hold_to(&self, memory_bytes: u64) {
        if let Some(cgroup) = self.cgroup.clone() {
            let _ = spawn_blocking(move || cgroup.hold_to(memory_bytes)).await;
        }
    }

    /// Whether the kernel killed something for its memory since `hold_to`.
    pub fn went_over(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.went_over())
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Has one task computed; `underway` hears how an optimization goes. After an error, or when dropped half-way, the
    /// worker must be buried.
    pub async fn ask(
        &mut self,
        request: &Request<'_>,
        mut underway: impl FnMut(Progress),
    ) -> Result<Reply, NoAnswer> {
        self.tail.clear();
        self.tasks_asked += 1;
        let mut line = serde_json::to_vec(request).map_err(|error| NoAnswer::Nonsense(error.to_string()))?;
        line.push(b'\n');
        let sent = async {
            self.requests.write_all(&line).await?;
            self.requests.flush().await
        };
        sent.await.map_err(|_| NoAnswer::Gone)?;
        drop(line);
        loop {
            let line = self.read_line().await?;
            let nonsense = |error: serde_json::Error| NoAnswer::Nonsense(error.to_string());
            if !line.starts_with(UNDERWAY) {
                return serde_json::from_slice(&line).map_err(nonsense);
            }
            // It is only told on the way: what cannot be read must not cost the calculation.
            match serde_json::from_slice::<Underway>(&line) {
                Ok(told) => underway(told.progress),
                Err(error) => tracing::warn!(%error, "a worker's word on its progress does not read"),
            }
        }
    }

    /// How many tasks it was given.
    pub fn tasks_asked(&self) -> u32 {
        self.tasks_asked
    }

    /// By how much it has grown since it was ready.
    pub fn growth_bytes(&self) -> u64 {
        memory::of_process(self.group).saturating_sub(self.resident_at_start)
    }

    /// What it wrote to standard error since the last `ask`.
    pub fn stderr(&self) -> Option<String> {
        self.tail.text()
    }

    /// Processor time of the worker and all that it started, so far.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_time::of_group(self.group)
    }

    async fn read_line(&mut self) -> Result<Vec<u8>, NoAnswer> {
        let mut line = Vec::new();
        let limit = u64::from(MAX_REPORT_BYTES);
        let read = (&mut self.answers).take(limit).read_until(b'\n', &mut line).await;
        match read {
            Ok(_) if line.last() == Some(&b'\n') => Ok(line),
            Ok(_) if line.len() as u64 == limit => {
                Err(NoAnswer::Nonsense(format!("an answer of more than {limit} bytes")))
            }
            _ => Err(NoAnswer::Gone),
        }
    }

    /// Ends an idle worker.
    pub async fn close(self) {
        let Worker { mut child, group, requests, cgroup, .. } = self;
        drop(requests);
        let _ = timeout(KILL_GRACE, child.wait()).await;
        let _ = killpg(group, Signal::SIGKILL);
        remove(cgroup).await;
    }

    /// Nobody of its group is left alive, nor of its control group.
    fn kill_all(&self) {
        let _ = killpg(self.group, Signal::SIGKILL);
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
    }

    /// Kills a worker with all that it started: TERM first, KILL after a short grace.
    pub async fn kill(mut self) -> Death {
        let _ = killpg(self.group, Signal::SIGTERM);
        let _ = timeout(KILL_GRACE, self.child.wait()).await;
        self.bury().await
    }

    /// Takes leave of a worker that is dead, dying or useless: its status, its last words, and nobody of its group
    /// left alive.
    pub async fn bury(mut self) -> Death {
        let status = match timeout(BURIAL_LIMIT, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => None,
        };
        self.kill_all();
        let _ = timeout(BURIAL_LIMIT, self.child.wait()).await;
        let _ = timeout(BURIAL_LIMIT, &mut self.stderr).await;
        self.stderr.abort();
        let gone = async {
            while killpg(self.group, None).is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(BURIAL_LIMIT, gone).await;
        remove(self.cgroup.take()).await;
        Death { status, stderr: self.tail.text() }
    }
}

/// What is known of an interpreter that ended before it was a worker: its last words.
fn ended_early(program: &str, death: &Death) -> String {
    let how = match (death.signal(), death.status.and_then(|status| status.code())) {
        (Some(signal), _) => format!("was killed by {signal}"),
        (None, Some(127)) => "was not found".to_owned(),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    };
    let last = |text: &String| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
    let words = death.stderr.as_ref().and_then(last).map(|line| format!(": {line}")).unwrap_or_default();
    format!("{program} {how} before it had imported QCEngine{words}")
}

/// Removes a control group; that may take a moment.
async fn remove(cgroup: Option<Arc<Cgroup>>) {
    if let Some(cgroup) = cgroup {
        let _ = spawn_blocking(move || drop(cgroup)).await;
    }
}
