//! `POST /v1/records/query` and `GET /v1/records/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::RecordQuery;
use crate::model::ids::RecordId;
use crate::model::view::{RecordDetail, RecordPage};

/// Most records of a page.
const LARGEST_PAGE: u32 = 1000;

/// One page of records, newest first.
pub(super) async fn query(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<RecordQuery>,
) -> Result<Json<RecordPage>, ApiError> {
    let limit = query.limit.clamp(1, LARGEST_PAGE);
    Ok(Json(state.store.list(&query.filter, query.before, limit).await?))
}

/// Everything about one record.
pub(super) async fn detail(
    State(state): State<Arc<ApiState>>,
    id: Result<Path<RecordId>, PathRejection>,
) -> Result<Json<RecordDetail>, ApiError> {
    let Path(id) = id?;
    state.store.detail(id).await?.map(Json).ok_or_else(|| ApiError::no_record(id))
}
