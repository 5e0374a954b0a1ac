//! Settles submissions whose supervisor died, and removes old ones. Call it with the state's lock held.
//!
//! What still runs of such a submission is killed, not adopted: nobody would warn or end it at its walltime, its cores
//! are free in the eyes of the others, and its exit code cannot be had. Its tasks come back like those of a lost node.

use std::time::Duration;

use super::LocalError;
use super::entry::{self, Entry, EntryFiles, now};
use super::journal::{How, Journal, Phase, phases};
use super::process::{self, Life};
use super::state::{State, write_whole};

/// How long after its submission a job without a supervisor is left alone: the supervisor may be about to come up.
const SUPERVISOR_MISSING_MAX_SECONDS: i64 = 60;

/// How long ended submissions are kept.
const KEPT_AFTER_END: Duration = Duration::from_secs(24 * 3600);

/// Settles every submission whose supervisor died. One that cannot be settled now is tried again next time.
pub(super) fn reap(state: &State) {
    for entry in entry::all(state) {
        let files = EntryFiles::of(state, &entry.tag);
        if files.ended_at().is_some() {
            continue;
        }
        let life = match files.read_supervisor() {
            Some(supervisor) => supervisor.life(),
            None if now() - entry.submitted > SUPERVISOR_MISSING_MAX_SECONDS => Life::Dead,
            None => Life::Alive,
        };
        // A supervisor that has just ended in good order has written that first.
        if matches!(life, Life::Dead | Life::DeadWithItsBoot)
            && files.ended_at().is_none()
            && let Err(error) = settle(&files, &entry, life)
        {
            tracing::warn!(tag = %entry.tag, error = %error, "cannot settle a job whose supervisor died");
        }
    }
}

fn settle(files: &EntryFiles, entry: &Entry, life: Life) -> Result<(), LocalError> {
    let reason = match life {
        Life::DeadWithItsBoot => "the machine was started anew",
        _ => "its supervisor died",
    };
    let mut journal = Journal::open(&files.journal())?;
    for (index, phase) in (0..).zip(phases(&files.journal(), entry.array_size)) {
        if let Phase::Running { pid, start_ticks, .. } = phase
            && life == Life::Dead
        {
            // A reused pid leads no session of the job; what the job started carries its mark.
            let leader = if process::start_ticks(pid) == Some(start_ticks) { pid } else { -1 };
            process::kill_job(leader, &entry.mark(index));
        }
        if !matches!(phase, Phase::Ended { .. }) {
            journal.append_end(index, How::NodeFailure, reason)?;
        }
    }
    write_whole(&files.ended(), b"")
}

/// Removes submissions that ended long ago.
pub(super) fn sweep(state: &State) {
    for entry in entry::all(state) {
        let files = EntryFiles::of(state, &entry.tag);
        let age = files.ended_at().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > KEPT_AFTER_END)
            && let Err(error) = std::fs::remove_dir_all(&files.0)
        {
            tracing::warn!(tag = %entry.tag, error = %error, "cannot remove an old job");
        }
    }
}
