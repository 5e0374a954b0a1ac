//! What a command works with: the screen, the configuration and a client, made from the global options.

use std::future::Future;

use super::Globals;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen::{OutputMode, Screen};
use crate::api::client::Client;
use crate::config::{Config, LoadOptions, Loaded, Machine, Override, RenderStyle};

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

    /// How often `-v` was given.
    pub fn verbosity(&self) -> u8 {
        self.globals.verbose
    }

    /// A client of the daemon: at `--socket`, else where the configuration says.
    pub fn client(&self) -> Result<Client, CliError> {
        match &self.globals.socket {
            Some(socket) => Ok(Client::new(socket)),
            None => Ok(Client::new(self.config()?.daemon.socket)),
        }
    }

    /// The configuration, its warnings told.
    pub fn config(&self) -> Result<Config, CliError> {
        let loaded = self.load()?;
        for warning in &loaded.warnings {
            self.screen.note(&warning.render(self.render_style()));
        }
        Ok(loaded.config)
    }

    /// The configuration with the origins of its values.
    pub fn load(&self) -> Result<Loaded, CliError> {
        let machine = self.machine()?;
        let mut options = LoadOptions::of_process(machine);
        options.explicit_file = self.globals.config.clone();
        for text in &self.globals.set {
            options
                .overrides
                .push(Override::parse(text).map_err(|error| CliError::usage(error.to_string()))?);
        }
        if let Some(socket) = &self.globals.socket {
            options.overrides.push(Override::flag("--socket", "daemon.socket", &socket.to_string_lossy()));
        }
        Config::load(&options).map_err(|error| CliError::Config { report: error.render(self.render_style()) })
    }

    /// The machine and user that a configuration is for.
    pub fn machine(&self) -> Result<Machine, CliError> {
        Machine::detect().map_err(|error| CliError::local("cannot look at this machine", error))
    }

    /// How reports of the configuration are written to standard error.
    pub fn render_style(&self) -> RenderStyle {
        match anstream::AutoStream::choice(&std::io::stderr()) {
            anstream::ColorChoice::Never => RenderStyle::Plain,
            _ => RenderStyle::Coloured,
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
