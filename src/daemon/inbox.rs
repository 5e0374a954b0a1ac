//! Takes in files of the inbox once they have stopped changing, and answers beside them.
//!
//! `notify` is only a hint: it sees nothing that another host wrote. The periodic scan is the rule. A daemon that dies
//! between storing and answering finds the same records again at the next scan.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde::Serialize;
use tokio::sync::Notify;

use super::site::Site;
use super::troubles::chain;
use crate::api::local::intake::{IntakeProblem, take_in_file};
use crate::failpoint::{self, FailPoint};
use crate::permit::{Guard, Permit};
use crate::spool::atomic;

/// A file is taken in once it has not changed for this long: `cp` writes it piece by piece under its own name.
const SETTLING: Duration = Duration::from_secs(1);

/// Takes files in until shutdown.
pub async fn run(site: Arc<Site>) {
    let inbox = site.config.inbox.path.clone();
    let bell = Arc::new(Notify::new());
    let _watcher = watch(&inbox, bell.clone());
    let mut seen = Seen::default();
    loop {
        match scan(&site, &inbox, &mut seen).await {
            Ok(()) => site.troubles.clear("inbox"),
            Err(error) => site.troubles.note("inbox", chain(error.as_ref())),
        }
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            // Once more as soon as it may have settled, however much is rung for each piece that is written.
            () = bell.notified() => tokio::time::sleep(SETTLING / 4).await,
            () = tokio::time::sleep(seen.next_scan(site.config.inbox.scan_interval)) => {}
        }
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Signature {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Signature {
    /// The signature of a regular file; none of anything else, or where nothing is.
    fn of(path: &Path) -> Option<Signature> {
        let metadata = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        Some(Signature { inode: metadata.ino(), bytes: metadata.len(), changed })
    }
}

/// The files of the last scan that were not taken in, and since when they have not changed.
#[derive(Default, Debug)]
struct Seen(HashMap<PathBuf, (Signature, Instant)>);

impl Seen {
    /// Those of `files` that have settled by `now`; forgets the files that are gone.
    fn settled(&mut self, files: Vec<PathBuf>, now: Instant) -> Vec<(PathBuf, Signature)> {
        let mut before = std::mem::take(&mut self.0);
        let mut settled = Vec::new();
        for file in files {
            let Some(signature) = Signature::of(&file) else { continue };
            let known = before.remove(&file).filter(|(known, _)| *known == signature);
            let (_, since) = known.unwrap_or((signature, now));
            if now.duration_since(since) >= SETTLING {
                settled.push((file.clone(), signature));
            }
            self.0.insert(file, (signature, since));
        }
        settled
    }

    /// When to look again: soon where a file has not settled, else as configured.
    fn next_scan(&self, scan_interval: Duration) -> Duration {
        let unsettled = self.0.values().any(|(_, since)| since.elapsed() < SETTLING);
        if unsettled { scan_interval.min(SETTLING) } else { scan_interval }
    }
}

/// A watcher that rings `bell`; none where the file system has no such thing.
fn watch(inbox: &Path, bell: Arc<Notify>) -> Option<RecommendedWatcher> {
    let ring = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.kind.is_create() || event.kind.is_modify()) {
            bell.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(ring)
        .inspect_err(|error| tracing::info!(%error, "no file watching: the inbox is scanned only"))
        .ok()?;
    watcher.watch(inbox, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

/// What kept a file, or all of them, from being taken in.
type ScanError = Box<dyn std::error::Error + Send + Sync>;

/// Takes in every file that has settled. One that cannot be read or answered is left for the next scan and keeps no other
/// waiting, and so is one that changed meanwhile: its records are found again. A database that is away ends the scan.
async fn scan(site: &Site, inbox: &Path, seen: &mut Seen) -> Result<(), ScanError> {
    let mut outcome = Ok(());
    for (file, signature) in seen.settled(input_files(inbox)?, Instant::now()) {
        let taken = take_in_file(&site.writer, &site.config, &file).await;
        if Signature::of(&file) != Some(signature) {
            tracing::info!(file = %file.display(), "a file changed while it was read: it is read again");
            continue;
        }
        match taken {
            Err(problem @ IntakeProblem::Store(_)) => return Err(problem.into()),
            Err(problem @ IntakeProblem::Read(_)) => outcome = Err(problem.into()),
            Err(IntakeProblem::Refused { message, problems }) => {
                tracing::warn!(file = %file.display(), message, "refused a file");
                let reason = serde_json::json!({ "message": message, "problems": problems });
                outcome = move_away(inbox, &file, &reason, &site.lease.permit().await?).and(outcome);
            }
            Ok(receipt) => {
                tracing::info!(file = %file.display(), records = receipt.ids.len(), "took a file in");
                site.planner_bell.notify_one();
                outcome = answer(&file, &receipt, &site.lease.permit().await?).and(outcome);
            }
        }
    }
    outcome
}

/// The answer is there before the file is gone.
fn answer(file: &Path, receipt: &impl Serialize, permit: &Permit) -> Result<(), ScanError> {
    permit.check()?;
    atomic::write_json(&beside(file, "accepted.json"), receipt)?;
    failpoint::hit(FailPoint::InboxAnswered);
    permit.check()?;
    Ok(std::fs::remove_file(file)?)
}

/// Into `rejected/`, the reason beside it. What was refused before under the same name stays.
fn move_away(
    inbox: &Path,
    file: &Path,
    reason: &serde_json::Value,
    permit: &Permit,
) -> Result<(), ScanError> {
    let rejected = inbox.join("rejected");
    atomic::create_directory(&rejected)?;
    let target = free_name(&rejected, file.file_name().unwrap_or_default());
    permit.check()?;
    atomic::write_json(&beside(&target, "reason.json"), reason)?;
    permit.check()?;
    Ok(std::fs::rename(file, &target)?)
}

/// `name` in `directory`, or `name.2`, `name.3` … where that is taken. Nobody else writes there.
fn free_name(directory: &Path, name: &std::ffi::OsStr) -> PathBuf {
    let numbered = |number: u32| {
        let mut numbered = name.to_owned();
        numbered.push(format!(".{number}"));
        numbered
    };
    let names = std::iter::once(name.to_owned()).chain((2..).map(numbered));
    let mut paths = names.map(|name| directory.join(name));
    paths.find(|path| std::fs::symlink_metadata(path).is_err()).expect("numbers do not end before names do")
}

/// Inputs by their ending, in the order of their names; our own answers are left out.
fn input_files(inbox: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(inbox)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let input = name.ends_with(".json") || name.ends_with(".jsonl");
        let answer = name.ends_with(".accepted.json") || name.starts_with('.');
        if input && !answer && entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// `NAME` → `NAME.<ending>`, so that `a.json` and `a.jsonl` have answers of their own.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(format!(".{ending}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
