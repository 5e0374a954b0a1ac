//! Takes the site's lease at start: waits for one that runs out, takes over from a daemon that is surely dead.

use std::time::Duration;

use super::error::DaemonError;
use super::site::Site;
use crate::config::Config;
use crate::model::ids::Fence;
use crate::store::Store;
use crate::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};

/// A lease that is ours.
pub struct Lease {
    /// What writes carry.
    pub fence: Fence,
    /// Where the daemon before this one ran.
    pub before: Predecessor,
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
        match store.acquire(site, &us, ttl, take_over.clone()).await? {
            LeaseAnswer::Held(fence) => return Ok(Lease { fence, before }),
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
pub async fn give_back(store: &Store, site: &Site, fence: Fence) {
    if let Err(error) = store.release(site.name(), fence).await {
        tracing::warn!(%error, "the lease could not be given back; it runs out by itself");
    }
}
