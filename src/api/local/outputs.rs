//! What programs wrote: outputs of attempts and native files, as bytes.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::ErrorCode;
use crate::model::ids::RecordId;
use crate::store::OutputType;

/// `GET /v1/records/{id}/attempts/{history_id}/{stdout|stderr|error}`.
pub(super) async fn output(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<(RecordId, i64, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path((id, history_id, name)) = path?;
    let missing =
        || ApiError::new(ErrorCode::NotFound, format!("record {id} has no `{name}` of attempt {history_id}"));
    let output = OutputType::parse(&name).ok_or_else(missing)?;
    let text = state.store.output(id, Some(history_id), output).await?.ok_or_else(missing)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// `GET /v1/records/{id}/native-files/{name}`.
pub(super) async fn native_file(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<(RecordId, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path((id, name)) = path?;
    let missing = || ApiError::new(ErrorCode::NotFound, format!("record {id} has no native file `{name}`"));
    let bytes = state.store.native_file(id, &name).await?.ok_or_else(missing)?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
