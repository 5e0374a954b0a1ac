//! `jobs`: batch jobs as a table.

use serde::Serialize;

use crate::cli::format;
use crate::cli::screen::{Report, Screen, state_style};
use crate::cli::table::{Column, render};
use crate::model::view::JobLine;

const COLUMNS: [Column; 10] = [
    Column::right("ID", 0),
    Column::left("STATE", 0).painted(state_style),
    Column::left("OUTCOME", 4).painted(state_style),
    Column::left("POOL", 2).cut_to(6),
    Column::left("SCHEDULER ID", 0).cut_to(12),
    Column::left("NODE", 3).cut_to(8),
    Column::right("TASKS", 1),
    Column::right("OPEN", 5),
    Column::right("RUN", 6),
    Column::left("REASON", 7).cut_to(8),
];

/// Jobs, newest first.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct JobList(pub Vec<JobLine>);

impl Report for JobList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "no jobs\n".to_owned();
        }
        let rows: Vec<Vec<String>> = self.0.iter().map(|job| row(job, screen)).collect();
        render(&COLUMNS, &rows, screen.width, screen.colour)
    }

    fn quiet(&self) -> String {
        self.0.iter().map(|job| format!("{}\n", job.id)).collect()
    }
}

fn row(job: &JobLine, screen: &Screen) -> Vec<String> {
    let ran = job.started_on.map(|started| {
        let end = job.ended_on.unwrap_or(screen.now);
        format::duration(end.duration_since(started).as_secs().max(0) as f64)
    });
    let absent = || format::ABSENT.to_owned();
    vec![
        job.id.to_string(),
        state_word(job).to_owned(),
        job.outcome.map_or_else(absent, |outcome| outcome.as_str().to_owned()),
        job.pool.to_string(),
        job.scheduler_job_id.as_ref().map_or_else(absent, ToString::to_string),
        job.hostname.clone().unwrap_or_else(absent),
        job.tasks.to_string(),
        job.open_tasks.to_string(),
        ran.unwrap_or_else(absent),
        job.reason.clone().unwrap_or_default(),
    ]
}

/// The job's state; before the scheduler has taken it, how far its submission is.
pub(super) fn state_word(job: &JobLine) -> &'static str {
    match job.state {
        crate::model::job::JobState::Planned => job.submission_state.as_str(),
        state => state.as_str(),
    }
}
