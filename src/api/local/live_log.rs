//! `GET /v1/records/{id}/live-log`: what the job that holds a record appends to its logs, as JSON lines, until the job no
//! longer holds it. Reads the job's directory in the spool; follows no symbolic links and leaves the directory nowhere.

use std::fs::OpenOptions;
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

/// The files that are followed.
const FILES: [&str; 2] = ["runner.log", "worker.stderr"];

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
    directory: PathBuf,
    offsets: [u64; FILES.len()],
    looks: u32,
    over: bool,
}

/// Streams the logs of the record's present job; an empty stream where there is none.
pub(super) async fn live_log(
    State(state): State<Arc<ApiState>>,
    id: Result<UrlPath<RecordId>, PathRejection>,
) -> Result<Response, ApiError> {
    let UrlPath(record) = id?;
    let held = holding_job(&state, record).await?;
    let follower = held.map(|(job, directory)| Follower {
        state,
        record,
        job,
        directory,
        offsets: [0; FILES.len()],
        looks: 0,
        over: false,
    });
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
            let (directory, offsets) = (self.directory.clone(), self.offsets);
            let (bytes, offsets) = spawn_blocking(move || read_pieces(&directory, offsets))
                .await
                .map_err(io::Error::other)??;
            self.offsets = offsets;
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

/// The job that holds a record and its directory; none while the record waits for one or has ended.
async fn holding_job(state: &ApiState, record: RecordId) -> Result<Option<(JobId, PathBuf)>, ApiError> {
    let found = state.store.job_of_record(record).await?.ok_or_else(|| ApiError::no_record(record))?;
    let (Hold::Now, Some(job), Some(index)) = (found.hold, found.job, found.array_index) else {
        return Ok(None);
    };
    let submission = Spool::new(&state.config.spool.path).submission(&job.pool, &job.tag);
    Ok(Some((job.id, submission.job(index).path().to_owned())))
}

/// Reads what the files hold beyond the offsets, as JSON lines.
fn read_pieces(
    directory: &Path,
    mut offsets: [u64; FILES.len()],
) -> io::Result<(Vec<u8>, [u64; FILES.len()])> {
    let mut lines = Vec::new();
    for (name, offset) in FILES.into_iter().zip(&mut offsets) {
        let mut bytes = Vec::new();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(directory.join(name));
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        file.seek(SeekFrom::Start(*offset))?;
        file.take(LARGEST_PIECE).read_to_end(&mut bytes)?;
        let whole = whole_characters(&bytes);
        if whole == 0 {
            continue;
        }
        *offset += whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        serde_json::to_writer(&mut lines, &LiveLogPiece { file: name.to_owned(), text })?;
        lines.push(b'\n');
    }
    Ok((lines, offsets))
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
        let log = directory.path().join("runner.log");
        fs::write(&log, "a\n\u{e5}".as_bytes().split_last().unwrap().1).unwrap();
        let (bytes, offsets) = read_pieces(directory.path(), [0, 0]).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"file\":\"runner.log\",\"text\":\"a\\n\"}\n");
        assert_eq!(offsets, [2, 0]);
        fs::write(&log, "a\n\u{e5}").unwrap();
        fs::write(directory.path().join("worker.stderr"), [0xff, b'x']).unwrap();
        let (bytes, offsets) = read_pieces(directory.path(), offsets).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"file\":\"runner.log\",\"text\":\"\u{e5}\"}\n{\"file\":\"worker.stderr\",\"text\":\"\u{fffd}x\"}\n"
        );
        assert_eq!(read_pieces(directory.path(), offsets).unwrap(), (Vec::new(), [4, 2]));
    }

    #[test]
    fn links_out_of_the_directory_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("runner.log")).unwrap();
        assert!(read_pieces(directory.path(), [0, 0]).is_err());
    }
}
