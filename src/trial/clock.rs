//! What the probe job wrote down, and how far its node's clock is from ours, by way of the shared filesystem's.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the job wrote.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Marker {
    /// What our program said of its version on the node.
    pub program: String,
    /// The node.
    pub hostname: String,
    /// The id that the job script knows.
    pub scheduler_job_id: String,
    /// How far ahead of ours the node's clock is, in seconds.
    pub ahead_seconds: f64,
}

/// Reads the marker when it is there. `submitted` was before it could be written.
pub(super) fn read_marker(path: &Path, submitted: Instant) -> Option<Marker> {
    let text = fs::read_to_string(path).ok()?;
    let now = SystemTime::now();
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    // `date` cuts off the part of a second: on average half of one.
    let time = value("time").parse::<f64>().ok()? + 0.5;
    let written = seconds(fs::metadata(path).and_then(|found| found.modified()).ok()?);
    let ours = filesystem_ahead(path).unwrap_or(0.0);
    let by_filesystem = time - written + ours;
    let by_window = outside(time, seconds(now) - submitted.elapsed().as_secs_f64(), seconds(now));
    let ahead_seconds = if by_window.abs() > by_filesystem.abs() { by_window } else { by_filesystem };
    Some(Marker {
        program: value("program"),
        hostname: value("hostname"),
        scheduler_job_id: value("scheduler_job_id"),
        ahead_seconds,
    })
}

/// How far the filesystem's clock is ahead of ours, by a file beside `path`.
fn filesystem_ahead(path: &Path) -> Option<f64> {
    let file = path.with_file_name("clock");
    let before = SystemTime::now();
    fs::write(&file, b"now").ok()?;
    let written = fs::metadata(&file).and_then(|found| found.modified()).ok()?;
    let middle = seconds(before) + before.elapsed().unwrap_or(Duration::ZERO).as_secs_f64() / 2.0;
    Some(seconds(written) - middle)
}

/// How far `time` is after `end` (positive) or before `begin` (negative); 0 in between.
fn outside(time: f64, begin: f64, end: f64) -> f64 {
    match time {
        late if late > end => late - end,
        early if early < begin => early - begin,
        _ => 0.0,
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(ahead: i64) -> Marker {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker");
        let time = seconds(SystemTime::now()) as i64 + ahead;
        fs::write(&path, format!("program=qcbatch 1\nhostname=n1\nscheduler_job_id=4\ntime={time}\n"))
            .unwrap();
        read_marker(&path, Instant::now()).unwrap()
    }

    #[test]
    fn a_clock_that_agrees_is_told_from_one_that_does_not() {
        assert_eq!((marker(0).hostname.as_str(), marker(0).scheduler_job_id.as_str()), ("n1", "4"));
        assert!(marker(0).ahead_seconds.abs() < 30.0, "{:?}", marker(0));
        assert!((marker(3600).ahead_seconds - 3600.0).abs() < 30.0, "{:?}", marker(3600));
        assert!((marker(-3600).ahead_seconds + 3600.0).abs() < 30.0, "{:?}", marker(-3600));
    }

    #[test]
    fn a_marker_that_is_not_there_or_not_whole_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker");
        assert_eq!(read_marker(&path, Instant::now()), None);
        fs::write(&path, "program=x\n").unwrap();
        assert_eq!(read_marker(&path, Instant::now()), None);
    }
}
