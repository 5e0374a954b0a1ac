//! `POST /v1/records/wait`: a long poll on how records stand.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::time::{Instant, sleep, sleep_until};

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{StatusCounts, WaitQuery};

/// Longest time that an answer is held back.
const LONGEST: u64 = 60;

/// Between two looks at the database, however often something is stored.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// A change by other hands (another daemon, the portal) is seen after this at the latest.
const MOST_PAUSE: Duration = Duration::from_secs(10);

/// Counts the records; holds the answer back while it would say nothing new.
pub(super) async fn wait(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<StatusCounts>, ApiError> {
    let deadline = Instant::now() + Duration::from_secs(query.timeout_seconds.min(LONGEST));
    let mut stored = state.stored.clone();
    loop {
        stored.mark_unchanged();
        let counts = StatusCounts(state.store.count_by_status(&query.filter).await?);
        let news = query.seen.as_ref() != Some(&counts);
        if news || counts.open() == 0 || Instant::now() >= deadline || state.stopping.is_cancelled() {
            return Ok(Json(counts));
        }
        let pause = sleep(MOST_PAUSE);
        tokio::select! {
            () = pause => {}
            () = sleep_until(deadline) => {}
            () = state.stopping.cancelled() => {}
            () = something_stored(&mut stored) => {}
        }
    }
}

/// Ends a least pause after the next change; never, where nobody will tell.
async fn something_stored(stored: &mut tokio::sync::watch::Receiver<u64>) {
    if stored.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(LEAST_PAUSE).await;
}
