//! `spool aside list`: reports that fit no task, as a table.

use serde::Serialize;

use crate::cli::format;
use crate::cli::screen::{Report, Screen};
use crate::cli::table::{Column, printable, render};
use crate::model::view::AsideLine;

const COLUMNS: [Column; 7] = [
    Column::right("ID", 0),
    Column::right("AGE", 2),
    Column::right("RECORD", 0),
    Column::right("ATTEMPT", 3),
    Column::right("JOB", 1),
    Column::left("OUTCOME", 0),
    Column::left("REASON", 0).cut_to(20),
];

/// Reports that were kept aside, newest first.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct AsideList(pub Vec<AsideLine>);

impl Report for AsideList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "no reports are kept aside\n".to_owned();
        }
        let rows: Vec<Vec<String>> = self.0.iter().map(|line| row(line, screen)).collect();
        render(&COLUMNS, &rows, screen.width, screen.colour)
    }

    fn quiet(&self) -> String {
        self.0.iter().map(|line| format!("{}\n", line.id)).collect()
    }
}

fn row(line: &AsideLine, screen: &Screen) -> Vec<String> {
    vec![
        line.id.to_string(),
        format::age(line.at, screen.now),
        line.record_id.to_string(),
        line.attempt.to_string(),
        line.job_id.to_string(),
        printable(&line.outcome),
        printable(&line.explanation),
    ]
}
