//! Which cores and how much memory of this machine are taken. One file under the lock; entries of dead supervisors do not
//! count.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use serde::{Deserialize, Serialize};

use super::LocalError;
use super::entry::Entry;
use super::list::now;
use super::state::{LocalState, read_json, write_json};
use crate::process::ProcessMark;

/// A submission that has waited so long for cores and memory is not overtaken any more.
const OVERTAKEN_SECONDS: i64 = 600;

/// `slots.json`.
#[derive(Default, Serialize, Deserialize)]
struct Slots {
    /// What running elements use, by element id.
    taken: BTreeMap<String, Taken>,
    /// Submissions that wait, by number.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Serialize, Deserialize)]
struct Taken {
    #[serde(flatten)]
    use_: Use,
    supervisor: ProcessMark,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    #[serde(flatten)]
    supervisor: ProcessMark,
    /// What one of its elements uses.
    #[serde(flatten)]
    use_: Use,
    /// Since when it waits, seconds since the epoch.
    #[serde(default)]
    since: i64,
}

/// Cores and memory, used or there.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Use {
    #[serde(default)]
    pub(super) cores: u32,
    #[serde(default)]
    pub(super) memory_bytes: u64,
}

impl Use {
    fn plus(self, other: Use) -> Use {
        Use {
            cores: self.cores.saturating_add(other.cores),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    /// Whether it may start beside what is `taken`. Alone, a job may use whatever it asked for.
    fn fits(self, taken: Use, machine: Use) -> bool {
        let all = self.plus(taken);
        taken == Use::default() || (all.cores <= machine.cores && all.memory_bytes <= machine.memory_bytes)
    }
}

/// A submission that has waited longer than the one that asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Older {
    use_: Use,
    waited_seconds: i64,
}

/// Whether an element may start. One that waits for much does not keep cores idle that it cannot use yet; after a while
/// nobody overtakes it any more.
fn may_start(asked: Use, taken: Use, machine: Use, older: &[Older]) -> bool {
    let goes_first =
        |older: &Older| older.use_.fits(taken, machine) || older.waited_seconds >= OVERTAKEN_SECONDS;
    asked.fits(taken, machine) && !older.iter().any(goes_first)
}

impl Slots {
    fn read(state: &LocalState) -> Result<Slots, LocalError> {
        let mut slots: Slots = read_json(&state.slots())?.unwrap_or_default();
        slots.taken.retain(|_, taken| !taken.supervisor.is_surely_gone());
        slots.waiting.retain(|_, waiting| !waiting.supervisor.is_surely_gone());
        Ok(slots)
    }
}

/// Takes the cores and memory of one element if they are free and no older submission goes first.
pub fn take(
    state: &LocalState,
    entry: &Entry,
    index: u32,
    supervisor: ProcessMark,
) -> Result<Grant, LocalError> {
    let _lock = state.lock()?;
    let mut slots = Slots::read(state)?;
    let taken = slots.taken.values().fold(Use::default(), |sum, taken| sum.plus(taken.use_));
    let now = now();
    let older: Vec<Older> = slots
        .waiting
        .range(..entry.id)
        .map(|(_, waiting)| Older { use_: waiting.use_, waited_seconds: now.saturating_sub(waiting.since) })
        .collect();
    let use_ = entry.use_of_element();
    let grant = if may_start(use_, taken, entry.machine(), &older) {
        slots.taken.insert(entry.element_id(index), Taken { use_, supervisor });
        slots.waiting.remove(&entry.id);
        Grant::Given
    } else if let Place::Vacant(place) = slots.waiting.entry(entry.id) {
        place.insert(Waiting { supervisor, use_, since: now });
        Grant::Wait
    } else {
        // It stands in the queue already: nothing to write.
        return Ok(Grant::Wait);
    };
    write_json(&state.slots(), &slots)?;
    Ok(grant)
}

/// Gives back what one element used.
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
    if slots.waiting.remove(&entry.id).is_none() {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn use_of(cores: u32, gib: u64) -> Use {
        Use { cores, memory_bytes: gib * GIB }
    }

    #[test]
    fn memory_counts_as_cores_do_and_idle_cores_are_not_kept_for_who_cannot_use_them() {
        let machine = use_of(2, 23);
        let waits = |use_, waited_seconds| Older { use_, waited_seconds };
        let cases = [
            ("an idle machine", use_of(1, 2), use_of(0, 0), vec![], true),
            ("two large ones do not run together", use_of(1, 20), use_of(1, 20), vec![], false),
            ("a small one runs beside a large one", use_of(1, 2), use_of(1, 20), vec![], true),
            ("all cores are taken", use_of(1, 2), use_of(2, 4), vec![], false),
            ("larger than the machine, alone", use_of(1, 30), use_of(0, 0), vec![], true),
            ("larger than the machine, beside another", use_of(1, 30), use_of(1, 1), vec![], false),
            (
                "past one that waits for memory",
                use_of(1, 2),
                use_of(1, 20),
                vec![waits(use_of(1, 20), 30)],
                true,
            ),
            (
                "not past one that could start now",
                use_of(1, 2),
                use_of(1, 2),
                vec![waits(use_of(1, 2), 1)],
                false,
            ),
            (
                "not past one that has waited for long",
                use_of(1, 2),
                use_of(1, 20),
                vec![waits(use_of(1, 20), 700)],
                false,
            ),
        ];
        for (name, asked, taken, older, expected) in cases {
            assert_eq!(may_start(asked, taken, machine, &older), expected, "{name}");
        }
    }

    #[test]
    fn what_an_older_version_wrote_is_read() {
        let text = r#"{"taken": {"1": {"cores": 2, "supervisor": {"pid": 1, "started": 2}}},
            "waiting": {"3": {"pid": 4, "started": 5}}}"#;
        let slots: Slots = serde_json::from_str(text).unwrap();
        assert_eq!(slots.taken["1"].use_, use_of(2, 0));
        assert_eq!(slots.waiting[&3].supervisor, ProcessMark { pid: 4, started: 5 });
    }
}
