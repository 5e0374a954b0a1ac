//! `GET /v1/records/{id}/live-log`: what the job that holds a record and its scheduler append to their logs, as JSON lines, until
//! the job no longer holds it. Reads the job's directories in the spool; follows no symbolic links and leaves the directory nowhere.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path as UrlPath, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use nix::fcntl::OFlag;
use tokio::task::spawn_blocking;

use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{LiveLogPiece, NDJSON};
use crate::model::ids::{JobId, RecordId};
use crate::spool::layout::Spool;
use crate::store::job_line::Hold;

/// The files of the job's own directory that are followed.
const FILES: [&str; 2] = ["runner.log", "worker.stderr"];

/// What the scheduler's log of the job is shown as, whatever its name.
const SCHEDULER_LOG: &str = "scheduler.log";

/// Between two looks at the files.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at the files between two questions to the database.
const LOOKS_PER_QUESTION: u32 = 5;

/// Most that one look takes from one file.
const LARGEST_PIECE: u64 = 1 << 20;

/// Where a reader stands in the logs of one job.
struct Follower {
    state: Arc<ApiState>,
    record: RecordId,
    job: JobId,
    logs: Vec<Log>,
    looks: u32,
    over: bool,
}

/// A file that is followed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Log {
    shown_as: &'static str,
    /// Where it may be; the first that is there counts.
    paths: Vec<PathBuf>,
    offset: u64,
}

/// Streams the logs of the record's present job; an empty stream where there is none.
pub(super) async fn live_log(
    State(state): State<Arc<ApiState>>,
    id: Result<UrlPath<RecordId>, PathRejection>,
) -> Result<Response, ApiError> {
    let UrlPath(record) = id?;
    let held = holding_job(&state, record).await?;
    let follower = held.map(|(job, logs)| Follower { state, record, job, logs, looks: 0, over: false });
    let pieces = stream::try_unfold(follower, async |follower| {
        let Some(mut follower) = follower else { return Ok::<_, io::Error>(None) };
        let bytes = follower.next().await?;
        Ok(bytes.map(|bytes| (bytes, Some(follower))))
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(pieces)).into_response())
}

impl Follower {
    /// What was appended since; waits for something. `None` once the job no longer holds the record.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let mut logs = self.logs.clone();
            let (bytes, logs) = spawn_blocking(move || read_pieces(&mut logs).map(|bytes| (bytes, logs)))
                .await
                .map_err(io::Error::other)??;
            self.logs = logs;
            if !bytes.is_empty() {
                return Ok(Some(Bytes::from(bytes)));
            }
            // The files are read once more after the job's end: its last words may have come in between.
            if self.over || self.state.stopping.is_cancelled() {
                return Ok(None);
            }
            self.looks += 1;
            if self.looks.is_multiple_of(LOOKS_PER_QUESTION) {
                let held =
                    holding_job(&self.state, self.record).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                self.over = held.is_none_or(|(job, _)| job != self.job);
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The job that holds a record and its logs; none while the record waits for one or has ended.
async fn holding_job(state: &ApiState, record: RecordId) -> Result<Option<(JobId, Vec<Log>)>, ApiError> {
    let found = state.store.job_of_record(record).await?.ok_or_else(|| ApiError::no_record(record))?;
    let (Hold::Now, Some(job), Some(index)) = (found.hold, found.job, found.array_index) else {
        return Ok(None);
    };
    let submission = Spool::new(&state.config.spool.path).submission(&job.pool, &job.tag);
    let names = (state.scheduler_logs)(&job.pool, index);
    Ok(Some((job.id, logs(submission.path(), submission.job(index).path(), &names))))
}

fn logs(submission: &Path, job: &Path, of_scheduler: &[String]) -> Vec<Log> {
    let of_scheduler = of_scheduler.iter().map(|name| submission.join(name)).collect();
    let own = FILES.into_iter().map(|name| Log { shown_as: name, paths: vec![job.join(name)], offset: 0 });
    own.chain([Log { shown_as: SCHEDULER_LOG, paths: of_scheduler, offset: 0 }]).collect()
}

/// Reads what the files hold beyond the offsets, as JSON lines.
fn read_pieces(logs: &mut [Log]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for log in logs {
        let Some(mut file) = open(&log.paths)? else { continue };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(log.offset))?;
        file.take(LARGEST_PIECE).read_to_end(&mut bytes)?;
        let whole = whole_characters(&bytes);
        if whole == 0 {
            continue;
        }
        log.offset += whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        serde_json::to_writer(&mut lines, &LiveLogPiece { file: log.shown_as.to_owned(), text })?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The first of `paths` that is there.
fn open(paths: &[PathBuf]) -> io::Result<Option<File>> {
    for path in paths {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path);
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Some),
        }
    }
    Ok(None)
}

/// Bytes of `bytes` without a character that is cut off at its end.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_is_new_is_read_and_characters_stay_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut followed = logs(directory.path(), directory.path(), &[]);
        let log = directory.path().join("runner.log");
        fs::write(&log, "a\n\u{e5}".as_bytes().split_last().unwrap().1).unwrap();
        let bytes = read_pieces(&mut followed).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"file\":\"runner.log\",\"text\":\"a\\n\"}\n");
        fs::write(&log, "a\n\u{e5}").unwrap();
        fs::write(directory.path().join("worker.stderr"), [0xff, b'x']).unwrap();
        let bytes = read_pieces(&mut followed).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"file\":\"runner.log\",\"text\":\"\u{e5}\"}\n{\"file\":\"worker.stderr\",\"text\":\"\u{fffd}x\"}\n"
        );
        assert_eq!(read_pieces(&mut followed).unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn the_schedulers_log_is_found_under_the_name_that_the_scheduler_gives_it() {
        let submission = tempfile::tempdir().unwrap();
        let names = ["scheduler.log-0".to_owned(), "scheduler.log".to_owned()];
        let mut followed = logs(submission.path(), &submission.path().join("0"), &names);
        assert_eq!(read_pieces(&mut followed).unwrap(), Vec::<u8>::new());
        fs::write(submission.path().join("scheduler.log-0"), "no such module\n").unwrap();
        let bytes = read_pieces(&mut followed).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"file\":\"scheduler.log\",\"text\":\"no such module\\n\"}\n"
        );
    }

    #[test]
    fn links_out_of_the_directory_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("runner.log")).unwrap();
        assert!(read_pieces(&mut logs(directory.path(), directory.path(), &[])).is_err());
    }
}
