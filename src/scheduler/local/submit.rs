//! Takes a job: writes what was asked, starts its supervisor, and gives an id once the supervisor is at work.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::SubmitArguments;
use super::entry::{Entry, EntryFiles, now};
use super::state::{State, open_private};
use super::{LocalError, reap};

/// Most elements of one array.
pub(super) const ARRAY_SIZE_MAX: u32 = 10_000;

/// How long a supervisor may take to come up.
const SUPERVISOR_START_MAX: Duration = Duration::from_secs(20);

/// Takes the job of `arguments` and returns its id.
pub(super) fn submit(
    state: &State,
    arguments: &SubmitArguments,
    program: &[String],
) -> Result<u64, LocalError> {
    if arguments.cores > arguments.cores_total {
        return Err(LocalError::TooManyCores { asked: arguments.cores, total: arguments.cores_total });
    }
    if !(1..=ARRAY_SIZE_MAX).contains(&arguments.array_size) {
        return Err(LocalError::ArraySize { size: arguments.array_size, most: ARRAY_SIZE_MAX });
    }
    if !arguments.script.is_file() {
        return Err(LocalError::NoScript { path: arguments.script.clone() });
    }
    let _lock = state.lock()?;
    reap::sweep(state);
    let files = claim(state, arguments)?;
    let entry = Entry {
        id: state.next_id()?,
        tag: arguments.tag.clone(),
        array_size: arguments.array_size,
        cores: arguments.cores.max(1),
        cores_total: arguments.cores_total,
        walltime_seconds: arguments.walltime,
        warning_seconds: arguments.warning,
        directory: arguments.directory.clone(),
        script: arguments.script.clone(),
        log: arguments.log.clone(),
        submitted: now(),
    };
    files.write(&files.entry(), &entry)?;
    start_supervisor(state, &files, &entry, program)?;
    Ok(entry.id)
}

/// Makes the submission's directory. One that is there without an entry was left by a submit that died before it had
/// started anything: it is taken over, with the lock held.
fn claim(state: &State, arguments: &SubmitArguments) -> Result<EntryFiles, LocalError> {
    let files = EntryFiles::of(state, &arguments.tag);
    match DirBuilder::new().mode(0o700).create(&files.0) {
        Ok(()) => Ok(files),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => match files.read_entry() {
            Some(entry) => Err(LocalError::Taken { tag: entry.tag.to_string(), id: entry.id }),
            None => Ok(files),
        },
        Err(error) => Err(LocalError::state("create", &files.0)(error)),
    }
}

fn start_supervisor(
    state: &State,
    files: &EntryFiles,
    entry: &Entry,
    program: &[String],
) -> Result<(), LocalError> {
    let mut child = spawn(state, files, entry, program)?;
    let began = Instant::now();
    loop {
        if files.read_supervisor().is_some() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            // It died before it had started anything: the tag is free again.
            let _ = std::fs::remove_dir_all(&files.0);
            return Err(LocalError::Supervisor { why: format!("it ended at once ({status})") });
        }
        if began.elapsed() > SUPERVISOR_START_MAX {
            // The entry stays: the supervisor may come up yet. `reap` settles it otherwise.
            return Err(LocalError::Supervisor { why: "it does not answer".to_owned() });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts the supervisor with nothing of ours: no pipe, no terminal, no directory; it makes a session of its own.
fn spawn(state: &State, files: &EntryFiles, entry: &Entry, program: &[String]) -> Result<Child, LocalError> {
    let Some((first, rest)) = program.split_first() else {
        return Err(LocalError::Supervisor { why: "there is no program to start".to_owned() });
    };
    let log = files.supervisor_log();
    let output = open_private(&log).map_err(LocalError::state("open", &log))?;
    Command::new(first)
        .args(rest)
        .arg("supervise")
        .arg("--state")
        .arg(state.root())
        .args(["--tag", entry.tag.as_str()])
        .current_dir("/")
        .env_remove("TZ")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|error| LocalError::Supervisor { why: format!("{first}: {error}") })
}
