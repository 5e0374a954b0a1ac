//! Keeps the site's lease. A daemon that lost it stops at once: another one is at work.

use std::sync::Arc;
use std::time::Duration;

use super::lease::Lease;
use super::site::Site;
use crate::store::StoreError;

/// A renewal that failed is repeated after this, then more and more slowly.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Renews until shutdown, or until another daemon has taken the lease; then every loop stops.
///
/// While no renewal succeeds, the lease's gate closes by itself before the lease can go to another daemon, and every effect
/// outside the database waits. It opens again with the next renewal if nobody took the lease.
pub async fn run(site: Arc<Site>, lease: Arc<Lease>) -> LeaseEnd {
    let usual = lease.ttl() / 4;
    let mut pause = usual;
    loop {
        tokio::select! {
            biased;
            () = lease.lost() => return lose(&site),
            () = site.shutdown.cancelled() => return LeaseEnd::Stopped,
            () = tokio::time::sleep(pause) => {}
        }
        match lease.renew().await {
            Ok(()) => {
                pause = usual;
                site.troubles.clear("lease");
            }
            Err(StoreError::LeaseLost { .. }) => return lose(&site),
            Err(error) => {
                pause = if pause == usual { FIRST_PAUSE } else { pause * 2 }.min(usual);
                site.troubles.note("lease", format!("cannot be renewed: {error}"));
            }
        }
    }
}

fn lose(site: &Site) -> LeaseEnd {
    tracing::error!(site = site.name(), "another daemon took this site's lease");
    site.shutdown.cancel();
    LeaseEnd::Lost
}

/// Why the keeper stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseEnd {
    /// The daemon stops.
    Stopped,
    /// Another daemon holds the site now.
    Lost,
}
