//! The supervisor of one submission: starts its elements as cores come free, and ends when all of them have ended.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::LocalError;
use super::element::{self, Told};
use super::entry::{Element, Entry, Phase, Status};
use super::list::now;
use super::slots::{self, Grant};
use super::state::{LocalState, failed};
use crate::process::ProcessMark;

/// Between two tries to get cores: short at first, so that a free machine starts at once, long in a queue.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Becomes the supervisor of submission `id`; returns when all is over.
pub fn supervise(state: &LocalState, id: u64) -> Result<(), LocalError> {
    // Out of the session and process group of whoever submitted. An error means that we lead them already.
    let _ = nix::unistd::setsid();
    let Some(entry) = state.entry(id)? else { return Ok(()) };
    let supervisor = ProcessMark::of_this().map_err(failed("read", "/proc/self/stat".as_ref()))?;
    let elements = vec![Element::default(); entry.array_size as usize];
    let mut desk = Desk { state, entry, status: Status { supervisor, elements }, in_queue: true };
    desk.write()?;
    desk.run()
}

struct Desk<'s> {
    state: &'s LocalState,
    entry: Entry,
    status: Status,
    /// Whether it stands in the queue for cores.
    in_queue: bool,
}

impl Desk<'_> {
    fn run(&mut self) -> Result<(), LocalError> {
        let (teller, told) = mpsc::channel::<Told>();
        let mut wait = FIRST_WAIT;
        while self.status.elements.iter().any(|element| !element.phase.is_ended()) {
            self.drop_cancelled()?;
            match self.start_next(&teller)? {
                true => wait = FIRST_WAIT,
                false => match told.recv_timeout(wait) {
                    Ok(news) => {
                        self.note(news)?;
                        wait = FIRST_WAIT;
                    }
                    Err(_) => wait = (wait * 2).min(LONGEST_WAIT),
                },
            }
            while let Ok(news) = told.try_recv() {
                self.note(news)?;
            }
        }
        slots::leave(self.state, &self.entry)
    }

    /// Starts the next waiting element if it may; says whether it did.
    fn start_next(&mut self, teller: &mpsc::Sender<Told>) -> Result<bool, LocalError> {
        let held = self.state.hold_mark(self.entry.id).exists();
        let waits = if held { Phase::Held } else { Phase::Queued };
        let mut turned = false;
        for element in self.status.elements.iter_mut() {
            if matches!(element.phase, Phase::Queued | Phase::Held) && element.phase != waits {
                element.phase = waits;
                turned = true;
            }
        }
        if turned {
            self.write()?;
        }
        let next = self.status.elements.iter().position(|element| element.phase == Phase::Queued);
        let Some(index) = next.and_then(|index| u32::try_from(index).ok()) else {
            // Nothing of it waits for cores: younger submissions must not stand behind it.
            if self.in_queue {
                slots::leave(self.state, &self.entry)?;
                self.in_queue = false;
            }
            return Ok(false);
        };
        if slots::take(self.state, &self.entry, index, self.status.supervisor)? == Grant::Wait {
            self.in_queue = true;
            return Ok(false);
        }
        self.status.elements[index as usize] =
            Element { phase: Phase::Running, started_on: Some(now()), ..Element::default() };
        let (state, entry, teller) = (self.state.clone(), self.entry.clone(), teller.clone());
        thread::spawn(move || element::run(&state, &entry, index, &teller));
        Ok(true)
    }

    fn drop_cancelled(&mut self) -> Result<(), LocalError> {
        let mut changed = false;
        for (index, element) in (0..).zip(self.status.elements.iter_mut()) {
            let waits = matches!(element.phase, Phase::Queued | Phase::Held);
            if waits && self.state.cancel_mark(self.entry.id, index).exists() {
                *element = Element { phase: Phase::Cancelled, ended_on: Some(now()), ..Element::default() };
                changed = true;
            }
        }
        if changed { self.write() } else { Ok(()) }
    }

    fn note(&mut self, (index, element): Told) -> Result<(), LocalError> {
        let ended = element.phase.is_ended();
        if let Some(place) = self.status.elements.get_mut(index as usize) {
            *place = element;
        }
        self.write()?;
        if ended { slots::give_back(self.state, &self.entry, index) } else { Ok(()) }
    }

    fn write(&self) -> Result<(), LocalError> {
        self.state.put_status(self.entry.id, &self.status)
    }
}
