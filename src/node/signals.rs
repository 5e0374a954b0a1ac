//! The signals that stop a runner: the walltime warning and the scheduler's or a person's request to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopRequest {
    /// USR2: the walltime is near, or the kill (`Warning` in the manifest).
    Warning,
    /// TERM, INT or HUP: end within seconds.
    End(&'static str),
}

impl StopRequest {
    /// What the signal of this name, as `kill -s` takes it, asks for.
    pub fn named(name: &str) -> Option<StopRequest> {
        match name {
            "USR2" => Some(StopRequest::Warning),
            "TERM" => Some(StopRequest::End("SIGTERM")),
            "INT" => Some(StopRequest::End("SIGINT")),
            _ => None,
        }
    }
}

/// The handlers. Without them each of these signals would kill the runner.
pub struct StopSignals {
    warning: Signal,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl StopSignals {
    /// Installs the handlers.
    pub fn install() -> io::Result<StopSignals> {
        Ok(StopSignals {
            warning: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> StopRequest {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => StopRequest::End("SIGTERM"),
            _ = self.interrupt.recv() => StopRequest::End("SIGINT"),
            _ = self.hangup.recv() => StopRequest::End("SIGHUP"),
            _ = self.warning.recv() => StopRequest::Warning,
        }
    }
}
