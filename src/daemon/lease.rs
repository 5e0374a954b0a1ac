//! The site's lease: taken at start, and shown by every effect outside the database.
//! Waits for a lease that runs out, takes over from a daemon that is surely dead.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::error::DaemonError;
use super::site::Site;
use super::troubles::chain;
use crate::config::Config;
use crate::model::ids::Fence;
use crate::permit::{Gate, Guard, NotPermitted, Permit, since_boot};
use crate::store::lease::{LeaseAnswer, LeaseConnection, LeaseHolder, TakeOver};
use crate::store::{Store, StoreError};

/// A lease that is ours, or was.
pub struct Lease {
    /// What writes carry.
    pub fence: Fence,
    /// Where the daemon before this one ran.
    pub before: Predecessor,
    ttl: Duration,
    /// Open while the lease cannot have gone to another daemon.
    gate: Arc<Gate>,
    /// For renewals and checks alone: neither a long write nor a busy pool keeps them waiting.
    connection: Mutex<LeaseConnection>,
    lost: CancellationToken,
}

impl Lease {
    /// How long it holds after each renewal.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Returns once it is known that another daemon has it.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Renews it.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.lock().await;
        self.renew_through(&mut connection).await
    }

    async fn renew_through(&self, connection: &mut LeaseConnection) -> Result<(), StoreError> {
        // Before the question: the database counts from a moment after this one.
        let asked = since_boot();
        let answer = connection.renew().await;
        if let (Ok(()), Ok(asked)) = (&answer, asked) {
            self.gate.open_until(asked + self.ttl - margin(self.ttl));
        }
        self.note_loss(answer)
    }

    fn note_loss(&self, answer: Result<(), StoreError>) -> Result<(), StoreError> {
        if matches!(answer, Err(StoreError::LeaseLost { .. })) {
            self.gate.close_for_good();
            self.lost.cancel();
        }
        answer
    }
}

/// Effects outside the database stop so long before the lease can be taken: one that has passed its last check still needs
/// a moment.
fn margin(ttl: Duration) -> Duration {
    ttl / 4
}

/// Effects are permitted while the database says that the lease is ours, and the last renewal is not too long ago by a
/// clock that counts on while this machine sleeps.
impl Guard for Lease {
    fn permit(&self) -> BoxFuture<'_, Result<Permit, NotPermitted>> {
        Box::pin(async move {
            let permit = Permit::through(&self.gate);
            let mut connection = self.connection.lock().await;
            let proof = match permit.check() {
                Ok(()) => self.note_loss(connection.check().await),
                Err(_) => self.renew_through(&mut connection).await,
            };
            proof.map_err(|error| NotPermitted::because(chain(&error)))?;
            permit.check()?;
            Ok(permit)
        })
    }
}

/// Where the daemon before this one ran: its scheduler clients may still be at work there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Predecessor {
    /// On this host, or there was none.
    Here,
    /// On another host.
    Elsewhere,
}

/// Takes the lease of the configured site.
pub async fn take(store: &Store, config: &Config) -> Result<Lease, DaemonError> {
    let site = &config.site.name;
    let ttl = config.daemon.lease;
    let us = LeaseHolder::this_process().map_err(DaemonError::Process)?;
    let before = match store.last_holder(site).await? {
        Some(holder) if holder.hostname != us.hostname => Predecessor::Elsewhere,
        _ => Predecessor::Here,
    };
    let mut take_over = TakeOver::WhenExpired;
    let mut waited = Duration::ZERO;
    loop {
        let asked = since_boot().map_err(DaemonError::Process)?;
        match store.acquire(site, &us, ttl, take_over.clone()).await? {
            LeaseAnswer::Held(fence) => {
                let gate = Arc::new(Gate::default());
                gate.open_until(asked + ttl - margin(ttl));
                let connection = Mutex::new(store.lease_connection(site, fence, ttl));
                let lost = CancellationToken::new();
                return Ok(Lease { fence, before, ttl, gate, connection, lost });
            }
            LeaseAnswer::HeldBy { holder, .. } if holder.is_surely_dead() => {
                tracing::info!(pid = holder.pid, "takes over from a daemon that died");
                take_over = TakeOver::From(holder);
            }
            LeaseAnswer::HeldBy { holder, expires_in } => {
                if waited > ttl || holder.hostname == us.hostname {
                    let (hostname, pid) = (holder.hostname, holder.pid);
                    return Err(DaemonError::HeldByOther { site: site.clone(), hostname, pid });
                }
                tracing::info!(
                    hostname = holder.hostname,
                    ?expires_in,
                    "waits for another daemon's lease to run out"
                );
                let pause = expires_in.max(Duration::from_millis(200));
                waited += pause;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Gives the lease back at a clean stop.
pub async fn give_back(site: &Site) {
    if let Err(error) = site.store.release(site.name(), site.lease.fence).await {
        tracing::warn!(%error, "the lease could not be given back; it runs out by itself");
    }
}
