//! What the job script tells the runners of its further nodes: they are no children of its own, and what launchers do with
//! signals differs (Slurm's hands them to every process of the node). Reads one small file of the job.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::signals::StopRequest;
use crate::spool::JobDirectory;

/// Between two looks. TERM leaves the scheduler's patience, which is half a minute in most places.
const INTERVAL: Duration = Duration::from_secs(2);

/// Looks for signals that the runner does not get itself.
#[derive(Debug)]
pub struct Relay {
    /// None where the runner is the job script's own child.
    file: Option<PathBuf>,
    heard: usize,
    due: Instant,
}

impl Relay {
    /// For the runner of `directory`.
    pub fn new(directory: &JobDirectory, now: Instant) -> Relay {
        Relay { file: directory.signals(), heard: 0, due: now }
    }

    /// When to look.
    pub fn due(&self) -> Option<Instant> {
        self.file.as_ref().map(|_| self.due)
    }

    /// What was told since the last look.
    pub fn listen(&mut self, now: Instant) -> Vec<StopRequest> {
        let Some(file) = self.file.as_ref().filter(|_| now >= self.due) else { return vec![] };
        self.due = now + INTERVAL;
        // Listing the directory makes a network filesystem forget that the file was not there.
        let listed = file.parent().map(fs::read_dir);
        let listed = listed.into_iter().flatten().flatten().flatten();
        if !listed.into_iter().any(|entry| Some(entry.file_name().as_os_str()) == file.file_name()) {
            return vec![];
        }
        let text = fs::read_to_string(file).unwrap_or_default();
        let told: Vec<&str> = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect();
        let news = told.iter().skip(self.heard).filter_map(|name| StopRequest::named(name)).collect();
        self.heard = self.heard.max(told.len());
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::NodeIndex;

    #[test]
    fn each_signal_is_heard_once_and_only_on_further_nodes() {
        let root = tempfile::tempdir().unwrap();
        let job = JobDirectory::at(root.path().join("0"));
        let node = job.node(NodeIndex(1));
        fs::create_dir_all(node.path()).unwrap();
        let now = Instant::now();
        let (mut own, mut further) = (Relay::new(&job, now), Relay::new(&node, now));
        assert_eq!((own.due(), further.due()), (None, Some(now)));
        assert_eq!(further.listen(now), []);
        fs::write(job.path().join("signals"), "USR2\nTER").unwrap();
        assert_eq!(further.listen(now), [], "it looked a moment ago");
        assert_eq!(own.listen(now + INTERVAL), []);
        assert_eq!(further.listen(now + INTERVAL), [StopRequest::Warning]);
        fs::write(job.path().join("signals"), "USR2\nTERM\n").unwrap();
        assert_eq!(further.listen(now + 2 * INTERVAL), [StopRequest::End("SIGTERM")]);
        assert_eq!(further.listen(now + 3 * INTERVAL), []);
    }
}
