//! Prints what the executor can do, what it knows of a tag, and its jobs, in the lines that its adapter reads.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::entry::{self, Entry, EntryFiles};
use super::journal::{How, Phase, phases};
use super::state::State;
use super::supervise::KILL_WAIT;
use super::{LocalError, reap, submit};
use crate::model::ids::Tag;

/// How long ended jobs stay in listings without ids; with ids until they are swept.
const LISTED_AFTER_END: Duration = Duration::from_secs(3600);

/// `key=value` lines for the probe.
pub(super) fn abilities(cores: u32) -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!(
        "version={}\nhostname={host}\ncores={cores}\narray_size_max={}\nfinished_kept_seconds={}\nkill_wait_seconds={}\n",
        env!("CARGO_PKG_VERSION"),
        submit::ARRAY_SIZE_MAX,
        LISTED_AFTER_END.as_secs(),
        KILL_WAIT.as_secs(),
    )
}

/// `id|submitted` of the submission with `tag`.
pub(super) fn find(state: &State, tag: &Tag) -> Result<String, LocalError> {
    // A submit that is at work may be about to take the tag: wait for it.
    let _lock = state.lock()?;
    let entry = EntryFiles::of(state, tag).read_entry();
    Ok(entry.map(|entry| format!("{}|{}\n", entry.id, entry.submitted)).unwrap_or_default())
}

/// `id|STATE|code:signal|started|ended|reason` of each job.
pub(super) fn list(state: &State, ids: &[String]) -> Result<String, LocalError> {
    let lock = state.lock()?;
    reap::reap(state);
    drop(lock);
    let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let mut text = String::new();
    for entry in entry::all(state) {
        let files = EntryFiles::of(state, &entry.tag);
        let old = files.ended_at().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > LISTED_AFTER_END);
        if old && wanted.is_empty() {
            continue;
        }
        let whole = wanted.contains(entry.id.to_string().as_str());
        for (index, phase) in (0..).zip(phases(&files.journal(), entry.array_size)) {
            let id = entry.element_id(index);
            if wanted.is_empty() || whole || wanted.contains(id.as_str()) {
                line(&mut text, &entry, &id, &phase);
            }
        }
    }
    Ok(text)
}

fn line(text: &mut String, entry: &Entry, id: &str, phase: &Phase) {
    let time = |at: Option<i64>| at.map(|at| at.to_string()).unwrap_or_default();
    // Writing into a String cannot fail.
    let _ = match phase {
        Phase::Queued => writeln!(text, "{id}|QUEUED||||waits for {} cores", entry.cores),
        Phase::Held => writeln!(text, "{id}|HELD||||held by the user"),
        Phase::Running { since, .. } => writeln!(text, "{id}|RUNNING||{since}||"),
        Phase::Ended { began, at, how, code, signal, reason } => {
            let state = match how {
                How::Completed => "COMPLETED",
                How::Failed => "FAILED",
                How::Cancelled => "CANCELLED",
                How::Walltime => "WALLTIME",
                How::NodeFailure => "NODE_FAILURE",
            };
            let exit = match (code, signal) {
                (None, None) => String::new(),
                (code, signal) => format!("{}:{}", code.unwrap_or(0), signal.unwrap_or(0)),
            };
            writeln!(text, "{id}|{state}|{exit}|{}|{at}|{reason}", time(*began))
        }
    };
}
