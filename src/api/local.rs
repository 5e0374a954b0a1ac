//! The server of the local API: HTTP/1.1 and JSON on the daemon's Unix socket, for the CLI. One file per resource.
//! Handlers read the store, hand writes to its writer and wake the daemon; they decide nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

mod aside;
mod bench;
mod body;
mod change;
mod error;
mod export;
pub mod intake;
mod jobs;
pub mod listen;
mod live_log;
mod outputs;
mod peer;
mod predict;
mod preview;
mod records;
mod runnable;
mod state;
mod status;
mod submit;
mod wait;

pub use crate::api::wire::PreviewedSubmission;
pub use listen::{ListenError, LocalSocket};
pub use state::{ApiState, Preview, PreviewRefused, SchedulerMeter};

/// Largest request but for submissions, which are streamed: a filter of some hundred thousand ids fits.
const LARGEST_QUERY: usize = 16 << 20;

/// How long requests that are under way may take once the daemon stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// Every route, without the check of the peer.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/submit", post(submit::submit))
        .route("/v1/preview", post(preview::preview))
        .route("/v1/predict", post(predict::predict))
        .route("/v1/records/query", post(records::query))
        .route("/v1/records/wait", post(wait::wait))
        .route("/v1/records/jobs", post(jobs::of_records))
        .route("/v1/records/cancel", post(change::cancel))
        .route("/v1/records/retry", post(change::retry))
        .route("/v1/records/export", post(export::export))
        .route("/v1/records/{id}", get(records::detail))
        .route("/v1/records/{id}/attempts/{attempt}/{output}", get(outputs::output))
        .route("/v1/records/{id}/native-files/{name}", get(outputs::native_file))
        .route("/v1/records/{id}/live-log", get(live_log::live_log))
        .route("/v1/jobs/query", post(jobs::query))
        .route("/v1/spool/aside/query", post(aside::query))
        .route("/v1/spool/aside/adopt", post(aside::adopt))
        .route("/v1/spool/aside/remove", post(aside::remove))
        .route("/v1/bench/timings", post(bench::timings))
        .route("/v1/bench/open", post(bench::open))
        .route("/v1/bench/meters", post(bench::meters))
        .route("/v1/bench/remove", post(bench::remove))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_QUERY))
        .with_state(state)
}

/// Answers requests at `socket` until `state.stopping` is cancelled; then what is under way may end within ten seconds.
pub async fn serve(mut socket: LocalSocket, state: Arc<ApiState>) -> std::io::Result<()> {
    let Some(listener) = socket.take_listener() else { return Ok(()) };
    let stopping: CancellationToken = state.stopping.clone();
    let service = router(state)
        .layer(middleware::from_fn(peer::check))
        .into_make_service_with_connect_info::<peer::Peer>();
    let serving = axum::serve(listener, service)
        .with_graceful_shutdown(stopping.clone().cancelled_owned())
        .into_future();
    tokio::select! {
        served = serving => served,
        () = async { stopping.cancelled().await; tokio::time::sleep(FAREWELL).await } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let (code, _) = include_str!("local.rs").split_once("#[cfg(test)]").unwrap();
        let mut routes: Vec<String> = code
            .lines()
            .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", "))
            .map(|(path, handler)| {
                let method = if handler.starts_with("get(") { "GET" } else { "POST" };
                format!("{method} {path}").replace("{attempt}", "{history_id}")
            })
            .collect();
        let page = include_str!("../../docs/local-api.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let mut documented: Vec<String> = rows.map(|(request, _)| request.to_owned()).collect();
        routes.sort();
        documented.sort();
        assert_eq!(routes, documented);
        assert!(routes.len() > 10, "{routes:?}");
    }
}
