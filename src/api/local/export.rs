//! `POST /v1/records/export`: results as JSON lines, streamed from the store in pages.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::body::Query;
use super::error::{ApiError, chain};
use super::state::ApiState;
use crate::api::wire::NDJSON;
use crate::model::ids::RecordId;
use crate::model::view::RecordFilter;

/// Results read at once; a Hessian of a large molecule is some megabytes.
const PAGE: u32 = 50;

/// State, filter, and the page to read next: the first, or the one after a record; none after the last.
type Position = (Arc<ApiState>, RecordFilter, Option<Option<RecordId>>);

/// Streams complete records, oldest first. A failure in mid-stream breaks the connection off, which the client reports:
/// a shorter export is never taken for a whole one.
pub(super) async fn export(
    State(state): State<Arc<ApiState>>,
    Query(filter): Query<RecordFilter>,
) -> Result<Response, ApiError> {
    let pages = stream::try_unfold((state, filter, Some(None)), async |(state, filter, after): Position| {
        let Some(after) = after else { return Ok(None) };
        let page = state.store.export(&filter, after, PAGE).await.inspect_err(|error| {
            tracing::warn!(error = %chain(error), "an export broke off: {}", chain(error));
        })?;
        let mut bytes = Vec::new();
        for (_, result) in &page.results {
            bytes.extend_from_slice(result.to_string().as_bytes());
            bytes.push(b'\n');
        }
        Ok::<_, crate::store::StoreError>(Some((Bytes::from(bytes), (state, filter, page.next.map(Some)))))
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(pages)).into_response())
}
