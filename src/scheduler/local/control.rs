//! Cancel, hold, release: marks that the supervisor sees. Unknown and ended ids are no error, as everywhere.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::LocalError;
use super::state::{LocalState, failed};

/// Marks jobs to be ended: `12` means all of its elements, `12_3` one.
pub fn cancel(state: &LocalState, ids: &[String]) -> Result<(), LocalError> {
    for text in ids {
        let Some((id, index)) = parse(text) else { continue };
        let Some(entry) = state.entry(id)? else { continue };
        let indices = index.map_or(0..entry.array_size, |index| index..index.saturating_add(1));
        for index in indices {
            put(&state.cancel_mark(id, index))?;
        }
    }
    Ok(())
}

/// Keeps submissions that have not started from starting.
pub fn hold(state: &LocalState, ids: &[String]) -> Result<(), LocalError> {
    for (id, _) in ids.iter().filter_map(|text| parse(text)) {
        if state.entry(id)?.is_some() {
            put(&state.hold_mark(id))?;
        }
    }
    Ok(())
}

/// Lets held submissions go on.
pub fn release(state: &LocalState, ids: &[String]) -> Result<(), LocalError> {
    for (id, _) in ids.iter().filter_map(|text| parse(text)) {
        let mark = state.hold_mark(id);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &mark)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn put(mark: &Path) -> Result<(), LocalError> {
    File::create(mark).map(drop).map_err(failed("create", mark))
}

fn parse(text: &str) -> Option<(u64, Option<u32>)> {
    match text.split_once('_') {
        Some((id, index)) => Some((id.parse().ok()?, Some(index.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}
