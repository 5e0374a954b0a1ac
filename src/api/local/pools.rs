//! `POST /v1/pools/resume`: a pool that was paused submits again at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{ErrorCode, ResumeQuery, Resumed};

/// Ends every pause of the pool, and of its submissions that wait for a time.
pub(super) async fn resume(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<ResumeQuery>,
) -> Result<Json<Resumed>, ApiError> {
    state.writer()?.hasten_submissions(&query.pool).await?;
    let Some(resumed) = (state.resume)(&query.pool) else {
        let there: Vec<String> = (state.offers)().iter().map(|offer| offer.pool.to_string()).collect();
        return Err(ApiError::new(ErrorCode::NotFound, format!("there is no pool `{}`", query.pool))
            .with_hint(format!("the pools are: {}", there.join(", "))));
    };
    Ok(Json(resumed))
}
