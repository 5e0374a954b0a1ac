//! Tasks that do nothing, from the first byte of the request to the last result in PostgreSQL: the path itself.

use crate::Scale;
use crate::ground::{bench, daemon, figure, say};

const TASKS: u32 = 200_000;

pub fn run(scale: Scale) {
    let tasks = scale.of(TASKS);
    let daemon = daemon();
    let report = bench(&daemon, tasks, &["--keep"]);
    let complete = daemon.json(&["status"])["records"]["complete"].as_u64();
    assert_eq!(complete, Some(u64::from(tasks)), "every result is in PostgreSQL");
    for stage in ["intake", "claim", "run", "ingest", "end_to_end"] {
        say(&format!(
            "null tasks, {stage}: {:.0}/s ({tasks} tasks in {:.1} s)",
            figure(&report, &format!("/stages/{stage}/tasks_per_second")),
            figure(&report, &format!("/stages/{stage}/seconds")),
        ));
    }
    say("  bound: end to end at least 3000/s");
    let mib = |pointer: &str| figure(&report, pointer) / f64::from(1 << 20);
    say(&format!(
        "null tasks: daemon's peak resident {:.0} MiB, processor time {:.0} s; runner resident {:.0} MiB",
        mib("/daemon/peak_resident_bytes"),
        figure(&report, "/daemon/cpu_seconds"),
        mib("/jobs/runner_resident_bytes"),
    ));
    say(&format!(
        "null tasks: {:.0} bytes in PostgreSQL for each",
        figure(&report, "/database/bytes_per_record")
    ));
    say(&format!("inodes of a job: {:.0} after {tasks} tasks", figure(&report, "/jobs/most_inodes")));
    say("  bound: at most 12");
    let calls = |verb: &str| report["scheduler"]["calls"][verb].as_u64().unwrap_or(0);
    say(&format!(
        "scheduler calls: {} poll in {:.1} poll intervals, {} submit for {:.0} jobs",
        calls("poll"),
        figure(&report, "/scheduler/poll_intervals"),
        calls("submit"),
        figure(&report, "/jobs/count"),
    ));
    say("  bound: at most one poll per interval; submits for 1000 jobs at once: `cargo bench --bench site`");
}
