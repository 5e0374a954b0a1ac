//! What a benchmark says: a few small tables for people, one document for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::percentile::Spread;
use super::tally::Stage;
use crate::cli::format;
use crate::cli::screen::{Report, Screen};
use crate::cli::table::{Column, render};
use crate::model::ids::PoolName;

/// All figures of one benchmark. What could not be measured is `null`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct BenchReport {
    /// Compute tag of its records.
    pub compute_tag: String,
    /// Where they ran.
    pub pool: PoolName,
    /// As it was asked for: `null`, `true`, `sleep:100`.
    pub program: String,
    /// Bytes that each task returned.
    pub payload_bytes: u64,
    /// How many there were.
    pub tasks: u64,
    /// How many are complete.
    pub completed: u64,
    /// How many ended otherwise.
    pub failed: u64,
    /// How fast each stage went.
    pub stages: Stages,
    /// How long single tasks took.
    pub latency_seconds: Latencies,
    /// Cores over time.
    pub occupancy: Option<OccupancyFigures>,
    /// The jobs that ran the tasks.
    pub jobs: JobFigures,
    /// What the scheduler was asked meanwhile.
    pub scheduler: SchedulerFigures,
    /// What the database grew by.
    pub database: DatabaseFigures,
    /// What the daemon used.
    pub daemon: DaemonFigures,
    /// Whether the records are still there.
    pub records: Afterlife,
}

/// How fast each stage went.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Stages {
    /// From the first byte of the request to the daemon's answer.
    pub intake: Option<Stage>,
    /// From the first start of a task to the last.
    pub claim: Option<Stage>,
    /// From the first start of a task to the last end.
    pub run: Option<Stage>,
    /// From the first stored result to the last.
    pub ingest: Option<Stage>,
    /// From the first byte of the request to the last stored result.
    pub end_to_end: Option<Stage>,
}

/// How long single tasks took.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Latencies {
    /// From the begin of the intake to the stored result.
    pub submit_to_stored: Option<Spread>,
    /// On the node.
    pub run: Option<Spread>,
}

/// Cores over time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct OccupancyFigures {
    /// The part of the held time that was busy.
    pub fraction: Option<f64>,
    /// Cores that jobs held, on average.
    pub held_cores: f64,
    /// From the first start to the last end.
    pub seconds: f64,
}

/// The jobs that ran the tasks.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct JobFigures {
    /// How many.
    pub count: u64,
    /// Most files in the directory of one of them, that included.
    pub most_inodes: Option<u64>,
    /// Most memory that one's runner held.
    pub runner_resident_bytes: Option<u64>,
}

/// What the scheduler was asked meanwhile.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct SchedulerFigures {
    /// Commands by verb.
    pub calls: BTreeMap<String, u64>,
    /// How often the pool's `poll_interval` passed.
    pub poll_intervals: f64,
}

/// What the database grew by.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct DatabaseFigures {
    /// In all, indexes included.
    pub grown_bytes: u64,
    /// For each record.
    pub bytes_per_record: Option<f64>,
}

/// What the daemon used.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct DaemonFigures {
    /// Memory at the end.
    pub resident_bytes: u64,
    /// The most since its start.
    pub peak_resident_bytes: u64,
    /// Processor time meanwhile.
    pub cpu_seconds: f64,
}

/// What becomes of the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Afterlife {
    /// They are gone, with all that hung on them.
    Removed,
    /// They are still there.
    Kept,
}

const STAGES: [Column; 3] =
    [Column::left("STAGE", 0), Column::right("TASKS/S", 0), Column::right("SECONDS", 1)];

const LATENCIES: [Column; 4] =
    [Column::left("LATENCY", 0), Column::right("P50", 0), Column::right("P99", 0), Column::right("MAX", 1)];

const FIGURES: [Column; 2] = [Column::left("FIGURE", 0), Column::left("VALUE", 0).cut_to(20)];

impl Report for BenchReport {
    fn table(&self, screen: &Screen) -> String {
        let draw =
            |columns: &[Column], rows: &[Vec<String>]| render(columns, rows, screen.width, screen.colour);
        let mut text = format!(
            "{} of {} on pool {}: {} complete",
            format::count(self.tasks, "task"),
            self.program,
            self.pool,
            self.completed
        );
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        text.push_str("\n\n");
        let stages = &self.stages;
        let rows = [
            stage("intake", stages.intake),
            stage("claim", stages.claim),
            stage("run", stages.run),
            stage("ingest", stages.ingest),
            stage("end to end", stages.end_to_end),
        ];
        text.push_str(&draw(&STAGES, &rows));
        text.push('\n');
        let rows = [
            latency("submit to stored", self.latency_seconds.submit_to_stored),
            latency("on the node", self.latency_seconds.run),
        ];
        text.push_str(&draw(&LATENCIES, &rows));
        text.push('\n');
        let rows: Vec<Vec<String>> =
            self.figures().into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        text.push_str(&draw(&FIGURES, &rows));
        if self.records == Afterlife::Kept {
            text.push_str(&format!("\nkept; remove with: qcbatch bench --remove {}\n", self.compute_tag));
        }
        text
    }

    fn quiet(&self) -> String {
        self.stages.end_to_end.map_or_else(String::new, |stage| format!("{:.1}\n", stage.tasks_per_second))
    }
}

impl BenchReport {
    fn figures(&self) -> Vec<(&'static str, String)> {
        let bytes = |bytes: Option<u64>| bytes.map_or_else(absent, format::bytes);
        let occupancy = self.occupancy.as_ref().and_then(|occupancy| {
            let percent = occupancy.fraction? * 100.0;
            let time = format::duration(occupancy.seconds);
            Some(format!("{percent:.1} % of {:.1} cores over {time}", occupancy.held_cores))
        });
        let calls: Vec<String> =
            self.scheduler.calls.iter().map(|(verb, count)| format!("{count} {verb}")).collect();
        let calls = if calls.is_empty() { "none".to_owned() } else { calls.join(", ") };
        let per_record = self.database.bytes_per_record.map(|bytes| bytes.round() as u64);
        vec![
            ("core occupancy", occupancy.unwrap_or_else(absent)),
            ("jobs", self.jobs.count.to_string()),
            (
                "inodes of a job, at most",
                self.jobs.most_inodes.map_or_else(absent, |count| count.to_string()),
            ),
            ("scheduler calls", calls),
            ("poll intervals passed", format!("{:.1}", self.scheduler.poll_intervals)),
            ("database, per record", bytes(per_record)),
            ("daemon, resident", bytes(Some(self.daemon.resident_bytes))),
            ("daemon, peak resident", bytes(Some(self.daemon.peak_resident_bytes))),
            ("daemon, processor time", format::duration(self.daemon.cpu_seconds)),
            ("runner, resident", bytes(self.jobs.runner_resident_bytes)),
        ]
    }
}

fn absent() -> String {
    format::ABSENT.to_owned()
}

fn stage(name: &str, stage: Option<Stage>) -> Vec<String> {
    let rate = |stage: Stage| match stage.tasks_per_second {
        rate @ 0.0..10.0 => format!("{rate:.2}"),
        rate => format!("{rate:.0}"),
    };
    let seconds = |stage: Stage| format!("{:.2}", stage.seconds);
    vec![name.to_owned(), stage.map_or_else(absent, rate), stage.map_or_else(absent, seconds)]
}

fn latency(name: &str, spread: Option<Spread>) -> Vec<String> {
    let cell = |of: fn(Spread) -> f64| spread.map_or_else(absent, |spread| short(of(spread)));
    vec![name.to_owned(), cell(|spread| spread.p50), cell(|spread| spread.p99), cell(|spread| spread.max)]
}

/// Milliseconds where a second is too coarse.
fn short(seconds: f64) -> String {
    if (0.0..0.995).contains(&seconds) {
        format!("{:.1}ms", seconds * 1e3)
    } else {
        format::duration(seconds)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::screen::{OutputMode, Progress};
    use crate::cli::table::Colour;

    fn screen(width: Option<usize>) -> Screen {
        Screen {
            mode: OutputMode::Table,
            width,
            colour: Colour::Off,
            now: Timestamp::UNIX_EPOCH,
            zone: TimeZone::UTC,
            progress: Progress::Hidden,
        }
    }

    fn report() -> BenchReport {
        BenchReport {
            compute_tag: "bench-0123".to_owned(),
            pool: PoolName("cpu".to_owned()),
            program: "sleep:100".to_owned(),
            payload_bytes: 0,
            tasks: 1000,
            completed: 999,
            failed: 1,
            stages: Stages {
                intake: Stage::of(1000, 0.2),
                claim: None,
                run: Stage::of(1000, 51.2),
                ingest: Stage::of(1000, 50.9),
                end_to_end: Stage::of(1000, 125.0),
            },
            latency_seconds: Latencies {
                submit_to_stored: Some(Spread { p50: 26.4, p99: 51.7, max: 185.0 }),
                run: Some(Spread { p50: 0.1004, p99: 0.104, max: 2.5 }),
            },
            occupancy: Some(OccupancyFigures { fraction: Some(0.982), held_cores: 2.0, seconds: 51.2 }),
            jobs: JobFigures { count: 2, most_inodes: Some(9), runner_resident_bytes: Some(14 << 20) },
            scheduler: SchedulerFigures {
                calls: [("poll".to_owned(), 12), ("submit".to_owned(), 1)].into(),
                poll_intervals: 12.5,
            },
            database: DatabaseFigures { grown_bytes: 2_150_000, bytes_per_record: Some(2150.0) },
            daemon: DaemonFigures {
                resident_bytes: 41 << 20,
                peak_resident_bytes: 45 << 20,
                cpu_seconds: 1.25,
            },
            records: Afterlife::Kept,
        }
    }

    #[test]
    fn people_see_tables() {
        insta::assert_snapshot!(report().table(&screen(None)), @r"
        1000 tasks of sleep:100 on pool cpu: 999 complete, 1 failed

        STAGE       TASKS/S  SECONDS
        intake         5000     0.20
        claim             -        -
        run              20    51.20
        ingest           20    50.90
        end to end     8.00   125.00

        LATENCY               P50      P99    MAX
        submit to stored      26s      52s  3m05s
        on the node       100.4ms  104.0ms  2.50s

        FIGURE                    VALUE
        core occupancy            98.2 % of 2.0 cores over 51s
        jobs                      2
        inodes of a job, at most  9
        scheduler calls           12 poll, 1 submit
        poll intervals passed     12.5
        database, per record      2.1 KiB
        daemon, resident          41 MiB
        daemon, peak resident     45 MiB
        daemon, processor time    1.25s
        runner, resident          14 MiB

        kept; remove with: qcbatch bench --remove bench-0123
        ");
    }

    #[test]
    fn narrow_terminals_see_the_same_cut() {
        insta::assert_snapshot!(report().table(&screen(Some(44))), @r"
        1000 tasks of sleep:100 on pool cpu: 999 complete, 1 failed

        STAGE       TASKS/S  SECONDS
        intake         5000     0.20
        claim             -        -
        run              20    51.20
        ingest           20    50.90
        end to end     8.00   125.00

        LATENCY               P50      P99    MAX
        submit to stored      26s      52s  3m05s
        on the node       100.4ms  104.0ms  2.50s

        FIGURE                    VALUE
        core occupancy            98.2 % of 2.0 cores…
        jobs                      2
        inodes of a job, at most  9
        scheduler calls           12 poll, 1 submit
        poll intervals passed     12.5
        database, per record      2.1 KiB
        daemon, resident          41 MiB
        daemon, peak resident     45 MiB
        daemon, processor time    1.25s
        runner, resident          14 MiB

        kept; remove with: qcbatch bench --remove bench-0123
        ");
    }

    #[test]
    fn programs_see_one_document() {
        insta::assert_json_snapshot!("bench_json", report());
        assert_eq!(report().quiet(), "8.0\n");
    }
}
