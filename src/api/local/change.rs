//! `POST /v1/records/cancel` and `/v1/records/retry`. The transaction runs in a task of its own: a client that hangs up
//! does not break it.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{ChangeQuery, ChangeReceipt, ErrorCode, Reach, RefusedChange};
use crate::model::ids::RecordId;
use crate::model::view::RecordFilter;
use crate::store::StoreError;

/// Records that did not change are told up to so many.
const MOST_REFUSED: usize = 20;

/// Cancels records that have not ended, and asks for the end of jobs that have nothing else to do.
pub(super) async fn cancel(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<ChangeQuery>,
) -> Result<Json<ChangeReceipt>, ApiError> {
    check_reach(&query)?;
    let writer = state.writer()?;
    let cancelling = async move {
        let outcome = writer.cancel(&query.filter).await?;
        writer.request_cancel(&outcome.jobs_without_work).await?;
        Ok::<_, StoreError>(outcome)
    };
    let outcome = tokio::spawn(cancelling).await??;
    state.cancelled_on.send_replace(Some(Instant::now()));
    state.wake.notify_one();
    Ok(Json(receipt(outcome.cancelled.len(), outcome.refused)))
}

/// Makes failed and cancelled records wait again.
pub(super) async fn retry(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<ChangeQuery>,
) -> Result<Json<ChangeReceipt>, ApiError> {
    check_reach(&query)?;
    let writer = state.writer()?;
    let outcome = tokio::spawn(async move { writer.retry(&query.filter).await }).await??;
    state.wake.notify_one();
    Ok(Json(receipt(outcome.retried.len(), outcome.refused)))
}

fn receipt(changed: usize, refused: Vec<(RecordId, String)>) -> ChangeReceipt {
    let told = refused.into_iter().take(MOST_REFUSED);
    ChangeReceipt {
        changed: changed as u64,
        refused: told.map(|(record_id, reason)| RefusedChange { record_id, reason }).collect(),
    }
}

fn check_reach(query: &ChangeQuery) -> Result<(), ApiError> {
    if query.reach == Reach::Filtered && query.filter == RecordFilter::default() {
        return Err(ApiError::new(
            ErrorCode::BadRequest,
            "an empty filter must come with `\"reach\": \"everything\"`",
        ));
    }
    Ok(())
}
