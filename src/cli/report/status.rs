//! `status`: the daemon, its records, pools and troubles on one screen.

use crate::cli::format;
use crate::cli::screen::{Report, Screen};
use crate::cli::table::{Column, printable, render};
use crate::model::job::JobState;
use crate::model::record::RecordStatus;
use crate::model::view::{PoolSummary, StatusSummary};

const POOLS: [Column; 8] = [
    Column::left("POOL", 0).cut_to(8),
    Column::left("ADAPTER", 4),
    Column::left("SCHEDULER", 5).cut_to(8),
    Column::right("QUEUED", 1),
    Column::right("RUNNING", 0),
    Column::right("OTHER", 2),
    Column::right("POLLED", 3),
    Column::left("STATE", 0).cut_to(12),
];

impl Report for StatusSummary {
    fn table(&self, screen: &Screen) -> String {
        let mut text = format!(
            "site {} on {}: qcbatch {}, process {}, up {}\n",
            self.site,
            self.hostname,
            self.version,
            self.pid,
            format::age(self.started_on, screen.now)
        );
        let counts: Vec<String> = RecordStatus::ALL
            .into_iter()
            .filter_map(|status| {
                let count = self.records.get(&status).copied().unwrap_or(0);
                (count > 0).then(|| format!("{count} {}", status.as_str()))
            })
            .collect();
        let counts = match &self.database_away {
            Some(_) => "not known, the database is away".to_owned(),
            None if counts.is_empty() => "none".to_owned(),
            None => counts.join(", "),
        };
        text.push_str(&format!("records: {counts}\n"));
        if self.reports_aside > 0 {
            text.push_str(&format!(
                "kept aside: {} no task; see qcbatch spool aside list\n",
                match self.reports_aside {
                    1 => "1 report that fits".to_owned(),
                    several => format!("{several} reports that fit"),
                }
            ));
        }
        text.push('\n');
        let rows: Vec<Vec<String>> = self.pools.iter().map(|pool| row(pool, screen)).collect();
        text.push_str(&render(&POOLS, &rows, screen.width, screen.colour));
        for pool in self.pools.iter().filter(|pool| !pool.limits.is_empty()) {
            text.push_str(&format!("limits of pool {}: {}\n", pool.name, printable(&pool.limits)));
        }
        let troubles = self.quiet();
        if !self.waiting.is_empty() || !troubles.is_empty() {
            text.push('\n');
        }
        for line in &self.waiting {
            text.push_str(&format!("waiting: {}\n", printable(line)));
        }
        text.extend(troubles.lines().map(|trouble| format!("trouble: {trouble}\n")));
        text
    }

    fn quiet(&self) -> String {
        let away = self
            .database_away
            .iter()
            .map(|cause| format!("database: {cause}; the daemon goes on once it answers"));
        let troubles = away.chain(self.troubles.iter().cloned());
        troubles.map(|trouble| format!("{}\n", printable(&trouble))).collect()
    }
}

fn row(pool: &PoolSummary, screen: &Screen) -> Vec<String> {
    let of = |states: &[JobState]| -> i64 { states.iter().filter_map(|state| pool.jobs.get(state)).sum() };
    // What is planned is not in the scheduler's queue yet, if it ever will be.
    let (waiting, running) = ([JobState::Queued], [JobState::Running, JobState::Ending]);
    let all: i64 =
        pool.jobs.iter().filter(|(state, _)| **state != JobState::Ended).map(|(_, count)| count).sum();
    let polled = pool.polled_on.map(|at| format::age(at, screen.now));
    vec![
        pool.name.to_string(),
        pool.adapter.clone(),
        pool.scheduler.to_string(),
        of(&waiting).to_string(),
        of(&running).to_string(),
        (all - of(&waiting) - of(&running)).to_string(),
        polled.unwrap_or_else(|| format::ABSENT.to_owned()),
        pool.paused.as_ref().map_or_else(|| "open".to_owned(), |reason| format!("paused: {reason}")),
    ]
}
