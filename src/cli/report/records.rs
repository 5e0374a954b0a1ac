//! `list`: records as a table.

use crate::cli::format;
use crate::cli::screen::{Report, Screen, state_style};
use crate::cli::table::{Column, render};
use crate::model::view::{RecordLine, RecordPage};

const COLUMNS: [Column; 11] = [
    Column::right("ID", 0),
    Column::left("STATUS", 0).painted(state_style),
    Column::left("FORMULA", 0).cut_to(8),
    Column::left("PROGRAM", 3).cut_to(7),
    Column::left("MODEL", 0).cut_to(10),
    Column::left("DRIVER", 4),
    Column::right("ENERGY (Eh)", 0),
    Column::right("WALL", 5),
    Column::left("POOL", 7).cut_to(6),
    Column::left("TAG", 8).cut_to(6),
    Column::right("AGE", 6),
];

impl Report for RecordPage {
    fn table(&self, screen: &Screen) -> String {
        if self.records.is_empty() {
            return "no records\n".to_owned();
        }
        let rows: Vec<Vec<String>> = self.records.iter().map(|record| row(record, screen)).collect();
        let mut text = render(&COLUMNS, &rows, screen.width, screen.colour);
        if let Some(next) = self.next {
            text.push_str(&format!("older records: --before {next}, or --all\n"));
        }
        text
    }

    fn quiet(&self) -> String {
        self.records.iter().map(|record| format!("{}\n", record.id)).collect()
    }
}

fn row(record: &RecordLine, screen: &Screen) -> Vec<String> {
    vec![
        record.id.to_string(),
        record.status.as_str().to_owned(),
        record.formula.clone(),
        record.program.clone(),
        format::model(&record.method, &record.basis),
        task_word(record).to_owned(),
        format::energy(record.return_energy),
        format::maybe_duration(record.wall_seconds),
        record.pool.as_ref().map_or_else(|| format::ABSENT.to_owned(), ToString::to_string),
        record.compute_tag.clone(),
        format::age(record.created_on, screen.now),
    ]
}

/// The driver; `optimization` for a record whose driver its procedure chooses.
pub(super) fn task_word(record: &RecordLine) -> &'static str {
    match record.record_type {
        crate::model::record::RecordType::Singlepoint => record.driver.as_str(),
        crate::model::record::RecordType::Optimization => "optimization",
    }
}
