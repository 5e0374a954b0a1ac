//! The course of a benchmark: submit, wait, collect the times, report, remove. Speaks to the daemon; writes the picture.

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::args::BenchArgs;
use super::feed::{Feed, Molecules};
use super::figures::Afterlife;
use super::remove;
use super::summary::{Observed, summary};
use super::svg;
use super::tally::Tally;
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
        // One listener for all of it: what comes between two waits is heard by the next one.
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|source| CliError::local("cannot listen for signals", source))?;
        let before = self.meters(&[]).await?;
        let begun = Instant::now();
        let receipt = tokio::select! {
            receipt = self.submit() => receipt?,
            // A request that breaks off stores nothing.
            _ = interrupts.recv() => return Err(self.interrupted()),
        };
        let intake = begun.elapsed();
        let query =
            BenchQuery { compute_tag: self.compute_tag.clone(), from: receipt.ids.iter().min().copied() };
        let ended = self.until_ended(&query, begun, &mut interrupts).await;
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
        let observed = Observed { tally: &tally, before: &before, after: &after, intake, whole };
        let mut report = summary(self, &observed);
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
    async fn until_ended(
        &self,
        query: &BenchQuery,
        begun: Instant,
        interrupts: &mut Signal,
    ) -> Result<End, CliError> {
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
                _ = interrupts.recv() => return Ok(End::Interrupted),
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
