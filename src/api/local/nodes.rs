//! `GET /v1/nodes` and `POST /v1/nodes/clear`: nodes that are avoided, and the end of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{ClearNodesQuery, ClearedNodes, ErrorCode, Reach};
use crate::model::view::AvoidedNode;

/// Nodes that are avoided, and those that were lately.
pub(super) async fn list(State(state): State<Arc<ApiState>>) -> Json<Vec<AvoidedNode>> {
    Json((state.nodes)())
}

/// Lets nodes be used again at once.
pub(super) async fn clear(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<ClearNodesQuery>,
) -> Result<Json<ClearedNodes>, ApiError> {
    if query.nodes.is_empty() && query.reach == Reach::Filtered {
        return Err(ApiError::new(
            ErrorCode::BadRequest,
            "an empty list of nodes must come with `\"reach\": \"everything\"`",
        ));
    }
    Ok(Json(ClearedNodes { cleared: (state.clear_nodes)(&query.nodes) }))
}
