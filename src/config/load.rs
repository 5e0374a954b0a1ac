//! Finds the layers, reads each alone, combines them and hands out the configuration or every problem of it.
//! Touches: reads configuration files and the secret files they name.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::check::{check, open_file_with_password};
use super::document::read_document;
use super::layer::{Layer, Origin};
use super::machine::Machine;
use super::outside::{CONFIG_VARIABLE, Override, read_environment, read_overrides};
use super::paths::expand;
use super::problem::{ConfigError, Problem, Problems, Severity};
use super::resolve::resolve;
use super::settings::Config;
use super::source::{Place, Source, SourceKind};
use super::value::Value;

/// The file of all users of a machine.
pub const SYSTEM_FILE: &str = "/etc/qcbatch/qcbatch.toml";

/// Where a configuration comes from. Nothing else is looked at.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// `--config`: it takes the place of both the system's and the user's file.
    pub explicit_file: Option<PathBuf>,
    /// Usually [`SYSTEM_FILE`]; it may be missing.
    pub system_file: PathBuf,
    /// Usually `std::env::vars()`.
    pub environment: Vec<(String, String)>,
    /// Flags, in the order in which they were typed.
    pub overrides: Vec<Override>,
    /// The machine and its user.
    pub machine: Machine,
}

/// A configuration, where its values come from, and what should be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is odd but not wrong.
    pub warnings: Vec<Problem>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    pub(super) filled: Layer,
}

impl LoadOptions {
    /// This process's environment on `machine`, without flags. Variables that are not text are left out.
    pub fn of_process(machine: Machine) -> LoadOptions {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        LoadOptions {
            explicit_file: None,
            system_file: SYSTEM_FILE.into(),
            environment,
            overrides: Vec::new(),
            machine,
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A directory of the XDG base directory specification, which says to ignore relative ones.
    fn xdg(&self, variable: &str, below_home: &str) -> PathBuf {
        match self.variable(variable).map(Path::new).filter(|path| path.is_absolute()) {
            Some(path) => path.to_owned(),
            None => self.machine.home.join(below_home),
        }
    }

    /// The user's own file, whether it exists or not.
    pub fn user_file(&self) -> PathBuf {
        self.xdg("XDG_CONFIG_HOME", ".config").join("qcbatch/qcbatch.toml")
    }

    /// The files to read, each with whether it must exist.
    fn files(&self) -> Vec<(PathBuf, Presence)> {
        let explicit =
            self.explicit_file.clone().or_else(|| self.variable(CONFIG_VARIABLE).map(PathBuf::from));
        match explicit {
            Some(path) => vec![(path, Presence::Required)],
            None => {
                vec![(self.system_file.clone(), Presence::Optional), (self.user_file(), Presence::Optional)]
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

impl Config {
    /// Reads all layers. An error holds every problem of all of them.
    pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigError> {
        let mut problems = Vec::new();
        let mut layers = base(options);
        let mut files = Vec::new();
        for (path, presence) in options.files() {
            let Some((layer, found)) = read_file(&path, presence)? else { continue };
            layers.combine(layer);
            problems.extend(found);
            files.push(path);
        }
        let (environment, found) = read_environment(&options.environment);
        layers.combine(environment);
        problems.extend(found);
        let (overrides, found) = read_overrides(&options.overrides, &layers.pools);
        layers.combine(overrides);
        problems.extend(found);

        layers.fill(&options.machine);
        problems.extend(expand(&mut layers, &options.machine));
        let (found, url) = check(&layers);
        problems.extend(found);
        Problem::sort(&mut problems);
        if problems.iter().any(|problem| problem.severity() == Severity::Error) {
            return Err(ConfigError::Invalid(Problems(problems)));
        }
        let config = resolve(&layers, url);
        Ok(Loaded { config, warnings: problems, files, filled: layers })
    }
}

/// The only default that the environment decides: the state directory follows `XDG_STATE_HOME`.
fn base(options: &LoadOptions) -> Layer {
    let mut layer = Layer::default();
    let state_home = options.xdg("XDG_STATE_HOME", ".local/state");
    if state_home != options.machine.home.join(".local/state") {
        let text = format!("XDG_STATE_HOME={}", state_home.display());
        let span = "XDG_STATE_HOME=".len()..text.len();
        let place = Place { source: Source::line(SourceKind::Environment, &text, None), span };
        let value = Value::Text(state_home.join("qcbatch").to_string_lossy().into_owned());
        layer.values.insert("site.state", super::layer::Setting { value, origin: Origin::Given(place) });
    }
    layer
}

fn read_file(path: &Path, presence: Presence) -> Result<Option<(Layer, Vec<Problem>)>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if presence == Presence::Optional && is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.mode();
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Source::file(path, &text);
            let place = Place { source, span: at..at + char::REPLACEMENT_CHARACTER.len_utf8() };
            return Ok(Some((
                Layer::default(),
                vec![Problem::error("not UTF-8", place, "expected UTF-8 text")],
            )));
        }
    };
    let source = Source::file(path, &text);
    let (layer, mut problems) = read_document(&source, &text);
    problems.extend(open_file_with_password(&layer, path, mode));
    Ok(Some((layer, problems)))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}
