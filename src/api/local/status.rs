//! `GET /v1/status`: what the loops know, with the store's counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::error::chain;
use super::state::ApiState;
use crate::model::view::StatusSummary;

/// Answers also while the database is away: that is when people ask.
pub(super) async fn status(State(state): State<Arc<ApiState>>) -> Json<StatusSummary> {
    let daemon = (state.status)();
    let mut summary = StatusSummary {
        site: daemon.site,
        version: daemon.version,
        pid: daemon.pid,
        hostname: daemon.hostname,
        started_on: daemon.started_on,
        records: Default::default(),
        reports_aside: 0,
        pools: daemon.pools,
        troubles: daemon.troubles,
    };
    match state.store.status(&summary.site).await {
        Ok(counts) => {
            summary.records = counts.records;
            summary.reports_aside = counts.reports_aside;
            for pool in &mut summary.pools {
                pool.jobs = counts.jobs.get(&pool.name).cloned().unwrap_or_default();
            }
        }
        Err(error) => summary.troubles.push(format!("database: {}", chain(&error))),
    }
    Json(summary)
}
