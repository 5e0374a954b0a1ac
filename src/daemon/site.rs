//! What every loop of the daemon shares: configuration, store, pools, and the bells by which loops wake each other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::clusters::Cluster;
use super::doubts::Doubts;
use super::lease::Lease;
use super::pools::Pool;
use super::troubles::Troubles;
use crate::config::Config;
use crate::jobscript::TemplateSet;
use crate::model::identity::DatabaseId;
use crate::model::ids::PoolName;
use crate::spool::layout::Spool;
use crate::store::{Store, StoreError, Writer};

/// The shared state of a running daemon.
pub struct Site {
    /// The configuration it was started with.
    pub config: Arc<Config>,
    /// For reads.
    pub store: Store,
    /// For writes; checks the lease.
    pub writer: Writer,
    /// Every pool, in the order of the configuration.
    pub pools: Vec<Arc<Pool>>,
    /// Every scheduler that a pool uses.
    pub clusters: Vec<Arc<Cluster>>,
    /// Where jobs' files are.
    pub spool: Spool,
    /// Who the database is.
    pub database: DatabaseId,
    /// The lease, which every effect outside the database shows.
    pub lease: Arc<Lease>,
    /// Our own program, which job scripts start as node runner. Found once, at the start: a program that was replaced
    /// since is called "deleted" by the kernel, and its path is the new one's.
    pub program: PathBuf,
    /// The Python worker, where nodes find it.
    pub worker_script: PathBuf,
    /// Job script templates.
    pub templates: TemplateSet,
    /// Rung when tasks arrived or jobs ended: the planner looks at once.
    pub planner_bell: Arc<Notify>,
    /// Rung when chunks were planned.
    pub stager_bell: Arc<Notify>,
    /// Rung when a submission was planned.
    pub submitter_bell: Arc<Notify>,
    /// Grows with each stored batch of results: those who wait for records look again.
    pub stored: watch::Sender<u64>,
    /// Batches of results that the database failed to store.
    pub doubts: Doubts,
    /// When a person last cancelled work.
    pub cancelled_on: Arc<watch::Sender<Option<Instant>>>,
    /// What is wrong right now.
    pub troubles: Troubles,
    /// Cancelled when the daemon stops.
    pub shutdown: CancellationToken,
}

impl Site {
    /// The site's name.
    pub fn name(&self) -> &str {
        &self.config.site.name
    }

    /// The pool of that name, if it is still configured.
    pub fn pool(&self, name: &PoolName) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.config.name == *name)
    }

    /// How long ago a person cancelled work; none where nobody did since the start.
    pub fn since_cancel(&self) -> Option<Duration> {
        self.cancelled_on.borrow().map(|at| at.elapsed())
    }

    /// Tells everyone who waits for records to look again.
    pub fn ring_stored(&self) {
        self.stored.send_modify(|count| *count += 1);
    }

    /// Notes how a pass of `subject` over the database went. A database that is away is waited for; a lost lease stops
    /// the daemon; anything else is a trouble to be shown.
    pub fn settle(&self, subject: &str, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) => self.troubles.clear(subject),
            Err(StoreError::LeaseLost { .. }) => self.shutdown.cancel(),
            Err(error) => self.troubles.note(subject, crate::daemon::troubles::chain(&error)),
        }
    }
}
