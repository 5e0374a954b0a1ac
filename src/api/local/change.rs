//! `POST /v1/records/cancel` and `/v1/records/retry`. The transaction runs in a task of its own: a client that hangs up
//! does not break it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{ChangeQuery, ChangeReceipt, ErrorCode, Reach};
use crate::model::view::RecordFilter;
use crate::store::StoreError;

/// Cancels records that have not ended.
pub(super) async fn cancel(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<ChangeQuery>,
) -> Result<Json<ChangeReceipt>, ApiError> {
    check_reach(&query)?;
    let writer = state.writer()?;
    let outcome = tokio::spawn(async move {
        let outcome = writer.cancel(&query.filter).await?;
        // The daemon ends jobs that are left without work.
        writer.request_cancel(&outcome.jobs_without_work).await?;
        Ok::<_, StoreError>(outcome)
    })
    .await??;
    state.wake.notify_one();
    Ok(Json(ChangeReceipt { changed: outcome.cancelled.len() as u64 }))
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
    Ok(Json(ChangeReceipt { changed: outcome.retried.len() as u64 }))
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
