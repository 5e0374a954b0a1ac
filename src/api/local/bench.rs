//! `POST /v1/bench/…`: what `qcbatch bench` measures with, and the removal of what it stored. Reads the directories of
//! the jobs that it is asked about.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::task::spawn_blocking;

use super::body::Query;
use super::error::{ApiError, chain};
use super::state::ApiState;
use crate::api::wire::{
    BenchQuery, ErrorCode, JobMeter, MeterQuery, Meters, NDJSON, ProcessMeter, RemovalReceipt, StatusCounts,
};
use crate::model::ids::{NodeIndex, RecordId};
use crate::model::record::RecordStatus;
use crate::model::task::Heartbeat;
use crate::model::timing::BENCH_TAG_PREFIX;
use crate::model::view::RecordFilter;
use crate::process::Usage;
use crate::spool::{Spool, atomic};
use crate::store::StoreError;
use crate::store::timing::JobGround;

/// Lines read at once.
const PAGE: u32 = 5_000;

/// Jobs looked at for one request.
const MOST_JOBS: usize = 1_000;

type Position = (Arc<ApiState>, String, Option<RecordId>);

/// Streams the times of a benchmark's records, oldest first.
pub(super) async fn timings(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<BenchQuery>,
) -> Result<Response, ApiError> {
    check(&query)?;
    let first = Some(first(&query));
    let pages = stream::try_unfold((state, query.compute_tag, first), async |position: Position| {
        let (state, tag, Some(from)) = position else { return Ok(None) };
        let page = state.store.timings(&tag, from, PAGE).await.inspect_err(|error| {
            tracing::warn!(error = %chain(error), "reading times broke off: {}", chain(error));
        })?;
        let next =
            page.last().filter(|_| page.len() == PAGE as usize).map(|line| RecordId(line.record_id.0 + 1));
        let mut bytes = Vec::new();
        for line in &page {
            serde_json::to_writer(&mut bytes, line)
                .map_err(|source| StoreError::Stored { what: "times".to_owned(), source: source.into() })?;
            bytes.push(b'\n');
        }
        Ok::<_, StoreError>(Some((Bytes::from(bytes), (state, tag, next))))
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(pages)).into_response())
}

/// How many of a benchmark's records are not complete, by status.
pub(super) async fn open(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<BenchQuery>,
) -> Result<Json<StatusCounts>, ApiError> {
    check(&query)?;
    Ok(Json(StatusCounts(state.store.open_by_status(&query.compute_tag, first(&query)).await?)))
}

/// What daemon, scheduler, database and jobs have used.
pub(super) async fn meters(
    State(state): State<Arc<ApiState>>,
    Query(mut query): Query<MeterQuery>,
) -> Result<Json<Meters>, ApiError> {
    query.jobs.truncate(MOST_JOBS);
    let scheduler = (state.scheduler_meter)(&query.pool)
        .ok_or_else(|| ApiError::new(ErrorCode::NotFound, format!("there is no pool `{}`", query.pool)))?;
    let usage = Usage::of_this().map_err(|error| ApiError::internal(&error))?;
    let grounds = state.store.job_grounds(&query.jobs).await?;
    let spool = Spool::new(&state.config.spool.path);
    let jobs =
        spawn_blocking(move || grounds.iter().map(|ground| job_meter(&spool, ground)).collect()).await?;
    Ok(Json(Meters {
        daemon: ProcessMeter {
            resident_bytes: usage.resident_bytes,
            peak_resident_bytes: usage.peak_resident_bytes,
            cpu_seconds: usage.cpu_seconds,
        },
        scheduler_calls: scheduler.calls,
        poll_interval_seconds: scheduler.poll_interval.as_secs_f64(),
        database_bytes: state.store.size_bytes().await?,
        jobs,
    }))
}

/// Cancels what is open of a benchmark and removes all of it.
pub(super) async fn remove(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<BenchQuery>,
) -> Result<Json<RemovalReceipt>, ApiError> {
    check(&query)?;
    let writer = state.writer()?;
    let removing = async move {
        let open = RecordFilter {
            compute_tag: vec![query.compute_tag.clone()],
            status: vec![RecordStatus::Waiting, RecordStatus::Running],
            ..RecordFilter::default()
        };
        let cancelled = writer.cancel(&open).await?;
        writer.request_cancel(&cancelled.jobs_without_work).await?;
        let removed = writer.remove_bench(&query.compute_tag, first(&query)).await?;
        Ok::<_, StoreError>(RemovalReceipt {
            cancelled: cancelled.cancelled.len() as u64,
            records: removed.records,
            molecules: removed.molecules,
        })
    };
    let receipt = tokio::spawn(removing).await??;
    state.wake.notify_one();
    Ok(Json(receipt))
}

fn check(query: &BenchQuery) -> Result<(), ApiError> {
    if query.compute_tag.starts_with(BENCH_TAG_PREFIX) {
        return Ok(());
    }
    let message = format!(
        "`{}` is not the compute tag of a benchmark: those begin with `{BENCH_TAG_PREFIX}`",
        query.compute_tag
    );
    Err(ApiError::new(ErrorCode::BadRequest, message))
}

fn first(query: &BenchQuery) -> RecordId {
    query.from.unwrap_or(RecordId(0))
}

/// Counts a job's files and reads its heartbeat; what cannot be read is not told.
fn job_meter(spool: &Spool, ground: &JobGround) -> JobMeter {
    let directory = spool.submission(&ground.pool, &ground.tag).job(ground.array_index);
    let count = |path: &Path| fs::read_dir(path).ok().map(|entries| entries.count() as u64);
    let further = (1..).map(|node| directory.node(NodeIndex(node)));
    let further = further.map_while(|node| count(node.path())).sum::<u64>();
    let entries = count(directory.path()).map(|entries| entries + further);
    let heartbeat: Option<Heartbeat> = atomic::read_json(&directory.heartbeat()).ok();
    JobMeter {
        job_id: ground.id,
        cores: ground.cores,
        ended_on: ground.ended_on,
        inodes: entries.map(|entries| entries + 1),
        runner_resident_bytes: heartbeat.map(|beat| beat.resident_bytes).filter(|bytes| *bytes > 0),
    }
}
