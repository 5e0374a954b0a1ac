//! Which nodes are to blame: many different tasks that fail on one of them, tasks that succeed elsewhere. Pure.
//!
//! A failure costs its task a try unless the node was to blame; a node that was is avoided for a while, longer each time,
//! and tried again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::failure::{Blame, FailureClass};
use crate::model::ids::TaskId;

/// So many different tasks of a program that fail one after the other for what is the node's fault, by what they said.
const FAILURES: usize = 3;
/// So many of them have to succeed elsewhere where what they said does not tell.
const SUCCESSES_ELSEWHERE: usize = 2;
/// Failed tasks that are remembered of one program on one node.
const REMEMBERED: usize = 64;
const FIRST_AVOIDANCE: Duration = Duration::from_secs(600);
const LONGEST_AVOIDANCE: Duration = Duration::from_secs(24 * 3600);
/// How long a node that was avoided counts as one that was, for the next time.
const MEMORY: Duration = Duration::from_secs(7 * 24 * 3600);

/// The end of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt<'a> {
    /// The scheduler that the node belongs to, by its adapter's name.
    pub cluster: &'a str,
    /// The node, by the name that the runner there gives itself.
    pub node: &'a str,
    /// The program.
    pub program: &'a str,
    /// The task.
    pub task: TaskId,
    /// Why it failed; none where it completed.
    pub failure: Option<FailureClass>,
    /// What was said of the failure.
    pub said: &'a str,
}

/// A node that was found to be at fault, and the tasks that failed there before that was known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtFault {
    /// The node.
    pub node: String,
    /// Tasks that were charged with its fault.
    pub tasks: Vec<TaskId>,
}

/// Since when, how long and why a node is avoided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Avoided {
    /// The scheduler that it belongs to, by its adapter's name.
    pub cluster: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
    /// How many times it has been avoided, this time included.
    pub times: u32,
}

/// One program on one node.
#[derive(Clone, Default, Debug)]
struct Streak {
    /// Tasks that failed since one last completed, with the class of the failure.
    failed: BTreeMap<TaskId, FailureClass>,
    /// Of them, those that have completed on another node since.
    succeeded_elsewhere: BTreeSet<TaskId>,
    /// When the first of them failed.
    began: Option<Timestamp>,
    /// When a task last completed.
    completed: Option<Timestamp>,
}

/// What is known of all nodes.
#[derive(Clone, Default, Debug)]
pub struct Nodes {
    /// By node, then by program.
    seen: HashMap<String, HashMap<String, Streak>>,
    avoided: BTreeMap<String, Avoided>,
    /// When a Python worker was last used on a node.
    python: HashMap<String, Timestamp>,
}

impl Nodes {
    /// Adds nodes that were avoided before, unless more is known of them.
    pub fn remember(&mut self, avoided: impl IntoIterator<Item = (String, Avoided)>) {
        for (name, avoided) in avoided {
            self.avoided.entry(name).or_insert(avoided);
        }
    }

    /// Nodes that are avoided at `now`, by name.
    pub fn avoided(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Avoided)> {
        self.avoided.iter().filter(move |(_, avoided)| avoided.until > now)
    }

    /// Every node that is or was avoided lately.
    pub fn all(&self) -> &BTreeMap<String, Avoided> {
        &self.avoided
    }

    /// Forgets what is held against a node, or against every node. Says which were known.
    pub fn clear(&mut self, node: Option<&str>) -> Vec<String> {
        let cleared = self.avoided.keys().filter(|name| node.is_none_or(|node| node == *name)).cloned();
        let cleared: Vec<String> = cleared.collect();
        for name in &cleared {
            self.avoided.remove(name);
            self.seen.remove(name);
        }
        cleared
    }

    /// Takes note of an attempt. Says who is to blame where it failed, and which nodes were found to be at fault by it.
    pub fn observe(&mut self, attempt: Attempt<'_>, now: Timestamp) -> (Blame, Vec<AtFault>) {
        match attempt.failure {
            None => (Blame::Task, self.completed(attempt, now)),
            Some(FailureClass::Node | FailureClass::Program) if self.is_avoided(attempt.node, now) => {
                (Blame::Node, Vec::new())
            }
            Some(class @ (FailureClass::Node | FailureClass::Program)) => self.failed(attempt, class, now),
            // The request, its resources, or what ended the job: the node has no part in it.
            Some(_) => (Blame::Task, Vec::new()),
        }
    }

    /// A Python worker was used on a node.
    pub fn python_works(&mut self, node: &str, now: Timestamp) {
        self.python.insert(node.to_owned(), now);
    }

    /// No Python worker could be started on a node. It is the node's fault where one was used on another.
    pub fn python_does_not_start(&mut self, cluster: &str, node: &str, said: &str, now: Timestamp) -> Blame {
        self.python.remove(node);
        if self.python.is_empty() {
            return Blame::Task;
        }
        if !self.is_avoided(node, now) {
            let reason = format!("no Python worker can be started there ({said}), and elsewhere they can");
            self.avoid((cluster, node), reason, now);
        }
        Blame::Node
    }

    fn is_avoided(&self, node: &str, now: Timestamp) -> bool {
        self.avoided.get(node).is_some_and(|avoided| avoided.until > now)
    }

    /// Whether it was avoided, and is tried again.
    fn is_on_trial(&self, node: &str, now: Timestamp) -> bool {
        self.avoided.get(node).is_some_and(|avoided| avoided.until <= now)
    }

    fn streak(&mut self, node: &str, program: &str) -> &mut Streak {
        self.seen.entry(node.to_owned()).or_default().entry(program.to_owned()).or_default()
    }

    fn completed(&mut self, attempt: Attempt<'_>, now: Timestamp) -> Vec<AtFault> {
        *self.streak(attempt.node, attempt.program) = Streak { completed: Some(now), ..Streak::default() };
        if self.is_on_trial(attempt.node, now) {
            self.avoided.remove(attempt.node);
        }
        let mut found = Vec::new();
        for (node, programs) in &mut self.seen {
            let Some(streak) = programs.get_mut(attempt.program).filter(|_| node != attempt.node) else {
                continue;
            };
            if streak.failed.contains_key(&attempt.task) {
                streak.succeeded_elsewhere.insert(attempt.task);
                if streak.failed.len() >= FAILURES && streak.succeeded_elsewhere.len() >= SUCCESSES_ELSEWHERE
                {
                    found.push((node.clone(), std::mem::take(streak)));
                }
            }
        }
        let mut at_fault = Vec::new();
        for (node, streak) in found {
            if !self.is_avoided(&node, now) {
                let reason = format!(
                    "{} {} tasks failed there, and {} of them completed elsewhere",
                    streak.failed.len(),
                    attempt.program,
                    streak.succeeded_elsewhere.len(),
                );
                self.avoid((attempt.cluster, &node), reason, now);
                let left = |task: &TaskId| !streak.succeeded_elsewhere.contains(task);
                at_fault.push(AtFault { node, tasks: streak.failed.into_keys().filter(left).collect() });
            }
        }
        at_fault
    }

    fn failed(&mut self, attempt: Attempt<'_>, class: FailureClass, now: Timestamp) -> (Blame, Vec<AtFault>) {
        if class == FailureClass::Program && self.failed_elsewhere(attempt) {
            return (Blame::Task, Vec::new());
        }
        let needed = if self.is_on_trial(attempt.node, now) { 1 } else { FAILURES };
        let streak = self.streak(attempt.node, attempt.program);
        let began = *streak.began.get_or_insert(now);
        if streak.failed.len() < REMEMBERED {
            streak.failed.insert(attempt.task, class);
        }
        let of_node = streak.failed.values().filter(|class| **class == FailureClass::Node).count();
        if class != FailureClass::Node || of_node < needed || !self.looks_like_the_node(attempt, began) {
            return (Blame::Task, Vec::new());
        }
        let streak = std::mem::take(self.streak(attempt.node, attempt.program));
        let reason = format!(
            "{of_node} different {} {} one after the other (the last: {})",
            attempt.program,
            if of_node == 1 { "task failed there" } else { "tasks failed there" },
            attempt.said,
        );
        self.avoid((attempt.cluster, attempt.node), reason, now);
        let before = streak.failed.into_keys().filter(|task| *task != attempt.task);
        (Blame::Node, vec![AtFault { node: attempt.node.to_owned(), tasks: before.collect() }])
    }

    /// Whether the same task failed by itself on another node: then it says nothing against either.
    fn failed_elsewhere(&mut self, attempt: Attempt<'_>) -> bool {
        let mut elsewhere = false;
        for (node, programs) in &mut self.seen {
            if let Some(streak) = programs.get_mut(attempt.program).filter(|_| node != attempt.node) {
                let same = streak.failed.get(&attempt.task) == Some(&FailureClass::Program);
                if same {
                    streak.failed.remove(&attempt.task);
                }
                elsewhere |= same;
            }
        }
        elsewhere
    }

    /// Whether a program that fails here works elsewhere, or nothing works here. A program that is known to work nowhere,
    /// beside others that do, is not there.
    fn looks_like_the_node(&self, attempt: Attempt<'_>, began: Timestamp) -> bool {
        let works_elsewhere = self.seen.iter().any(|(node, programs)| {
            node != attempt.node
                && programs.get(attempt.program).is_some_and(|streak| streak.completed.is_some())
        });
        let others_work_here = self.seen.get(attempt.node).is_some_and(|programs| {
            let lately = |streak: &Streak| streak.completed.is_some_and(|at| at >= began);
            programs.iter().any(|(program, streak)| program != attempt.program && lately(streak))
        });
        works_elsewhere || !others_work_here
    }

    fn avoid(&mut self, (cluster, node): (&str, &str), reason: String, now: Timestamp) {
        let keeps = SignedDuration::try_from(MEMORY).unwrap_or(SignedDuration::MAX);
        self.avoided.retain(|_, avoided| now.duration_since(avoided.until) < keeps);
        let times = self.avoided.get(node).map_or(0, |avoided| avoided.times).saturating_add(1);
        let span = FIRST_AVOIDANCE.saturating_mul(1 << (times - 1).min(16)).min(LONGEST_AVOIDANCE);
        let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        let until = now.saturating_add(span).unwrap_or(now);
        let cluster = cluster.to_owned();
        self.avoided.insert(node.to_owned(), Avoided { cluster, reason, since: now, until, times });
    }
}

#[cfg(test)]
mod tests;
