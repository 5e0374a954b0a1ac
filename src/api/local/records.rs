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
use crate::model::resources::TaskResources;
use crate::model::view::{RecordDetail, RecordPage, TaskLine};
use crate::plan::fit::{self, Closed, Demand};

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
    let mut detail = state.store.detail(id).await?.ok_or_else(|| ApiError::no_record(id))?;
    if let Some(task) =
        detail.task.as_mut().filter(|task| task.job.is_none() && task.waiting_reason.is_some())
    {
        let why = why_no_pool(&state, task, &detail.line.compute_tag);
        task.waiting_reason = why.or_else(|| task.waiting_reason.take());
    }
    Ok(Json(detail))
}

/// Why no pool can ever run a waiting task, or takes it for now.
fn why_no_pool(state: &ApiState, task: &TaskLine, compute_tag: &str) -> Option<String> {
    let asks = TaskResources {
        cores: task.cores.and_then(|cores| u32::try_from(cores).ok()),
        memory_bytes: task.memory_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        walltime_seconds: task.walltime_seconds.and_then(|seconds| u64::try_from(seconds).ok()),
        gpus: task.gpus,
        nodes: task.nodes,
    };
    let demand = Demand {
        required_programs: &task.required_programs,
        compute_tag,
        pool: task.pool.as_ref(),
        asks: &state.config.defaults.complete(&asks),
    };
    let offers = (state.offers)();
    fit::no_pool(&offers, &demand).or_else(|| fit::closed_to(&offers, &closed_pools(state), &demand))
}

/// Pools that take nothing for a while, or nothing that needs Python.
fn closed_pools(state: &ApiState) -> Vec<Closed> {
    let native = &state.config.worker.native_programs;
    let closed = (state.status)().pools.into_iter().filter_map(|pool| {
        let (except, reason) = match (pool.paused, pool.without_python) {
            (Some(reason), _) => (Vec::new(), reason),
            (None, Some(reason)) => (native.clone(), reason),
            (None, None) => return None,
        };
        Some(Closed { pool: pool.name, except, reason })
    });
    closed.collect()
}
