//! What a value may be, and the words that say so to a person. Pure.

use std::time::Duration;

use super::super::units::{DURATION_FORMS, SIZE_FORMS, format_duration, format_size};
use crate::model::ids::COMPUTE_TAG_RULE;

/// What a value may be. Reading is in `value`.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Kind {
    /// One word without spaces, as a scheduler takes it: a queue, an account.
    Word,
    /// `[A-Za-z0-9_-]`, at most 63: site and pool names.
    Name,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in a range.
    Integer { least: u64, most: u64 },
    /// A duration in a range.
    Duration { least: Duration, most: Duration },
    /// A size, at least so many bytes.
    Size { least_bytes: u64 },
    /// An absolute path; `~/` and `{user}` and the like are expanded.
    Path,
    /// A program: an absolute path, or a name that `PATH` finds.
    Program,
    /// The name of a file without directories.
    FileName,
    /// A QC program's name in lower case, or `*`.
    ProgramName,
    /// A compute tag in lower case, or `*`.
    ComputeTag,
    /// One line of shell.
    ShellLine,
    /// A command that starts MPI programs, with QCEngine's placeholders.
    MpiCommand,
    /// One scheduler option, such as `--mail-type=END`.
    Directive,
    /// The name of an environment variable.
    VariableName,
    /// A table of environment variables.
    Variables,
    /// Several of a kind.
    List(&'static Kind),
    /// A PostgreSQL URL or connection string. Secret.
    DatabaseUrl,
    /// A filter of `tracing`.
    LogFilter,
}

/// What a path may contain besides itself.
pub(in super::super) const PATH_PLACEHOLDERS: [&str; 4] = ["home", "user", "hostname", "state"];

/// What the command that starts MPI programs may contain besides itself: QCEngine's names (`NodeDescriptor`).
pub(in super::super) const MPI_PLACEHOLDERS: [&str; 4] =
    ["total_ranks", "ranks_per_node", "nnodes", "cores_per_rank"];

impl Kind {
    /// Whether values must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self, Kind::DatabaseUrl)
    }

    /// Whether a list of these is a set, so that naming one twice is a slip. Shell lines may repeat.
    pub fn is_set_member(&self) -> bool {
        matches!(self, Kind::ProgramName | Kind::ComputeTag | Kind::VariableName | Kind::Path)
    }

    /// What is allowed, completing "expected …".
    pub fn allowed(&self) -> String {
        match self {
            Kind::Word => "a word without spaces that does not begin with `-`".into(),
            Kind::Name => "a name of at most 63 letters, digits, `_` and `-` that begins with a letter or digit".into(),
            Kind::Choice(words) => format!("one of {}", quoted(words)),
            Kind::Integer { least, most } => format!("a whole number from {least} to {most}"),
            Kind::Duration { least, most } => {
                format!("{DURATION_FORMS}, from {} to {}", format_duration(*least), format_duration(*most))
            }
            Kind::Size { least_bytes } => format!("{SIZE_FORMS}, at least {}", format_size(*least_bytes)),
            Kind::Path => {
                "an absolute path, or one that begins with `~/`, `{home}` or `{state}` (`{user}` and `{hostname}` may occur in it)".into()
            }
            Kind::Program => "a program's name, or a path as `/usr/bin/python3` or `~/venv/bin/python`".into(),
            Kind::FileName => "a file name without `/`".into(),
            Kind::ProgramName => "a program's name in lower case (letters, digits, `_`, `.`, `+`, `-`), or `*`".into(),
            Kind::ComputeTag => COMPUTE_TAG_RULE.into(),
            Kind::ShellLine => "one line of shell".into(),
            Kind::MpiCommand => {
                "a command with `{ranks_per_node}` and one of `{total_ranks}` and `{nnodes}`, such as \"mpiexec -n {total_ranks} -N {ranks_per_node}\"".into()
            }
            Kind::Directive => "one scheduler option that begins with `-`, such as \"--mail-type=END\"".into(),
            Kind::VariableName => "a variable's name of letters, digits and `_`".into(),
            Kind::Variables => "a table of variables, such as { OMP_PROC_BIND = \"close\" }".into(),
            Kind::List(item) => format!("a list such as [\"…\", \"…\"]; each item: {}", item.allowed()),
            Kind::DatabaseUrl => {
                "postgres://USER@HOST:PORT/DATABASE, or a connection string as \"host=… dbname=…\"".into()
            }
            Kind::LogFilter => {
                "a level (off, error, warn, info, debug, trace) or a filter as \"info,qcbatch::scheduler=debug\"".into()
            }
        }
    }

    /// One or two words for the tables of the reference.
    pub fn short(&self) -> String {
        match self {
            Kind::Word => "word".into(),
            Kind::Name => "name".into(),
            Kind::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Kind::Integer { least, most } => format!("{least} to {most}"),
            Kind::Duration { least, most } => {
                format!("duration, {} to {}", format_duration(*least), format_duration(*most))
            }
            Kind::Size { least_bytes } => format!("size, at least {}", format_size(*least_bytes)),
            Kind::Path => "path".into(),
            Kind::Program => "program".into(),
            Kind::FileName => "file name".into(),
            Kind::ProgramName => "program name or `*`".into(),
            Kind::ComputeTag => "tag or `*`".into(),
            Kind::ShellLine => "shell line".into(),
            Kind::MpiCommand => "command".into(),
            Kind::Directive => "scheduler option".into(),
            Kind::VariableName => "variable name".into(),
            Kind::Variables => "table of texts".into(),
            Kind::List(item) => format!("list: {}", item.short()),
            Kind::DatabaseUrl => "URL (secret)".into(),
            Kind::LogFilter => "log filter".into(),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
