//! Node-local scratch: one directory of the run, one in it for each task, gone when the task is. What runs that were
//! killed left on this node is removed too. Touches scratch only.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::error::NodeError;
use super::stderr::left_out_before;
use super::worker::Reply;
use crate::model::task::TaskOrder;
use crate::process::ProcessMark;
use crate::spool::layout::SCRATCH_PREFIX;

/// How the names of files end with what programs print: that of our worker (`jobscripts/qcengine_worker.py`); those of Psi4
/// before and since 1.4, which prints nothing where it is handed QCSchema.
const PRINTED: [&str; 3] = [".qcbatch-printed", ".json_out", ".qcschema_tmpout"];
/// How much of each is worth keeping, and how deep below a task's scratch they lie.
const MOST_PRINTED: u64 = 1 << 20;
const DEPTH: u32 = 3;
/// A file system with less room than this is full.
const FULL_BYTES: u64 = 4 << 10;

/// Says in a run's directory whose it is.
const OWNER: &str = ".owner.json";

/// The runner that uses a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Owner {
    /// Scratch may be shared by nodes after all: the others' directories are not ours to judge.
    hostname: String,
    /// Another one: the node was started anew, and nobody of before is left.
    boot: String,
    /// Process numbers mean something within one of these only.
    process_namespace: String,
    process: ProcessMark,
}

impl Owner {
    fn of_this_process(hostname: &str) -> io::Result<Owner> {
        Ok(Owner {
            hostname: hostname.to_owned(),
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            process_namespace: fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned(),
            process: ProcessMark::of_this()?,
        })
    }

    /// Whether this one is surely gone, as far as `me` can tell.
    fn is_surely_gone(&self, me: &Owner) -> bool {
        self.hostname == me.hostname
            && (self.boot != me.boot
                || (self.process_namespace == me.process_namespace && self.process.is_surely_gone()))
    }
}

/// Whether a directory is removed at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    /// The job script made it, and removes it.
    ByTheJobScript,
    /// It was made here.
    Here,
}

/// The directory of this run.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    made: Made,
}

impl Scratch {
    /// The run's directory: the one that the job script made (`temporary`) where it lies in `wanted` or nothing is
    /// wanted, else a new one. It must be writable.
    pub fn new(wanted: Option<&Path>, temporary: &Path, hostname: &str) -> Result<Scratch, NodeError> {
        let scripts =
            temporary.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SCRATCH_PREFIX))
                && wanted.is_none_or(|wanted| temporary.parent() == Some(wanted));
        let base = match temporary.parent() {
            Some(above) if scripts => above,
            _ => wanted.unwrap_or(temporary),
        };
        let scratch = if scripts {
            Scratch { path: temporary.to_owned(), made: Made::ByTheJobScript }
        } else {
            fs::create_dir_all(base).map_err(failed("make", base))?;
            let made = tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir_in(base);
            Scratch { path: made.map_err(failed("write into", base))?.keep(), made: Made::Here }
        };
        let owner = Owner::of_this_process(hostname).map_err(failed("own", &scratch.path))?;
        let document = serde_json::to_vec(&owner).map_err(io::Error::from);
        document
            .and_then(|document| fs::write(scratch.path.join(OWNER), document))
            .map_err(failed("write into", &scratch.path))?;
        remove_dead(base, &owner);
        Ok(scratch)
    }

    /// The run's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An empty directory for one attempt.
    pub fn for_task(&self, order: &TaskOrder) -> Result<TaskScratch, NodeError> {
        let path = self.path.join(format!("{}-{}", order.task_id, order.attempt));
        let mut made = DirBuilder::new().mode(0o700).create(&path);
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            made = remove(&path).and_then(|()| DirBuilder::new().mode(0o700).create(&path));
        }
        made.map_err(failed("make", &path))?;
        Ok(TaskScratch { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let gone = match self.made {
            Made::Here => remove(&self.path),
            Made::ByTheJobScript => fs::remove_file(self.path.join(OWNER)),
        };
        if let Err(error) = gone {
            tracing::warn!(%error, path = %self.path.display(), "scratch directory stays behind");
        }
    }
}

/// Removes the directories of runs on this node whose runner was killed. Directories that do not say whose they are, or
/// whose owner may live, are left alone.
fn remove_dead(base: &Path, me: &Owner) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX)
            && entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw());
        if !ours {
            continue;
        }
        let owner =
            fs::read(path.join(OWNER)).ok().and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
        if owner.is_some_and(|owner| owner.is_surely_gone(me)) {
            match remove(&path) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "removed scratch of a runner that was killed")
                }
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "scratch of a dead runner stays")
                }
            }
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NodeError {
    let path = path.to_owned();
    move |source| NodeError::Scratch { action, path, source }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The scratch directory of one attempt; removed when dropped.
#[derive(Debug)]
pub struct TaskScratch {
    path: PathBuf,
}

impl TaskScratch {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reply that says in its standard error, where it is a failure, that scratch is full, if it is: programs whose writes
    /// fail seldom say so, and some end as if all was well.
    pub fn explain(&self, mut reply: Reply) -> Reply {
        if !reply.is_result() && is_full(&self.path) {
            let note = format!(
                "[qcbatch: no space left on device: the scratch of this node, {}]",
                self.path.display()
            );
            reply.stderr = Some(reply.stderr.map_or(note.clone(), |said| format!("{said}\n{note}")));
        }
        reply
    }

    /// The last of what programs printed below a worker that could not tell any more.
    pub fn printed(&self) -> Option<String> {
        let mut found = Vec::new();
        find_printed(&self.path, DEPTH, &mut found);
        let texts: Vec<String> = found.iter().filter_map(|path| end_of(path)).collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }
}

/// Whether next to nothing can be written below `folder`.
fn is_full(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|system| {
        let free = system.blocks_available().saturating_mul(system.fragment_size());
        free < FULL_BYTES || (system.files() > 0 && system.files_available() == 0)
    })
}

fn find_printed(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 {
            find_printed(&entry.path(), depth - 1, found);
        } else if !is_folder && PRINTED.iter().any(|ending| name.to_string_lossy().ends_with(ending)) {
            found.push(entry.path());
        }
    }
}

fn end_of(path: &Path) -> Option<String> {
    let mut file = fs::File::open(path).ok()?;
    let left_out = file.metadata().ok()?.len().saturating_sub(MOST_PRINTED);
    file.seek(SeekFrom::Start(left_out)).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST_PRINTED).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then(|| left_out_before(left_out, &String::from_utf8_lossy(&bytes)))
}

impl Drop for TaskScratch {
    fn drop(&mut self) {
        // A program that dies may still make a file while the tree is removed: the second pass gets it.
        if remove(&self.path).is_err()
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "scratch directory stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::stage::tests::orders;

    #[test]
    fn what_programs_printed_is_found_below_a_tasks_directory_and_its_end_kept() {
        let root = tempfile::tempdir().unwrap();
        let task = TaskScratch { path: root.path().join("1-0") };
        let psi4 = task.path().join("tmp1_psi_scratch");
        fs::create_dir_all(&psi4).unwrap();
        assert_eq!(task.printed(), None);
        fs::write(psi4.join("1.json_out"), [vec![b'x'; 2 << 20], b"Task number: 10".to_vec()].concat())
            .unwrap();
        fs::write(psi4.join("data.json"), "{}").unwrap();
        fs::write(task.path().join(".qcbatch-printed"), "").unwrap();
        let printed = task.printed().unwrap();
        let note = format!("[qcbatch: {} bytes before this were left out]\n", (1 << 20) + 15);
        assert!(printed.starts_with(&note) && printed.ends_with("xTask number: 10"));
        assert_eq!(printed.len(), note.len() + (1 << 20));
    }

    #[test]
    fn a_tasks_directory_is_empty_private_and_gone_afterwards_and_so_is_the_runs() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("a/b");
        let scratch = Scratch::new(Some(&base), Path::new("/tmp"), "node1").unwrap();
        let order = &orders(1)[0];
        fs::create_dir_all(scratch.path().join("0-0/old")).unwrap();
        let task = scratch.for_task(order).unwrap();
        assert_eq!(fs::read_dir(task.path()).unwrap().count(), 0);
        assert_eq!(fs::metadata(task.path()).unwrap().mode() & 0o777, 0o700);
        let path = task.path().to_owned();
        fs::write(path.join("file"), b"x").unwrap();
        drop(task);
        assert!(!path.exists());
        drop(scratch);
        assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
    }

    #[test]
    fn the_job_scripts_directory_is_used_and_left_to_it() {
        let root = tempfile::tempdir().unwrap();
        let temporary = root.path().join("qcbatch.abc");
        fs::create_dir(&temporary).unwrap();
        let scratch = Scratch::new(Some(root.path()), &temporary, "node1").unwrap();
        assert_eq!(scratch.path(), temporary);
        drop(scratch);
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
        let elsewhere = root.path().join("wanted");
        let scratch = Scratch::new(Some(&elsewhere), &temporary, "node1").unwrap();
        assert_eq!(scratch.path().parent(), Some(elsewhere.as_path()));
    }

    #[test]
    fn what_a_dead_runner_of_this_node_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let me = Owner::of_this_process("node1").unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let process = ProcessMark::of(ended.id() as i32).unwrap();
        ended.wait().unwrap();
        let left = |name: &str, owner: Option<&Owner>| {
            let path = root.path().join(name);
            fs::create_dir_all(path.join("1-0/deep")).unwrap();
            if let Some(owner) = owner {
                fs::write(path.join(OWNER), serde_json::to_vec(owner).unwrap()).unwrap();
            }
        };
        let dead = Owner { process, ..me.clone() };
        left("qcbatch.dead", Some(&dead));
        left("qcbatch.before_the_boot", Some(&Owner { boot: "other".into(), ..me.clone() }));
        left("qcbatch.alive", Some(&me));
        left("qcbatch.unknown", None);
        left(
            "qcbatch.of_another_node",
            Some(&Owner { hostname: "node2".into(), boot: "x".into(), ..dead.clone() }),
        );
        left("qcbatch.of_a_container", Some(&Owner { process_namespace: "pid:[1]".into(), ..dead.clone() }));
        left("somebody.else", Some(&dead));
        let scratch = Scratch::new(Some(root.path()), Path::new("/tmp"), "node1").unwrap();
        let own = scratch.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<String> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| *name != own)
            .collect();
        names.sort();
        let kept =
            ["alive", "of_a_container", "of_another_node", "unknown"].map(|name| format!("qcbatch.{name}"));
        assert_eq!(names, [&kept[..], &["somebody.else".to_owned()]].concat());
    }

    #[test]
    fn scratch_that_cannot_be_made_is_an_error_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        let wanted = root.path().join("file/scratch");
        let error = Scratch::new(Some(&wanted), Path::new("/tmp"), "node1").unwrap_err();
        assert!(error.to_string().contains("file/scratch"), "{error}");
    }
}
