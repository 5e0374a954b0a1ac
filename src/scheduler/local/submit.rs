//! Takes a submission: writes it down under its tag, starts its supervisor, and answers once that stands on its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::entry::Entry;
use super::list::sweep;
use super::state::LocalState;
use super::{ARRAY_SIZE_MAX, LocalError};
use crate::failpoint::{self, FailPoint};

/// A supervisor needs milliseconds; a machine out of processes needs longer.
const SUPERVISOR_COMES_UP: Duration = Duration::from_secs(20);

/// Submits `entry` (its `id` is set here) and returns the id. `supervisor` is the command that becomes the supervisor
/// when the id is added.
pub fn submit(state: &LocalState, mut entry: Entry, supervisor: &[String]) -> Result<u64, LocalError> {
    if entry.cores > entry.cores_total {
        return Err(LocalError::TooManyCores { asked: entry.cores, total: entry.cores_total });
    }
    if entry.array_size > ARRAY_SIZE_MAX {
        return Err(LocalError::ArrayTooLarge { size: entry.array_size });
    }
    if !entry.script.is_file() {
        return Err(LocalError::NoScript { path: entry.script });
    }
    let lock = state.lock()?;
    if let Some(id) = state.id_of(&entry.tag)? {
        return Err(LocalError::TagTaken { tag: entry.tag, id });
    }
    entry.id = state.next_id()?;
    state.put_entry(&entry)?;
    if let Err(error) = state.put_reserve(entry.id, entry.array_size) {
        // Without a tag nobody would ever ask for it.
        state.remove(&entry)?;
        return Err(error);
    }
    state.set_id_of(&entry.tag, entry.id)?;
    sweep(state)?;
    drop(lock);
    failpoint::hit(FailPoint::LocalSubmitted);
    start_supervisor(state, entry.id, supervisor)?;
    Ok(entry.id)
}

fn start_supervisor(state: &LocalState, id: u64, command: &[String]) -> Result<(), LocalError> {
    let (program, arguments) = command.split_first().ok_or(LocalError::NoSupervisor { id })?;
    let mut child = Command::new(program)
        .args(arguments)
        .arg(id.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(super::state::failed("start", Path::new(program)))?;
    // Whoever called us may end our process group the moment we are gone: the supervisor must have left it.
    let deadline = Instant::now() + SUPERVISOR_COMES_UP;
    while state.status(id)?.is_none() {
        let gone = child.try_wait().ok().flatten().is_some();
        if gone || Instant::now() > deadline {
            return Err(LocalError::NoSupervisor { id });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
