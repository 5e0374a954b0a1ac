//! The figures of a benchmark as a few small tables for people. Pure.

use super::figures::{Afterlife, BenchReport};
use super::percentile::Spread;
use super::tally::Stage;
use crate::cli::format;
use crate::cli::screen::{Report, Screen};
use crate::cli::table::{Column, render};

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
mod tests;
