//! The course of a benchmark: submit, wait, collect the times, report, remove. Speaks to the daemon; writes the picture.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::args::BenchArgs;
use super::feed::{Feed, Molecules};
use super::remove;
use super::report::{
    Afterlife, BenchReport, DaemonFigures, DatabaseFigures, JobFigures, Latencies, OccupancyFigures,
    SchedulerFigures, Stages,
};
use super::svg;
use super::tally::{Stage, Tally};
use crate::api::client::Client;
use crate::api::wire::{
    BenchQuery, MeterQuery, Meters, RemovalReceipt, Reuse, StatusCounts, SubmitOptions, SubmitReceipt,
};
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::format;
use crate::cli::screen::Screen;
use crate::model::calculation::Driver;
use crate::model::ids::{JobId, PoolName};
use crate::model::qcschema::InputDefaults;
use crate::model::record::RecordStatus;
use crate::model::resources::TaskResources;
use crate::model::timing::{SYNTHETIC, TaskTiming};

/// Pieces of the request that wait to be sent.
const PIECES_AHEAD: usize = 4;

/// A question about the end may take one part in so many of the time.
const SHARE_OF_QUESTIONS: u32 = 20;

/// Bounds of the pause between two of them.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Why the tasks are no longer waited for.
enum End {
    Over,
    TimedOut,
    Interrupted,
}

/// One benchmark.
pub(super) struct Bench<'a> {
    pub args: &'a BenchArgs,
    pub client: &'a Client,
    pub screen: &'a Screen,
    pub pool: PoolName,
    pub compute_tag: String,
}

impl Bench<'_> {
    /// Measures, prints, tidies up.
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let before = self.meters(&[]).await?;
        let begun = Instant::now();
        let receipt = tokio::select! {
            receipt = self.submit() => receipt?,
            // A request that breaks off stores nothing.
            _ = tokio::signal::ctrl_c() => return Err(self.interrupted()),
        };
        let intake = begun.elapsed();
        let query =
            BenchQuery { compute_tag: self.compute_tag.clone(), from: receipt.ids.iter().min().copied() };
        let ended = self.until_ended(&query, begun).await;
        let whole = begun.elapsed();
        self.screen.end_progress();
        match ended {
            Ok(End::Over) => {}
            Ok(End::Interrupted) => {
                self.tidy(&query).await?;
                return Err(self.interrupted());
            }
            Ok(End::TimedOut) => {
                self.tidy(&query).await?;
                return Err(CliError::TimedOut { message: "not all tasks have ended in time".to_owned() });
            }
            Err(error) => {
                self.screen
                    .note(&format!("what is left goes with: qcbatch bench --remove {}", self.compute_tag));
                return Err(error);
            }
        }
        let tally = self.tally(&query).await?;
        let after = self.meters(&tally.jobs()).await?;
        let mut report = self.report(&tally, &before, &after, intake, whole);
        if let Some(path) = &self.args.svg {
            self.draw(path, &tally, &after)?;
        }
        // Failed tasks are kept for a look.
        if !self.args.keep && tally.failed == 0 {
            self.screen.progress("removing the records");
            self.tidy(&query).await?;
            self.screen.end_progress();
            report.records = Afterlife::Removed;
        }
        self.screen.print(&report)?;
        Ok(if tally.failed == 0 { ExitCode::Success } else { ExitCode::Failed })
    }

    async fn meters(&self, jobs: &[JobId]) -> Result<Meters, CliError> {
        let query = MeterQuery { pool: self.pool.clone(), jobs: jobs.to_vec() };
        Ok(self.client.post("/v1/bench/meters", &query).await?)
    }

    async fn submit(&self) -> Result<SubmitReceipt, CliError> {
        let args = self.args;
        let options = SubmitOptions {
            compute_tag: Some(self.compute_tag.clone()),
            pool: Some(self.pool.clone()),
            resources: TaskResources { cores: args.cores, ..TaskResources::default() },
            reuse: if args.same_molecule { Reuse::Never } else { Reuse::Existing },
            defaults: InputDefaults {
                program: Some(SYNTHETIC.to_owned()),
                method: Some(args.program.method().to_owned()),
                driver: Some(Driver::Energy),
                keywords: args.program.keywords(args.payload),
                ..InputDefaults::default()
            },
            ..SubmitOptions::default()
        };
        let molecules = if args.same_molecule { Molecules::Same } else { Molecules::Distinct };
        let feed = Feed { options, tasks: args.tasks, molecules, salt: rand::random() };
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        let screen = self.screen.clone();
        let feeding = spawn_blocking(move || feed.send_to(&pieces, &screen));
        let answer = self.client.post_lines("/v1/submit", received).await;
        let fed = feeding.await.map_err(|error| CliError::local("making the tasks failed", error))?;
        self.screen.end_progress();
        fed?;
        Ok(answer?)
    }

    /// Asks again and again, the more rarely the more the answer costs.
    async fn until_ended(&self, query: &BenchQuery, begun: Instant) -> Result<End, CliError> {
        let deadline = self.args.timeout.map(|timeout| begun + timeout);
        loop {
            let asked = Instant::now();
            let left: StatusCounts = self.client.post("/v1/bench/open", query).await?;
            if left.open() == 0 {
                return Ok(End::Over);
            }
            let tasks = i64::from(self.args.tasks);
            self.screen.progress(&format!(
                "{} of {tasks} tasks stored, {} running",
                tasks - left.total(),
                left.of(RecordStatus::Running)
            ));
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(End::TimedOut);
            }
            let pause = (asked.elapsed() * SHARE_OF_QUESTIONS).clamp(PAUSES.0, PAUSES.1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = tokio::signal::ctrl_c() => return Ok(End::Interrupted),
            }
        }
    }

    async fn tally(&self, query: &BenchQuery) -> Result<Tally, CliError> {
        let mut lines = self.client.post_for_lines("/v1/bench/timings", query).await?;
        let mut tally = Tally::default();
        while let Some(line) = lines.next().await? {
            let timing: TaskTiming = serde_json::from_slice(&line)
                .map_err(|source| CliError::local("cannot read the daemon's answer", source))?;
            tally.add(&timing);
        }
        Ok(tally)
    }

    fn report(
        &self,
        tally: &Tally,
        before: &Meters,
        after: &Meters,
        intake: Duration,
        whole: Duration,
    ) -> BenchReport {
        let tasks = u64::from(self.args.tasks);
        let grown_bytes = after.database_bytes.saturating_sub(before.database_bytes);
        let calls = after.scheduler_calls.iter().filter_map(|(verb, count)| {
            let count = count - before.scheduler_calls.get(verb).copied().unwrap_or(0).min(*count);
            (count > 0).then(|| (verb.clone(), count))
        });
        BenchReport {
            compute_tag: self.compute_tag.clone(),
            pool: self.pool.clone(),
            program: self.args.program.to_string(),
            payload_bytes: self.args.payload,
            tasks,
            completed: tally.completed,
            failed: tally.failed,
            stages: Stages {
                intake: Stage::of(tasks, intake.as_secs_f64()),
                claim: tally.claim(),
                run: tally.run(),
                ingest: tally.ingest(),
                end_to_end: Stage::of(tasks, whole.as_secs_f64()),
            },
            latency_seconds: Latencies { submit_to_stored: tally.submit_to_stored(), run: tally.wall() },
            occupancy: tally.occupancy(&after.jobs).map(|occupancy| OccupancyFigures {
                fraction: occupancy.fraction(),
                held_cores: occupancy.held_core_seconds() / occupancy.seconds(),
                seconds: occupancy.seconds(),
            }),
            jobs: JobFigures {
                count: tally.jobs().len() as u64,
                most_inodes: after.jobs.iter().filter_map(|job| job.inodes).max(),
                runner_resident_bytes: after.jobs.iter().filter_map(|job| job.runner_resident_bytes).max(),
            },
            scheduler: SchedulerFigures {
                calls: calls.collect(),
                poll_intervals: whole.as_secs_f64() / after.poll_interval_seconds,
            },
            database: DatabaseFigures {
                grown_bytes,
                bytes_per_record: (tally.completed > 0).then(|| grown_bytes as f64 / tally.completed as f64),
            },
            daemon: DaemonFigures {
                resident_bytes: after.daemon.resident_bytes,
                peak_resident_bytes: after.daemon.peak_resident_bytes,
                cpu_seconds: after.daemon.cpu_seconds - before.daemon.cpu_seconds,
            },
            records: Afterlife::Kept,
        }
    }

    fn draw(&self, path: &Path, tally: &Tally, after: &Meters) -> Result<(), CliError> {
        let Some(occupancy) = tally.occupancy(&after.jobs) else {
            self.screen.note("no picture: the jobs did not tell when their tasks began");
            return Ok(());
        };
        let title = match occupancy.fraction() {
            Some(fraction) => format!("Core occupancy: {:.1} %", fraction * 100.0),
            None => "Core occupancy".to_owned(),
        };
        let jobs = tally.jobs().len() as u64;
        let subtitle = format!(
            "{} of {} on pool {}, {}",
            format::count(u64::from(self.args.tasks), "task"),
            self.args.program,
            self.pool,
            format::count(jobs, "job")
        );
        std::fs::write(path, svg::draw(&occupancy, &title, &subtitle))
            .map_err(|source| CliError::local(format!("cannot write {}", path.display()), source))
    }

    async fn tidy(&self, query: &BenchQuery) -> Result<RemovalReceipt, CliError> {
        remove(self.client, query).await.inspect_err(|_| {
            self.screen.note(&format!("what is left goes with: qcbatch bench --remove {}", self.compute_tag));
        })
    }

    fn interrupted(&self) -> CliError {
        CliError::Failed { message: "interrupted; nothing is left of it".to_owned(), hint: None }
    }
}
