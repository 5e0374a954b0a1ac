//! Takes in files that are renamed into the inbox, and answers beside them.
//!
//! `notify` is only a hint: it sees nothing that another host wrote. The periodic scan is the rule. A daemon that dies
//! between storing and answering finds the same records again at the next scan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde::Serialize;
use tokio::sync::Notify;

use super::site::Site;
use super::troubles::chain;
use crate::api::local::intake::{IntakeProblem, take_in_file};
use crate::failpoint::{self, FailPoint};
use crate::permit::{Guard, Permit};
use crate::spool::atomic;

/// Takes files in until shutdown.
pub async fn run(site: Arc<Site>) {
    let inbox = site.config.inbox.path.clone();
    let bell = Arc::new(Notify::new());
    let _watcher = watch(&inbox, bell.clone());
    loop {
        match scan(&site, &inbox).await {
            Ok(()) => site.troubles.clear("inbox"),
            Err(error) => site.troubles.note("inbox", chain(error.as_ref())),
        }
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = bell.notified() => {}
            () = tokio::time::sleep(site.config.inbox.scan_interval) => {}
        }
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

/// Takes in every complete file. One that cannot be read or answered is left for the next scan and keeps no other
/// waiting; a database that is away ends the scan.
async fn scan(site: &Site, inbox: &Path) -> Result<(), ScanError> {
    let mut outcome = Ok(());
    for file in complete_files(inbox)? {
        match take_in_file(&site.writer, &site.config, &file).await {
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

/// Into `rejected/`, the reason beside it.
fn move_away(
    inbox: &Path,
    file: &Path,
    reason: &serde_json::Value,
    permit: &Permit,
) -> Result<(), ScanError> {
    let rejected = inbox.join("rejected");
    atomic::create_directory(&rejected)?;
    let target = rejected.join(file.file_name().unwrap_or_default());
    permit.check()?;
    atomic::write_json(&beside(&target, "reason.json"), reason)?;
    permit.check()?;
    Ok(std::fs::rename(file, &target)?)
}

/// Files that were renamed in, oldest name first: inputs by their ending, our own answers left out.
fn complete_files(inbox: &Path) -> std::io::Result<Vec<PathBuf>> {
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

/// `NAME.json` → `NAME.<ending>`.
fn beside(file: &Path, ending: &str) -> PathBuf {
    file.with_extension(ending)
}

#[cfg(test)]
mod tests;
