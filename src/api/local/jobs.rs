//! `POST /v1/jobs/query` and `POST /v1/records/jobs`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{ErrorCode, JobQuery, RecordJob, RecordJobsQuery};
use crate::model::ids::RecordId;
use crate::model::view::JobLine;
use crate::store::job_line::JobOfRecord;

/// Most jobs of one answer, and most records asked about at once.
const MOST: usize = 10_000;

/// Jobs, newest first.
pub(super) async fn query(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<JobQuery>,
) -> Result<Json<Vec<JobLine>>, ApiError> {
    let limit = query.limit.clamp(1, MOST as u32);
    Ok(Json(state.store.jobs(&query.pool, &query.state, limit).await?))
}

/// The job of each record, in the order asked.
pub(super) async fn of_records(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<RecordJobsQuery>,
) -> Result<Json<Vec<RecordJob>>, ApiError> {
    if query.ids.len() > MOST {
        return Err(ApiError::new(
            ErrorCode::TooLarge,
            format!("at most {MOST} records can be asked about at once"),
        ));
    }
    let found = state.store.jobs_of_records(&query.ids).await?;
    let found: HashMap<RecordId, JobOfRecord> =
        found.into_iter().map(|found| (found.record_id, found)).collect();
    let answer = |id: RecordId| {
        let found = found.get(&id).ok_or_else(|| ApiError::no_record(id))?;
        let JobOfRecord { status, waiting_reason, job, .. } = found.clone();
        Ok(RecordJob { record_id: id, status, waiting_reason, job })
    };
    query.ids.into_iter().map(answer).collect::<Result<_, ApiError>>().map(Json)
}
