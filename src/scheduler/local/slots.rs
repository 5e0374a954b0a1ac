//! Which cores of this machine are taken. One file under the lock; entries of dead supervisors do not count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LocalError;
use super::entry::Entry;
use super::state::{LocalState, read_json, write_json};
use crate::process::ProcessMark;

/// `slots.json`.
#[derive(Default, Serialize, Deserialize)]
struct Slots {
    /// Cores of running elements, by element id.
    taken: BTreeMap<String, Taken>,
    /// Submissions that wait, by number: the oldest goes first.
    waiting: BTreeMap<u64, ProcessMark>,
}

#[derive(Serialize, Deserialize)]
struct Taken {
    cores: u32,
    supervisor: ProcessMark,
}

impl Slots {
    fn read(state: &LocalState) -> Result<Slots, LocalError> {
        let mut slots: Slots = read_json(&state.slots())?.unwrap_or_default();
        slots.taken.retain(|_, taken| !taken.supervisor.is_surely_gone());
        slots.waiting.retain(|_, supervisor| !supervisor.is_surely_gone());
        Ok(slots)
    }
}

/// Takes the cores of one element if they are free and no older submission waits.
pub fn take(
    state: &LocalState,
    entry: &Entry,
    index: u32,
    supervisor: ProcessMark,
) -> Result<Grant, LocalError> {
    let _lock = state.lock()?;
    let mut slots = Slots::read(state)?;
    let taken: u32 = slots.taken.values().map(|taken| taken.cores).sum();
    let first = slots.waiting.keys().next().is_none_or(|oldest| *oldest >= entry.id);
    let grant = if first && taken + entry.cores <= entry.cores_total {
        slots.taken.insert(entry.element_id(index), Taken { cores: entry.cores, supervisor });
        slots.waiting.remove(&entry.id);
        Grant::Given
    } else if slots.waiting.insert(entry.id, supervisor).is_some() {
        // It stands in the queue already: nothing to write.
        return Ok(Grant::Wait);
    } else {
        Grant::Wait
    };
    write_json(&state.slots(), &slots)?;
    Ok(grant)
}

/// Gives the cores of one element back.
pub fn give_back(state: &LocalState, entry: &Entry, index: u32) -> Result<(), LocalError> {
    let _lock = state.lock()?;
    let mut slots = Slots::read(state)?;
    slots.taken.remove(&entry.element_id(index));
    write_json(&state.slots(), &slots)
}

/// Leaves the queue: held, cancelled, or nothing left to start.
pub fn leave(state: &LocalState, entry: &Entry) -> Result<(), LocalError> {
    let _lock = state.lock()?;
    let mut slots = Slots::read(state)?;
    slots.waiting.remove(&entry.id);
    write_json(&state.slots(), &slots)
}

/// The answer to asking for cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    /// They are yours.
    Given,
    /// Not now.
    Wait,
}
