//! Fail-points: named places at every write that crosses a boundary (database, spool, scheduler), where tests kill, stop
//! or break the program. Without the feature `failpoints` they are nothing: releases do not contain them.
//!
//! `FAILPOINTS="submission-committed=return(kill)"` in the environment of a program that was built with the feature arms
//! one; the grammar is that of the `fail` crate (`5*off->return(kill)` for the sixth visit, `sleep(2000)`). What `return`
//! takes is listed at [`hit`] and [`refuse`].

use std::io;

macro_rules! fail_points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The places.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FailPoint {
            $($(#[$doc])* $variant,)*
        }

        impl FailPoint {
            /// Every one of them; a test visits each.
            pub const ALL: &[FailPoint] = &[$(FailPoint::$variant,)*];

            /// The name in `FAILPOINTS`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(FailPoint::$variant => $name,)*
                }
            }
        }
    };
}

fail_points! {
    /// The daemon has the lease and has done nothing with it.
    LeaseTaken = "lease-taken",
    /// Records of a request are committed; nobody was answered.
    RecordsStored = "records-stored",
    /// The answer to a file of the inbox is written; the file is still there.
    InboxAnswered = "inbox-answered",
    /// Rows of chunks are committed; there is no file.
    ChunksPlanned = "chunks-planned",
    /// Files of chunks are written where no job looks; their rows do not say so.
    ChunksWritten = "chunks-written",
    /// Rows of chunks say that their files are written; no job can see them.
    ChunksReady = "chunks-ready",
    /// Jobs can claim the chunks; the daemon has not noted it.
    ChunksPublished = "chunks-published",
    /// The row of a submission is committed; its files are not written.
    SubmissionPlanned = "submission-planned",
    /// The files of a submission are written; the row still says `planned`.
    SubmissionStaged = "submission-staged",
    /// The intent to submit is committed; the scheduler was not called.
    SubmissionCommitted = "submission-committed",
    /// A call of the scheduler that changes something is permitted; its client is not started.
    CallPermitted = "call-permitted",
    /// The scheduler has answered; the answer is not stored.
    SubmitAnswered = "submit-answered",
    /// The ids of accepted jobs are stored.
    SubmissionAccepted = "submission-accepted",
    /// A batch of results is committed.
    ResultsStored = "results-stored",
    /// The end of a job is committed; its files are still there.
    JobEndStored = "job-end-stored",
    /// The directory of a submission is about to be removed.
    SubmissionSwept = "submission-swept",
    /// A runner has claimed its job's ticket.
    TicketClaimed = "ticket-claimed",
    /// A runner has claimed a chunk and not read it.
    ChunkClaimed = "chunk-claimed",
    /// A runner is about to append results to its file (`return(enospc)` refuses).
    ResultsAppended = "results-appended",
    /// All reports of a chunk are safe; a runner is about to remove its file.
    ChunkFinished = "chunk-finished",
    /// A runner is about to write its end record.
    RunnerEnded = "runner-ended",
    /// The local scheduler has stored a submission; its supervisor is not started.
    LocalSubmitted = "local-submitted",
}

/// Visits a place. Armed with `return(kill)` the process dies as by SIGKILL; with `return(stop)` it stops as by SIGSTOP
/// until somebody continues it; with `return(kill-once:PATH)` or `return(stop-once:PATH)` only whoever creates PATH does.
#[cfg(feature = "failpoints")]
pub fn hit(point: FailPoint) {
    let _ = fail::eval(point.name(), |action| armed::act(point, action.as_deref()));
}

/// Visits a place.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn hit(_: FailPoint) {}

/// Visits a place where the system can refuse: as [`hit`], and armed with `return(enospc)` there is no space left.
#[cfg(feature = "failpoints")]
pub fn refuse(point: FailPoint) -> io::Result<()> {
    match fail::eval(point.name(), |action| match action.as_deref() {
        Some("enospc") => Err(io::Error::from_raw_os_error(nix::libc::ENOSPC)),
        action => {
            armed::act(point, action);
            Ok(())
        }
    }) {
        Some(answer) => answer,
        None => Ok(()),
    }
}

/// Visits a place where the system can refuse.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn refuse(_: FailPoint) -> io::Result<()> {
    Ok(())
}

/// Arms what `FAILPOINTS` names, for the life of the process.
pub fn arm_from_environment() {
    #[cfg(feature = "failpoints")]
    std::mem::forget(fail::FailScenario::setup());
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::fs::OpenOptions;

    use nix::sys::signal::{Signal, raise};

    use super::FailPoint;

    /// The exit code after an action that is not understood (`EX_USAGE` of sysexits.h).
    const UNKNOWN_ACTION: i32 = 64;

    /// What `return(ACTION)` asks for. A word that is not understood ends the process: a test that misspells it fails.
    pub(super) fn act(point: FailPoint, action: Option<&str>) {
        let action = action.unwrap_or_default();
        let (verb, once) = match action.split_once("-once:") {
            Some((verb, path)) => (verb, Some(path)),
            None => (action, None),
        };
        if once.is_some_and(|path| OpenOptions::new().write(true).create_new(true).open(path).is_err()) {
            return;
        }
        let signal = match verb {
            "kill" => Signal::SIGKILL,
            "stop" => Signal::SIGSTOP,
            _ => {
                tracing::error!(point = point.name(), action, "no such action of a fail-point");
                std::process::exit(UNKNOWN_ACTION);
            }
        };
        tracing::warn!(point = point.name(), action, "fail-point");
        let _ = raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::FailPoint;

    #[test]
    fn each_place_has_a_name_of_its_own() {
        let names: HashSet<&str> = FailPoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), FailPoint::ALL.len());
    }
}
