//! `POST /v1/spool/aside/…`: reports that fit no task, to be listed, adopted or removed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{AsideChange, AsideQuery, AsideReceipt, ErrorCode, Reach, RefusedAside};
use crate::model::ids::AsideId;
use crate::model::view::AsideLine;
use crate::store::{StoreError, Writer};

/// Most lines of one answer.
const MOST: u32 = 10_000;
/// Reports that did not change are told up to so many.
const MOST_REFUSED: usize = 20;

/// Reports that are kept aside, newest first.
pub(super) async fn query(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<AsideQuery>,
) -> Result<Json<Vec<AsideLine>>, ApiError> {
    let limit = query.limit.clamp(1, MOST);
    Ok(Json(state.store.reports_aside(&state.config.site.name, limit).await?))
}

/// Stores results that were kept aside, as far as they are those of their records.
pub(super) async fn adopt(
    State(state): State<Arc<ApiState>>,
    Query(change): Query<AsideChange>,
) -> Result<Json<AsideReceipt>, ApiError> {
    let ids = ids(&state, change).await?;
    let writer = state.writer()?;
    let receipt = tokio::spawn(async move { adopt_all(&writer, ids).await }).await??;
    state.wake.notify_one();
    Ok(Json(receipt))
}

async fn adopt_all(writer: &Writer, ids: Vec<AsideId>) -> Result<AsideReceipt, StoreError> {
    let mut receipt = AsideReceipt::default();
    for id in ids {
        match writer.adopt_report_aside(id).await? {
            Ok(_) => receipt.changed += 1,
            Err(reason) => {
                receipt.unchanged += 1;
                if receipt.refused.len() < MOST_REFUSED {
                    receipt.refused.push(RefusedAside { id, reason });
                }
            }
        }
    }
    Ok(receipt)
}

/// Removes reports for good.
pub(super) async fn remove(
    State(state): State<Arc<ApiState>>,
    Query(change): Query<AsideChange>,
) -> Result<Json<AsideReceipt>, ApiError> {
    let ids = ids(&state, change).await?;
    let writer = state.writer()?;
    let asked = ids.clone();
    let removed = tokio::spawn(async move { writer.remove_reports_aside(&asked).await }).await??;
    let missing: Vec<AsideId> = ids.into_iter().filter(|id| !removed.contains(id)).collect();
    let unchanged = missing.len() as u64;
    let reason = || "there is no such report".to_owned();
    let told = missing.into_iter().take(MOST_REFUSED).map(|id| RefusedAside { id, reason: reason() });
    Ok(Json(AsideReceipt { changed: removed.len() as u64, unchanged, refused: told.collect() }))
}

async fn ids(state: &ApiState, change: AsideChange) -> Result<Vec<AsideId>, ApiError> {
    match (change.ids.is_empty(), change.reach) {
        (false, _) => Ok(change.ids),
        (true, Reach::Everything) => Ok(state.store.ids_of_reports_aside(&state.config.site.name).await?),
        (true, Reach::Filtered) => Err(ApiError::new(
            ErrorCode::BadRequest,
            "an empty list of ids must come with `\"reach\": \"everything\"`",
        )),
    }
}
