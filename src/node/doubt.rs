//! Whether this node can be worked on at all: what failed here one after the other, and what the daemon says of the node.
//! Reads one small file of the spool.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::model::failure::FailureClass;
use crate::model::ids::TaskId;
use crate::spool::avoided;

/// So many different tasks may fail one after the other for what is the node's fault, by what they said.
const MOST_FAILURES: usize = 3;
/// Between two looks at the list of nodes that are avoided.
const INTERVAL: Duration = Duration::from_secs(5);

/// What speaks against the node.
#[derive(Debug)]
pub struct Doubt {
    hostname: String,
    list: Option<PathBuf>,
    due: Instant,
    /// Tasks that failed since one last completed.
    failed: BTreeSet<TaskId>,
}

impl Doubt {
    /// Nothing so far. `list` is where the daemon writes which nodes are avoided.
    pub fn new(hostname: &str, list: Option<PathBuf>, now: Instant) -> Doubt {
        Doubt { hostname: hostname.to_owned(), list, due: now, failed: BTreeSet::new() }
    }

    /// When to look at the list.
    pub fn due(&self) -> Option<Instant> {
        self.list.as_ref().map(|_| self.due)
    }

    /// Why no further task should be started here, by the daemon's list.
    pub fn avoided(&mut self, now: Instant) -> Option<String> {
        let list = self.list.as_ref().filter(|_| now >= self.due)?;
        self.due = now + INTERVAL;
        // What cannot be read says nothing against any node.
        let reason = avoided::read(list).unwrap_or_default().nodes.remove(&self.hostname)?;
        Some(format!("node {} is avoided: {reason}", self.hostname))
    }

    /// A task was reported. Says why no further one should be started here, if that follows from it.
    pub fn reported(&mut self, task: TaskId, failure: Option<FailureClass>) -> Option<String> {
        match failure {
            None => self.failed.clear(),
            Some(FailureClass::Node) => {
                self.failed.insert(task);
            }
            // The program ran, or the job was ended: neither speaks for or against the node.
            Some(_) => {}
        }
        let failed = self.failed.len();
        (failed >= MOST_FAILURES)
            .then(|| format!("{failed} different tasks failed one after the other on node {}", self.hostname))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt() -> Doubt {
        Doubt::new("node1", None, Instant::now())
    }

    #[test]
    fn different_tasks_that_fail_one_after_the_other_speak_against_the_node() {
        let node = Some(FailureClass::Node);
        let mut doubt = doubt();
        // The same task again says nothing more; nor does a failure of another class.
        for (task, failure) in [(1, node), (1, node), (2, node), (3, Some(FailureClass::Program))] {
            assert_eq!(doubt.reported(TaskId(task), failure), None, "{task}");
        }
        let why = doubt.reported(TaskId(4), node).unwrap();
        assert_eq!(why, "3 different tasks failed one after the other on node node1");
    }

    #[test]
    fn a_task_that_completes_speaks_for_it() {
        let mut doubt = doubt();
        for task in 0..20 {
            let failure = (task % 3 != 2).then_some(FailureClass::Node);
            assert_eq!(doubt.reported(TaskId(task), failure), None);
        }
    }

    #[test]
    fn the_daemons_list_is_looked_at_now_and_then() {
        let root = tempfile::tempdir().unwrap();
        let list = root.path().join("avoided.json");
        let mut now = Instant::now();
        let mut doubt = Doubt::new("node1", Some(list.clone()), now);
        assert_eq!(doubt.avoided(now), None, "there is no list");
        let nodes = [("node1".to_owned(), "its disk is full".to_owned())].into();
        avoided::write(&list, &avoided::AvoidedNodes { nodes }).unwrap();
        assert_eq!(doubt.avoided(now), None, "it looked a moment ago");
        now += INTERVAL;
        assert_eq!(doubt.avoided(now).as_deref(), Some("node node1 is avoided: its disk is full"));
    }
}
