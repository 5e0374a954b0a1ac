//! What reports tell of tasks that have not ended: how far a stopped optimization came, so that the next attempt goes on from
//! there, and which tasks come back unbegun. Touches `task`, and `record` where a task comes back.
//!
//! The record keeps the molecule that was asked for; only what is handed out begins elsewhere.

use std::collections::HashMap;

use diesel::sql_types::{Array, BigInt, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{Doing, StoreError};
use super::types::raw;
use crate::model::calculation::{Calculation, Specification};
use crate::model::ids::TaskId;
use crate::model::notice::Attempt;
use crate::model::task::{Progress, RESTART_EXTRA, TaskOutcome, TaskReport};

/// What is kept with the task.
#[derive(Serialize, Deserialize)]
struct Restart {
    attempt: u32,
    #[serde(flatten)]
    progress: Progress,
}

/// What reports tell of tasks that have not ended.
#[derive(Default)]
pub(super) struct Underway {
    /// How far tasks have come: the last word of each.
    progress: HashMap<TaskId, Restart>,
    /// Attempts that were not begun and are given back.
    returned: Vec<Attempt>,
}

impl Underway {
    /// Takes reports that end nothing out of `reports`. What failed of itself afterwards is not kept.
    pub(super) fn split(reports: Vec<TaskReport>) -> (Underway, Vec<TaskReport>) {
        let mut underway = Underway::default();
        let mut ends = Vec::with_capacity(reports.len());
        for report in reports {
            match report.outcome {
                TaskOutcome::Progress(progress) => {
                    underway.progress.insert(report.task_id, Restart { attempt: report.attempt, progress });
                }
                TaskOutcome::Error { class, .. } if !class.keeps_progress() => {
                    underway.progress.remove(&report.task_id);
                    ends.push(report);
                }
                TaskOutcome::Returned => {
                    let TaskReport { task_id, attempt, .. } = report;
                    underway.returned.push(Attempt { task_id, attempt });
                }
                _ => ends.push(report),
            }
        }
        (underway, ends)
    }

    /// Whether a task was given back.
    pub(super) fn gives_back(&self) -> bool {
        !self.returned.is_empty()
    }

    /// Frees the tasks that were given back unbegun, at no cost to them, as far as their attempts are still the current
    /// ones. Returns how many.
    pub(super) async fn give_back(&self, conn: &mut AsyncPgConnection) -> Result<usize, StoreError> {
        let attempts = self.returned.iter().map(|one| i32::try_from(one.attempt).unwrap_or(i32::MAX));
        let freed: Vec<FreedRow> = diesel::sql_query(GIVE_BACK)
            .bind::<Array<BigInt>, _>(raw(self.returned.iter().map(|one| one.task_id)))
            .bind::<Array<Integer>, _>(attempts.collect::<Vec<_>>())
            .load(conn)
            .await
            .doing("taking unbegun tasks back")?;
        Ok(freed.len())
    }

    /// Keeps it with the tasks, as far as their attempts are still the current ones. Waits for nobody, so that it may come
    /// after other locks: a task that somebody else holds at this moment stays as it is.
    pub(super) async fn remember(&self, conn: &mut AsyncPgConnection) -> Result<(), StoreError> {
        if self.progress.is_empty() {
            return Ok(());
        }
        let rows: Vec<Value> = self
            .progress
            .iter()
            .map(|(id, restart)| json!({ "id": id, "attempt": restart.attempt, "restart": restart }))
            .collect();
        diesel::sql_query(
            "WITH given AS (
                SELECT * FROM json_to_recordset($1::json) AS rows(id bigint, attempt integer, restart jsonb)
             ), held AS (
                SELECT task.id FROM task JOIN given USING (id, attempt) ORDER BY task.id FOR UPDATE OF task SKIP LOCKED
             )
             UPDATE task SET restart = given.restart FROM given JOIN held USING (id) WHERE task.id = given.id",
        )
        .bind::<Text, _>(Value::from(rows).to_string())
        .execute(conn)
        .await
        .doing("keeping how far tasks have come")?;
        Ok(())
    }
}

/// A task that is held by nobody any more was given back by the end of its job before.
const GIVE_BACK: &str = "
    WITH given AS (SELECT * FROM unnest($1, $2) AS rows(id, attempt)), locked AS (
        SELECT t.id FROM task t JOIN given USING (id, attempt)
        WHERE t.job_id IS NOT NULL OR t.chunk_id IS NOT NULL ORDER BY t.id FOR UPDATE OF t
    ), freed AS (
        UPDATE task SET available = true, job_id = NULL, chunk_id = NULL,
            waiting_reason = 'given back unbegun: other jobs have room for it'
        FROM locked WHERE task.id = locked.id RETURNING task.record_id
    ), records AS (
        SELECT r.id FROM record r JOIN freed ON freed.record_id = r.id WHERE r.status = 'running'
        ORDER BY r.id FOR NO KEY UPDATE OF r
    ), stopped AS (
        UPDATE record SET status = 'waiting', modified_on = now() FROM records WHERE record.id = records.id)
    SELECT record_id FROM freed";

#[derive(diesel::QueryableByName)]
struct FreedRow {
    #[diesel(sql_type = BigInt)]
    #[expect(dead_code, reason = "only counted")]
    record_id: i64,
}

/// Lets tasks begin anew: their attempts failed where they were.
pub(super) async fn forget(conn: &mut AsyncPgConnection, tasks: &[TaskId]) -> Result<(), StoreError> {
    if tasks.is_empty() {
        return Ok(());
    }
    diesel::sql_query("UPDATE task SET restart = NULL WHERE id = ANY($1) AND restart IS NOT NULL")
        .bind::<Array<BigInt>, _>(raw(tasks.iter().copied()))
        .execute(conn)
        .await
        .doing("letting tasks begin anew")?;
    Ok(())
}

/// The calculation from where it was stopped; the result will say so in its extras. What does not fit changes nothing.
pub(super) fn go_on(mut calculation: Calculation, restart: Option<Value>) -> Calculation {
    let Specification::Optimization(_) = calculation.specification else { return calculation };
    let Some(restart) = restart.and_then(|value| serde_json::from_value::<Restart>(value).ok()) else {
        return calculation;
    };
    let Restart { attempt, progress } = restart;
    if let Ok(molecule) = calculation.molecule.moved(&progress.geometry) {
        calculation.molecule = molecule;
        let told = json!({ "attempt": attempt, "gradients": progress.gradients, "energy": progress.energy });
        calculation.extras.insert(RESTART_EXTRA.to_owned(), told);
    }
    calculation
}

#[cfg(test)]
mod tests;
