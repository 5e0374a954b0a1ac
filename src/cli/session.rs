//! What a command works with: the screen, the configuration and a client, made from the global options.

use std::future::Future;

use super::Globals;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen::{OutputMode, Screen};
use crate::api::client::Client;
use crate::config::Config;

/// One run of a command.
#[derive(Debug)]
pub struct Session {
    globals: Globals,
    /// Where its output goes.
    pub screen: Screen,
}

impl Session {
    /// The session of the global options.
    pub(super) fn new(globals: Globals) -> Session {
        let mode = match (globals.json, globals.quiet) {
            (true, _) => OutputMode::Json,
            (false, true) => OutputMode::Quiet,
            (false, false) => OutputMode::Table,
        };
        Session { screen: Screen::of_process(mode), globals }
    }

    /// A client of the daemon: at `--socket`, else where the configuration says.
    pub fn client(&self) -> Result<Client, CliError> {
        match &self.globals.socket {
            Some(socket) => Ok(Client::new(socket)),
            None => Ok(Client::new(&self.config()?.daemon.socket)),
        }
    }

    /// Runs a command on this thread; a client needs no more.
    pub(super) fn block_on(
        &self,
        command: impl Future<Output = Result<ExitCode, CliError>>,
    ) -> Result<ExitCode, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| CliError::local("cannot start the asynchronous runtime", source))?;
        runtime.block_on(command)
    }
}
