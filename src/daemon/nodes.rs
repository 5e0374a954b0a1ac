//! Nodes that are avoided: learns from reports which are at fault, stores it, and tells runners, submissions and people.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::pools::one_line;
use super::site::Site;
use super::troubles::chain;
use crate::model::failure::Blame;
use crate::model::ids::TaskId;
use crate::model::task::{TaskOutcome, TaskReport};
use crate::model::view::AvoidedNode;
use crate::plan::blame::{AtFault, Attempt, Avoided, Nodes};
use crate::spool::avoided::{self, AvoidedNodes};
use crate::store::StoreError;
use crate::store::node::StoredNode;

/// Most nodes that a submission leaves out: schedulers read such a list for every job.
const MOST_LEFT_OUT: usize = 100;

/// The book of nodes.
#[derive(Default)]
pub struct NodeBook(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    nodes: Nodes,
    /// What follows from reports and is not stored yet.
    at_fault: Vec<AtFault>,
    /// Whether anything is to be stored.
    dirty: bool,
    /// Nodes that runners were told of.
    told: Option<BTreeSet<String>>,
}

impl NodeBook {
    /// Adds what is stored.
    async fn load(&self, site: &Site) -> Result<(), StoreError> {
        let stored = site.store.nodes(site.name()).await?;
        let avoided = stored.into_iter().map(|(name, node)| {
            let StoredNode { cluster, reason, since, until, times } = node;
            (name, Avoided { cluster, reason, since, until, times })
        });
        self.lock().nodes.remember(avoided);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of reports of a cluster's jobs; returns the tasks whose failure was their node's.
    pub fn weigh(&self, cluster: &str, reports: &[TaskReport], now: Timestamp) -> HashSet<TaskId> {
        let mut inner = self.lock();
        let mut excused = HashSet::new();
        let known = inner.nodes.all().clone();
        for report in reports {
            let (failure, said) = match &report.outcome {
                TaskOutcome::Complete { .. } => (None, String::new()),
                TaskOutcome::Error { class, message, .. } => (Some(*class), one_line(message)),
                TaskOutcome::Progress(_) | TaskOutcome::Returned => continue,
            };
            let node = report.provenance.hostname.as_str();
            if report.provenance.qcengine_version.is_some() {
                inner.nodes.python_works(node, now);
            }
            let program = report.provenance.program.as_deref().unwrap_or_default().to_lowercase();
            let task = report.task_id;
            let attempt = Attempt { cluster, node, program: &program, task, failure, said: &said };
            let (blame, at_fault) = inner.nodes.observe(attempt, now);
            if blame == Blame::Node {
                excused.insert(task);
            }
            inner.at_fault.extend(at_fault);
        }
        let changed = known != *inner.nodes.all();
        inner.dirty |= changed;
        excused
    }

    /// A job could not start Python workers. Says whether that is its node's fault.
    pub fn python_does_not_start(&self, cluster: &str, node: &str, said: &str, now: Timestamp) -> Blame {
        let mut inner = self.lock();
        let blame = inner.nodes.python_does_not_start(cluster, node, said, now);
        inner.dirty |= blame == Blame::Node;
        blame
    }

    /// Nodes of a cluster that submissions leave out.
    pub fn left_out(&self, cluster: &str, now: Timestamp) -> Vec<String> {
        let inner = self.lock();
        let avoided = inner.nodes.avoided(now).filter(|(_, avoided)| avoided.cluster == cluster);
        avoided.map(|(name, _)| name.clone()).take(MOST_LEFT_OUT).collect()
    }

    /// Nodes that are avoided, and those that were lately.
    pub fn list(&self) -> Vec<AvoidedNode> {
        let inner = self.lock();
        let line = |(name, avoided): (&String, &Avoided)| AvoidedNode {
            node: name.clone(),
            adapter: avoided.cluster.clone(),
            reason: avoided.reason.clone(),
            since: avoided.since,
            until: avoided.until,
            times: avoided.times,
        };
        inner.nodes.all().iter().map(line).collect()
    }

    /// Forgets what is held against these nodes, or against every node; says which were known.
    pub fn clear(&self, names: &[String]) -> Vec<String> {
        let mut inner = self.lock();
        let cleared: Vec<String> = match names {
            [] => inner.nodes.clear(None),
            some => some.iter().flat_map(|name| inner.nodes.clear(Some(name.as_str()))).collect(),
        };
        inner.dirty |= !cleared.is_empty();
        cleared
    }
}

/// Stores and tells what has changed, until shutdown.
pub async fn run(site: Arc<Site>) {
    let mut loaded = false;
    loop {
        let outcome = match loaded {
            true => settle(&site).await,
            false => site.nodes.load(&site).await,
        };
        if !loaded && outcome.is_ok() {
            loaded = true;
            continue;
        }
        site.settle("nodes", outcome);
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = site.nodes_bell.notified() => {}
            () = tokio::time::sleep(site.config.daemon.tick) => {}
        }
    }
}

async fn settle(site: &Arc<Site>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let (at_fault, stored, avoided) = {
        let mut inner = site.nodes.lock();
        let stored = std::mem::take(&mut inner.dirty).then(|| inner.nodes.all().clone());
        let avoided: BTreeMap<String, Avoided> =
            inner.nodes.avoided(now).map(|(name, avoided)| (name.clone(), avoided.clone())).collect();
        (std::mem::take(&mut inner.at_fault), stored, avoided)
    };
    if let Some(nodes) = &stored {
        let outcome = store(site, nodes, &at_fault).await;
        if outcome.is_err() {
            let mut inner = site.nodes.lock();
            inner.dirty = true;
            inner.at_fault.extend(at_fault);
        }
        outcome?;
        site.planner_bell.notify_one();
    }
    tell(site, &avoided).await;
    Ok(())
}

async fn store(
    site: &Site,
    nodes: &BTreeMap<String, Avoided>,
    at_fault: &[AtFault],
) -> Result<(), StoreError> {
    let rows = nodes.iter().map(|(name, avoided)| {
        let Avoided { cluster, reason, since, until, times } = avoided.clone();
        (name.clone(), StoredNode { cluster, reason, since, until, times })
    });
    site.writer.store_nodes(&rows.collect()).await?;
    for AtFault { node, tasks } in at_fault {
        tracing::warn!(node, tasks = tasks.len(), "a node is at fault: it is avoided");
        site.writer.forgive(tasks, node).await?;
    }
    Ok(())
}

/// Tells runners by a file and people by the list of troubles.
async fn tell(site: &Arc<Site>, avoided: &BTreeMap<String, Avoided>) {
    let names: BTreeSet<String> = avoided.keys().cloned().collect();
    let before = site.nodes.lock().told.clone();
    for name in before.iter().flatten().filter(|name| !names.contains(*name)) {
        site.troubles.clear(&subject(name));
    }
    for (name, avoided) in avoided {
        let until = avoided.until;
        let message = format!(
            "avoided until {until:.0}: {}; `qcbatch nodes clear {name}` tries it at once",
            avoided.reason
        );
        site.troubles.note(&subject(name), message);
    }
    if before.as_ref() == Some(&names) {
        return;
    }
    let path = site.spool.avoided_nodes();
    let nodes = avoided.iter().map(|(name, avoided)| (name.clone(), avoided.reason.clone())).collect();
    let written = tokio::task::spawn_blocking(move || write(&path, &AvoidedNodes { nodes })).await;
    match written {
        Ok(Ok(())) => {
            site.troubles.clear("list of avoided nodes");
            site.nodes.lock().told = Some(names);
        }
        Ok(Err(error)) => site.troubles.note("list of avoided nodes", chain(&error)),
        Err(_interrupted) => {}
    }
}

fn write(path: &Path, list: &AvoidedNodes) -> Result<(), crate::spool::SpoolError> {
    if list.nodes.is_empty() && !path.exists() {
        return Ok(());
    }
    avoided::write(path, list)
}

fn subject(name: &str) -> String {
    format!("node {name}")
}
