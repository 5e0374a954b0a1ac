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
use crate::model::view::{PoolSummary, RecordDetail, RecordPage, TaskLine};
use crate::plan::fit::{self, Demand};
use crate::plan::waiting;

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
        let stored = task.waiting_reason.take().unwrap_or_default();
        task.waiting_reason = Some(why_it_waits(&state, task, &detail.line.compute_tag, &stored));
    }
    Ok(Json(detail))
}

/// Why a task waits: no pool can ever run it, or what stands in the way of those that can.
fn why_it_waits(state: &ApiState, task: &TaskLine, compute_tag: &str, stored: &str) -> String {
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
    if let Some(never) = fit::no_pool(&offers, &demand) {
        return never;
    }
    let fit = |pool: &PoolSummary| {
        offers.iter().any(|offer| offer.pool == pool.name && fit::misfit(offer, &demand).is_none())
    };
    let pools = (state.status)().pools.into_iter().filter(fit);
    waiting::because(stored, &pools.map(|pool| (pool.name, pool.obstacles)).collect::<Vec<_>>())
}
