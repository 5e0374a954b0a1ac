//! Lists submissions and looks tags up. Submissions whose supervisor died are settled here: their scripts are killed,
//! and they are shown as node failures.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::entry::{Element, Entry, Phase, Status};
use super::state::LocalState;
use super::{FINISHED_KEPT_SECONDS, LocalError};
use crate::model::ids::Tag;

/// A submission without a status is starting up for so long; then its supervisor counts as dead.
const STARTING_SECONDS: i64 = 60;

/// Seconds since the epoch.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed())
}

/// The lines of a listing: every element of the submissions `ids`, or of all where none are given.
pub fn list(state: &LocalState, ids: &[u64]) -> Result<Vec<String>, LocalError> {
    let ids = if ids.is_empty() { state.ids()? } else { ids.to_vec() };
    let mut lines = Vec::new();
    for id in ids {
        let Some(entry) = state.entry(id)? else { continue };
        let elements = settled(state, &entry)?;
        lines.extend((0..).zip(&elements).map(|(index, element)| element.line(&entry.element_id(index))));
    }
    Ok(lines)
}

/// `id|submitted` of the submission that carries `tag`.
pub fn find(state: &LocalState, tag: &Tag) -> Result<Option<String>, LocalError> {
    let Some(id) = state.id_of(tag)? else { return Ok(None) };
    let submitted_on = state.entry(id)?.map_or(0, |entry| entry.submitted_on);
    Ok(Some(format!("{id}|{submitted_on}")))
}

/// The elements as they are: with a dead supervisor nothing runs or waits any more.
fn settled(state: &LocalState, entry: &Entry) -> Result<Vec<Element>, LocalError> {
    let Some(mut status) = state.status(entry.id)? else {
        let starting = now() - entry.submitted_on < STARTING_SECONDS;
        let phase = if starting { Phase::Queued } else { Phase::NodeFailure };
        return Ok(vec![Element { phase, ..Element::default() }; entry.array_size as usize]);
    };
    let over = status.elements.iter().all(|element| element.phase.is_ended());
    if !over && status.supervisor.is_surely_gone() {
        bury(&mut status);
        // What cannot be written now is found again by the next listing.
        let _ = state.put_status(entry.id, &status);
    }
    Ok(status.elements)
}

fn bury(status: &mut Status) {
    for element in status.elements.iter_mut().filter(|element| !element.phase.is_ended()) {
        if let Some(process) = element.process.filter(|process| !process.is_surely_gone()) {
            // The script leads its own group. An error means that it has just ended by itself.
            let _ = killpg(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        element.phase = Phase::NodeFailure;
        element.ended_on = Some(now());
    }
}

/// Forgets submissions that ended long enough ago. Under the lock.
pub(super) fn sweep(state: &LocalState) -> Result<(), LocalError> {
    for id in state.ids()? {
        let (Some(entry), Some(status)) = (state.entry(id)?, state.status(id)?) else { continue };
        let ended =
            status.elements.iter().map(|element| element.ended_on.filter(|_| element.phase.is_ended()));
        let last: Option<i64> = ended.collect::<Option<Vec<i64>>>().and_then(|times| times.into_iter().max());
        if last.is_some_and(|time| now() - time > FINISHED_KEPT_SECONDS.cast_signed()) {
            state.remove(&entry)?;
        }
    }
    Ok(())
}
