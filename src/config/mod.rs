//! Configuration: layered TOML, each problem with file and line.
//!
//! Later layers win, key by key: built-in defaults < `/etc/qcbatch/qcbatch.toml` < `$XDG_CONFIG_HOME/qcbatch/qcbatch.toml`
//! < environment `QCBATCH_SECTION__KEY` < flags. `--config FILE` (or `QCBATCH_CONFIG`) takes the place of both files. A
//! `[[pool]]` of a later layer changes the keys of an earlier one with the same name; other pools are added. Each layer
//! is checked alone, so that a problem is shown where it stands; checks across keys come last.
//!
//! To add a key: a line in `schema/keys.rs`, a field in `settings.rs` with its line in `resolve.rs`, a line in
//! `config/qcbatch.example.toml`. Tests tell what was forgotten.

mod check;
mod document;
mod layer;
mod load;
mod machine;
mod outside;
mod paths;
mod problem;
mod resolve;
mod schema;
mod secret;
mod settings;
mod show;
mod source;
mod state;
mod suggest;
mod text;
pub mod units;
mod value;

pub use load::{LoadOptions, Loaded, SYSTEM_FILE};
pub use machine::{Machine, MachineError};
pub use outside::{CONFIG_VARIABLE, NotASetting, Override, STATE_VARIABLE};
pub use problem::{ConfigError, Problem, Problems, RenderStyle, Severity};
pub use secret::{REDACTED, Secret};
pub use settings::{
    ComputePriority, Config, DaemonConfig, DatabaseConfig, DefaultsConfig, InboxConfig, LogFormat,
    PoolConfig, RetryConfig, SchedulerConfig, SharedFilesystem, SiteConfig, SpoolConfig, TlsConfig, TlsMode,
    WorkerConfig,
};
pub use show::{CheckedFile, Origins, TEMPLATE, check_file, reference};
pub use state::{StateError, StateLayout};
