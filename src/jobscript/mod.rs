//! Job scripts from templates. No scheduler logic: directives and the scheduler's own lines come as typed text.
//! Reads template files; writes nothing.

mod quote;
mod render;
mod templates;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::ids::{JobId, PoolName, Tag};
use crate::model::resources::SetupErrors;

pub use render::render;
pub use templates::TemplateSet;

/// How a job script reaches the further nodes of its job: typed shell text, as the scheduler's adapter has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// A command that prints a word for each node, the script's own first.
    pub hosts: String,
    /// Runs the command behind it on the node whose word is `$qcb_host`, and waits for its end.
    pub command: String,
}

/// Everything a job script is made of.
#[derive(Clone, Debug)]
pub struct ScriptInput {
    /// The template's name, usually `base.sh.j2`.
    pub template: String,
    /// Directive lines, as the scheduler's adapter made them.
    pub directives: Vec<String>,
    /// Lines the scheduler wants in every script.
    pub scheduler_lines: Vec<String>,
    /// The variable that holds an array element's index; without it the script is for index 0.
    pub array_index_variable: Option<String>,
    /// What that variable is for the first element.
    pub first_array_index: u32,
    /// A shell word that gives the scheduler's id of the running job.
    pub scheduler_job_id: Option<String>,
    /// Where every node of the job is to have a runner: how they are started. Nothing where the first node's is all.
    pub launch: Option<Launch>,
    /// When the script is to warn itself, counted from its start; nothing where the scheduler does.
    pub warn_after: Option<Duration>,
    /// The submission's tag.
    pub tag: Tag,
    /// The pool.
    pub pool: PoolName,
    /// The submission's directory; each job has a directory in it, named by its index.
    pub directory: PathBuf,
    /// Our own program as compute nodes find it.
    pub program: PathBuf,
    /// Our ids of the jobs, by index.
    pub job_ids: Vec<JobId>,
    /// Shell lines of the pool: module loads, activations, exports. They are the site's own and go in as they are.
    pub setup: Vec<String>,
    /// What a failing command of these lines means.
    pub setup_errors: SetupErrors,
    /// Variables of the pool.
    pub environment: BTreeMap<String, String>,
    /// Where the job's scratch directory is made; the scheduler's or system's temporary directory otherwise.
    pub scratch: Option<PathBuf>,
}

/// Why a script could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The user's template directory cannot be read.
    #[error("cannot read template {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such template.
    #[error("no template `{name}`; there are {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Names of those there are.
        known: String,
    },
    /// A template is wrong or wants what there is not.
    #[error("template `{name}` cannot be rendered at line {line}: {message}")]
    Template {
        /// The template.
        name: String,
        /// The line in it.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A value that must not reach a script.
    #[error("{name} is `{text}`; it must be {allowed}")]
    Value {
        /// Which.
        name: &'static str,
        /// The value.
        text: String,
        /// What it must be.
        allowed: &'static str,
    },
    /// What came out is no script.
    #[error("template `{name}` makes no batch script: {why}")]
    Result {
        /// The template.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}
