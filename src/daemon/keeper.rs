//! Keeps the site's lease. A daemon that lost it stops at once: another one is at work.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::troubles::Troubles;
use crate::model::ids::Fence;
use crate::store::{Store, StoreError};

/// Renews until shutdown, or until another daemon has taken the lease; then every loop stops.
pub async fn run(
    store: Store,
    site: String,
    fence: Fence,
    ttl: Duration,
    troubles: Troubles,
    shutdown: CancellationToken,
) -> LeaseEnd {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return LeaseEnd::Stopped,
            () = tokio::time::sleep(ttl / 4) => {}
        }
        match store.renew(&site, fence, ttl).await {
            Ok(()) => troubles.clear("lease"),
            Err(StoreError::LeaseLost { .. }) => {
                tracing::error!(site, fence = fence.0, "another daemon took this site's lease");
                shutdown.cancel();
                return LeaseEnd::Lost;
            }
            Err(error) => troubles.note("lease", format!("cannot be renewed: {error}")),
        }
    }
}

/// Why the keeper stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseEnd {
    /// The daemon stops.
    Stopped,
    /// Another daemon holds the site now.
    Lost,
}
