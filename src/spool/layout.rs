//! Where everything lies in the spool; no other file knows a name. Pure paths, no I/O.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::model::chunk::ChunkName;
use crate::model::identity::Lineage;
use crate::model::ids::{NodeIndex, PoolName, Tag};

/// How the names of runs' scratch directories begin, on a node's disk or in the job's directory.
pub const SCRATCH_PREFIX: &str = "qcbatch.";

/// What the names of claimed chunks in a job's directory begin with.
pub const CLAIMED_PREFIX: &str = "chunk-";

/// The directory of chunks that wait; in a database that was restored its name goes on with `-` and the database's id.
const READY: &str = "ready";

/// The directory of chunks that are not published yet.
pub(super) const STAGED: &str = "staged";

/// What the names of directories of a job's further nodes begin with.
const NODE_PREFIX: &str = "node-";

/// The root of the spool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spool {
    root: PathBuf,
    /// The name of the directories of chunks that wait.
    ready: String,
}

impl Spool {
    /// The spool at `root`, of a database that was never restored.
    pub fn new(root: impl Into<PathBuf>) -> Spool {
        Spool { root: root.into(), ready: READY.to_owned() }
    }

    /// The spool at `root` of the database with this lineage. Jobs that were submitted before a restore look for chunks
    /// where those of before were: the database does not know all of them, and what they took would be lost to it.
    pub fn of_database(root: impl Into<PathBuf>, lineage: &Lineage) -> Spool {
        let ready = lineage.suffix().map_or(READY.to_owned(), |suffix| format!("{READY}-{suffix}"));
        Spool { root: root.into(), ready }
    }

    /// Who this spool belongs to.
    pub fn owner(&self) -> PathBuf {
        owner_in(&self.root)
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a pool. Characters that a file name should not have are written `%XX`.
    pub fn pool(&self, pool: &PoolName) -> PathBuf {
        self.root.join(file_name_of(&pool.0))
    }

    /// The directory of one submission.
    pub fn submission(&self, pool: &PoolName, tag: &Tag) -> SubmissionDirectory {
        SubmissionDirectory { path: self.pool(pool).join(tag.as_str()) }
    }

    /// Where chunks wait that any job of the pool may claim by renaming one into its own directory.
    pub fn ready(&self, pool: &PoolName) -> PathBuf {
        self.pool(pool).join(&self.ready)
    }

    /// The name of these directories.
    pub(super) fn ready_name(&self) -> &str {
        &self.ready
    }

    /// Where chunks are written before they are published into `ready`; jobs never look here.
    pub fn staged(&self, pool: &PoolName) -> PathBuf {
        self.pool(pool).join(STAGED)
    }

    /// Where the daemon tells runners of what they hold: which tasks are cancelled, and which others could do.
    pub fn notices(&self, pool: &PoolName) -> PathBuf {
        self.pool(pool).join("notices")
    }
}

/// Whether a directory of this name holds chunks that wait for jobs, or did before a restore.
pub(super) fn is_ready(name: &str) -> bool {
    name.strip_prefix(READY).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The owner file of a spool or a state directory.
pub fn owner_in(directory: &Path) -> PathBuf {
    directory.join("owner.json")
}

fn file_name_of(name: &str) -> OsString {
    let mut text = String::with_capacity(name.len());
    for (position, byte) in name.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && position > 0);
        if plain { text.push(char::from(byte)) } else { text.push_str(&format!("%{byte:02X}")) }
    }
    text.into()
}

/// `<spool>/<pool>/<tag>`: what one call of the submit command needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubmissionDirectory {
    path: PathBuf,
}

impl SubmissionDirectory {
    /// The directory at `path`.
    pub fn at(path: impl Into<PathBuf>) -> SubmissionDirectory {
        SubmissionDirectory { path: path.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rendered job script.
    pub fn script(&self) -> PathBuf {
        self.path.join("job.sh")
    }

    /// The directory of the job with this array index; single jobs have index 0.
    pub fn job(&self, index: u32) -> JobDirectory {
        JobDirectory::at(self.path.join(index.to_string()))
    }
}

/// `<spool>/<pool>/<tag>/<index>`: everything that one job reads and writes. Each further node of a job that has several
/// has a directory like it in there, `node-1` and so on, without a manifest of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobDirectory {
    path: PathBuf,
    /// Where a further node's job is.
    job: Option<PathBuf>,
}

impl JobDirectory {
    /// The directory at `path`, of a job or of a further node of one.
    pub fn at(path: impl Into<PathBuf>) -> JobDirectory {
        let path = path.into();
        let name = path.file_name().and_then(|name| name.to_str());
        let job = name.and_then(node_named).and_then(|_| path.parent()).map(Path::to_owned);
        JobDirectory { path, job }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of this node of the job.
    pub fn node(&self, node: NodeIndex) -> JobDirectory {
        match node {
            NodeIndex::FIRST => self.clone(),
            NodeIndex(number) => JobDirectory::at(self.path.join(format!("{NODE_PREFIX}{number}"))),
        }
    }

    /// `JobManifest`, written before submission; one for all nodes.
    pub fn manifest(&self) -> PathBuf {
        self.job.as_ref().unwrap_or(&self.path).join("manifest.json")
    }

    /// What the job script tells the runners of its further nodes: names of signals, a line each. None where the runner is
    /// the script's own child.
    pub fn signals(&self) -> Option<PathBuf> {
        self.job.as_ref().map(|job| job.join("signals"))
    }

    /// The tasks, until a runner claims them.
    pub fn chunk(&self) -> PathBuf {
        self.path.join("chunk")
    }

    /// The tasks, once claimed.
    pub fn chunk_claimed(&self) -> PathBuf {
        self.path.join("chunk.claimed")
    }

    /// A chunk of the pool that this job's runner claimed; gone once all its reports are safe.
    pub fn claimed(&self, name: &ChunkName) -> PathBuf {
        self.path.join(format!("{CLAIMED_PREFIX}{name}"))
    }

    /// `StartRecord`.
    pub fn start(&self) -> PathBuf {
        self.path.join("start.json")
    }

    /// `Heartbeat`.
    pub fn heartbeat(&self) -> PathBuf {
        self.path.join("heartbeat.json")
    }

    /// `EndRecord`.
    pub fn end(&self) -> PathBuf {
        self.path.join("end.json")
    }

    /// Frames of `TaskReport`.
    pub fn results(&self) -> PathBuf {
        self.path.join("results")
    }

    /// The runner's log.
    pub fn runner_log(&self) -> PathBuf {
        self.path.join("runner.log")
    }

    /// What the workers wrote to standard error.
    pub fn worker_stderr(&self) -> PathBuf {
        self.path.join("worker.stderr")
    }

    /// `StartRecord` of a copy of the job that found the chunk claimed.
    pub fn duplicate(&self) -> PathBuf {
        self.path.join("duplicate.json")
    }
}

/// The further node whose directory has this name.
pub(super) fn node_named(name: &str) -> Option<NodeIndex> {
    let number: u32 = name.strip_prefix(NODE_PREFIX)?.parse().ok()?;
    (number > 0).then_some(NodeIndex(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_node_has_a_directory_of_its_own_and_its_jobs_manifest() {
        let job = JobDirectory::at("/spool/short/tag/3");
        let node = JobDirectory::at("/spool/short/tag/3/node-2");
        assert_eq!(job.node(NodeIndex(2)), node);
        assert_eq!(job.node(NodeIndex::FIRST), job);
        assert_eq!(node.manifest(), job.manifest());
        assert_eq!(node.results(), PathBuf::from("/spool/short/tag/3/node-2/results"));
        assert_eq!((node.signals(), job.signals()), (Some("/spool/short/tag/3/signals".into()), None));
    }

    #[test]
    fn a_job_lies_below_its_pool_and_its_tag() {
        let tag = Tag::new(1, 2);
        let job = Spool::new("/spool").submission(&PoolName("short".into()), &tag).job(3);
        assert_eq!(job.chunk(), PathBuf::from(format!("/spool/short/{tag}/3/chunk")));
    }

    #[test]
    fn a_pool_name_never_leaves_the_spool() {
        let pool = |name: &str| Spool::new("/spool").pool(&PoolName(name.into()));
        assert_eq!(pool(".."), PathBuf::from("/spool/%2E."));
        assert_eq!(pool("a/../b c"), PathBuf::from("/spool/a%2F..%2Fb%20c"));
        assert_eq!(pool("gpu-a100.v2"), PathBuf::from("/spool/gpu-a100.v2"));
    }
}
