//! The site's lease: taken at start, and shown by every effect outside the database.
//! Waits for a lease that runs out, takes over from a daemon that is surely dead.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::error::DaemonError;
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

    /// Gives it back at the end, so that the next daemon need not wait. From now on no effect is permitted, also to work
    /// that did not end in time.
    pub async fn give_back(&self) {
        self.gate.close_for_good();
        if self.lost.is_cancelled() {
            return;
        }
        if let Err(error) = self.connection.lock().await.release().await {
            tracing::warn!(error = chain(&error), "the lease could not be given back; it runs out by itself");
        }
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
            if self.gate.is_closed_for_good() {
                return permit.check().map(|()| permit);
            }
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

/// While it waits, a daemon asks whether the lease has become free at least so often.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// Takes the lease of the configured site. Stands by while a daemon of another host or container has it; nothing when told
/// to stop meanwhile.
pub async fn take(
    store: &Store,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<Option<Lease>, DaemonError> {
    let site = &config.site.name;
    let ttl = config.daemon.lease;
    let us = LeaseHolder::this_process().map_err(DaemonError::Process)?;
    let mut before = Predecessor::Here;
    let mut take_over = TakeOver::WhenExpired;
    let mut standing_by: Option<LeaseHolder> = None;
    loop {
        let asked = since_boot().map_err(DaemonError::Process)?;
        let answer = tokio::select! {
            answer = store.acquire(site, &us, ttl, take_over.clone()) => answer,
            () = shutdown.cancelled() => return Ok(None),
        };
        let pause = match answer {
            Ok(LeaseAnswer::Held { fence, former }) => {
                if former.is_some_and(|holder| holder.hostname != us.hostname) {
                    before = Predecessor::Elsewhere;
                }
                let gate = Arc::new(Gate::default());
                gate.open_until(asked + ttl - margin(ttl));
                let connection = Mutex::new(store.lease_connection(site, fence, ttl));
                let lost = CancellationToken::new();
                return Ok(Some(Lease { fence, before, ttl, gate, connection, lost }));
            }
            Ok(LeaseAnswer::HeldBy { holder, .. }) if holder.is_surely_dead() => {
                tracing::info!(pid = holder.pid, "takes over from a daemon that died");
                take_over = TakeOver::From(holder);
                continue;
            }
            Ok(LeaseAnswer::HeldBy { holder, .. }) if holder.is_surely_alive_here() => {
                let (hostname, pid) = (holder.hostname, holder.pid);
                return Err(DaemonError::HeldByOther { site: site.clone(), hostname, pid });
            }
            Ok(LeaseAnswer::HeldBy { holder, expires_in }) => {
                if standing_by.as_ref() != Some(&holder) {
                    tracing::info!(
                        hostname = holder.hostname,
                        pid = holder.pid,
                        ?expires_in,
                        "stands by: another daemon has the lease, and this one takes over when it falls silent or stops"
                    );
                    standing_by = Some(holder);
                }
                expires_in
            }
            // It was there before, and may come back.
            Err(error) if standing_by.is_some() && error.is_away() => {
                tracing::warn!(error = chain(&error), "stands by: the database does not answer");
                LONGEST_PAUSE
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = tokio::time::sleep(pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}
