//! Asks a submission's supervisor to cancel, hold or release elements: a line in a file, then a signal.

use std::io::Write;

use nix::sys::signal::Signal;

use super::entry::{self, EntryFiles};
use super::process::{self, Life};
use super::state::{State, open_private};
use super::{LocalError, reap};

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    Cancel,
    Hold,
    Release,
}

impl Request {
    const ALL: [Request; 3] = [Request::Cancel, Request::Hold, Request::Release];

    const fn as_str(self) -> &'static str {
        match self {
            Request::Cancel => "cancel",
            Request::Hold => "hold",
            Request::Release => "release",
        }
    }

    /// Reads a line of the request file: what, and for which element (all where `None`).
    pub fn parse(line: &str) -> Option<(Request, Option<u32>)> {
        let (word, index) = line.split_once(' ')?;
        let request = Request::ALL.into_iter().find(|request| request.as_str() == word)?;
        if index == "all" { Some((request, None)) } else { Some((request, Some(index.parse().ok()?))) }
    }
}

/// Asks for `ids`. Jobs that are over or unknown are no error: the next listing tells.
pub(super) fn ask(state: &State, request: Request, ids: &[String]) -> Result<(), LocalError> {
    let wanted: Vec<(u64, Option<u32>)> = ids.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?;
    let lock = state.lock()?;
    reap::reap(state);
    drop(lock);
    for entry in entry::all(state) {
        let files = EntryFiles::of(state, &entry.tag);
        let lines: String = wanted
            .iter()
            .filter(|(id, _)| *id == entry.id)
            .map(|(_, index)| match index {
                Some(index) => format!("{} {index}\n", request.as_str()),
                None => format!("{} all\n", request.as_str()),
            })
            .collect();
        if lines.is_empty() || files.ended_at().is_some() {
            continue;
        }
        let path = files.requests();
        open_private(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(LocalError::state("write", &path))?;
        if let Some(supervisor) = files.read_supervisor().filter(|one| one.life() == Life::Alive) {
            process::signal(supervisor.pid, Signal::SIGUSR1);
        }
    }
    Ok(())
}

fn parse_id(text: &str) -> Result<(u64, Option<u32>), LocalError> {
    let parsed = match text.split_once('_') {
        Some((id, index)) => id.parse().ok().zip(index.parse().ok()).map(|(id, index)| (id, Some(index))),
        None => text.parse().ok().map(|id| (id, None)),
    };
    parsed.ok_or_else(|| LocalError::NotAnId { id: text.to_owned() })
}
