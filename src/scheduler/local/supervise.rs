//! The supervisor of one submission: starts its elements as cores come free, and ends when all of them have ended.
//!
//! What it knows is in its memory. A state directory that is full or does not answer is tried again and again: jobs run on
//! meanwhile, and what became of them is written down once there is room.

use std::io;
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
    let status = Status { supervisor, elements };
    // Whoever submits waits for this first word; without it nothing has been started.
    state.put_status(id, &status)?;
    Desk { state, entry, status, in_queue: true, unwritten: false, given_back: Vec::new() }.run();
    Ok(())
}

struct Desk<'s> {
    state: &'s LocalState,
    entry: Entry,
    status: Status,
    /// Whether it stands in the queue for cores.
    in_queue: bool,
    /// Whether the status has changed since it was last written.
    unwritten: bool,
    /// Elements whose cores are still to be given back.
    given_back: Vec<u32>,
}

/// Whether a step changed anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Started,
    Nothing,
}

impl Desk<'_> {
    fn run(&mut self) {
        let (teller, told) = mpsc::channel::<Told>();
        let mut wait = FIRST_WAIT;
        while !self.is_over() {
            self.drop_cancelled();
            match self.start_next(&teller) {
                Step::Started => wait = FIRST_WAIT,
                Step::Nothing => match told.recv_timeout(wait) {
                    Ok(news) => {
                        self.note(news);
                        wait = FIRST_WAIT;
                    }
                    Err(_) => wait = (wait * 2).min(LONGEST_WAIT),
                },
            }
            while let Ok(news) = told.try_recv() {
                self.note(news);
            }
            self.write();
        }
        self.say_the_last_word();
        // Entries of a supervisor that is gone do not count: nothing is lost if this fails.
        let _ = slots::leave(self.state, &self.entry);
    }

    fn is_over(&self) -> bool {
        self.status.elements.iter().all(|element| element.phase.is_ended())
    }

    /// Writes how everything ended, however long that takes. Only a submission that was removed is not written for.
    fn say_the_last_word(&mut self) {
        self.write();
        while (self.unwritten || !self.given_back.is_empty()) && self.state.job(self.entry.id).exists() {
            thread::sleep(LONGEST_WAIT);
            self.write();
        }
    }

    /// Starts the next waiting element if it may.
    fn start_next(&mut self, teller: &mpsc::Sender<Told>) -> Step {
        let held = self.state.hold_mark(self.entry.id).exists();
        let waits = if held { Phase::Held } else { Phase::Queued };
        for element in self.status.elements.iter_mut() {
            if matches!(element.phase, Phase::Queued | Phase::Held) && element.phase != waits {
                element.phase = waits;
                self.unwritten = true;
            }
        }
        let next = self.status.elements.iter().position(|element| element.phase == Phase::Queued);
        let Some(index) = next.and_then(|index| u32::try_from(index).ok()) else {
            // Nothing of it waits for cores: younger submissions must not stand behind it.
            if self.in_queue {
                self.in_queue = slots::leave(self.state, &self.entry).is_err();
            }
            return Step::Nothing;
        };
        // Cores that cannot be noted as taken are not taken: it waits.
        match slots::take(self.state, &self.entry, index, self.status.supervisor) {
            Ok(Grant::Given) => {}
            Ok(Grant::Wait) | Err(_) => {
                self.in_queue = true;
                return Step::Nothing;
            }
        }
        self.status.elements[index as usize] =
            Element { phase: Phase::Running, started_on: Some(now()), ..Element::default() };
        self.unwritten = true;
        let (state, entry, teller) = (self.state.clone(), self.entry.clone(), teller.clone());
        thread::spawn(move || element::run(&state, &entry, index, &teller));
        Step::Started
    }

    fn drop_cancelled(&mut self) {
        for (index, element) in (0..).zip(self.status.elements.iter_mut()) {
            let waits = matches!(element.phase, Phase::Queued | Phase::Held);
            if waits && self.state.cancel_mark(self.entry.id, index).exists() {
                *element = Element { phase: Phase::Cancelled, ended_on: Some(now()), ..Element::default() };
                self.unwritten = true;
            }
        }
    }

    fn note(&mut self, (index, element): Told) {
        if element.phase.is_ended() {
            self.given_back.push(index);
        }
        if let Some(place) = self.status.elements.get_mut(index as usize) {
            *place = element;
        }
        self.unwritten = true;
    }

    /// Writes what has changed and gives back what is free; what fails is tried again with the next step.
    fn write(&mut self) {
        if self.unwritten {
            self.unwritten = self.put_status().is_err();
        }
        let (state, entry) = (self.state, &self.entry);
        self.given_back.retain(|index| slots::give_back(state, entry, *index).is_err());
    }

    /// Writes the status. On a full disk the room that was kept for it since the submission is used.
    fn put_status(&self) -> Result<(), LocalError> {
        match self.state.put_status(self.entry.id, &self.status) {
            Err(LocalError::State { source, .. }) if is_full(&source) => {
                self.state.free_reserve(self.entry.id);
                self.state.put_status(self.entry.id, &self.status)
            }
            outcome => outcome,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
