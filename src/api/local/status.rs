//! `GET /v1/status`: what the loops know, with the store's counts.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::time::timeout;

use super::error::chain;
use super::state::ApiState;
use crate::model::view::{PoolSummary, StatusSummary};
use crate::plan::fit::{self, Demand};
use crate::store::StoreError;
use crate::store::waiting::MOST_COUNTED;

/// How long counting may take: who asks while the database is in trouble wants an answer.
const COUNT_LIMIT: Duration = Duration::from_secs(10);

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
        database_away: None,
        pools: daemon.pools,
        waiting: Vec::new(),
        troubles: daemon.troubles,
    };
    let counted = timeout(COUNT_LIMIT, state.store.status(&summary.site)).await;
    match counted.map_err(|_| format!("no answer within {} s", COUNT_LIMIT.as_secs())) {
        Ok(Ok(counts)) => {
            summary.records = counts.records;
            summary.reports_aside = counts.reports_aside;
            for pool in &mut summary.pools {
                pool.jobs = counts.jobs.get(&pool.name).cloned().unwrap_or_default();
            }
            summary.waiting = waiting(&state, &summary.pools)
                .await
                .unwrap_or_else(|error| vec![format!("why records wait cannot be read: {}", chain(&error))]);
        }
        Ok(Err(error)) => summary.database_away = Some(chain(&error)),
        Err(message) => summary.database_away = Some(message),
    }
    Json(summary)
}

/// What keeps records waiting that no trouble tells of.
async fn waiting(state: &ApiState, pools: &[PoolSummary]) -> Result<Vec<String>, StoreError> {
    let offers = (state.offers)();
    let mut lines = Vec::new();
    for waiting in state.store.waiting_demands().await? {
        let demand = Demand {
            required_programs: &waiting.required_programs,
            compute_tag: &waiting.compute_tag,
            pool: waiting.pool.as_ref(),
            asks: &state.config.defaults.complete(&waiting.asks),
        };
        if let Some(never) = fit::no_pool(&offers, &demand) {
            let count = match waiting.tasks {
                1 => "one record waits".to_owned(),
                many if many > MOST_COUNTED => format!("more than {MOST_COUNTED} records wait"),
                many => format!("{many} records wait"),
            };
            lines.push(format!("{count}: {never}"));
        }
    }
    // Whatever else stands in a pool's way is paused or failing, and told as such.
    let full = pools.iter().filter(|pool| pool.paused.is_none() && !pool.obstacles.is_empty());
    lines.extend(full.map(|pool| format!("pool {}: {}", pool.name, pool.obstacles.join("; "))));
    Ok(lines)
}
