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
use super::types::{raw, sql};
use crate::model::calculation::{Calculation, Specification};
use crate::model::identity::{Lineage, Said, check_source};
use crate::model::ids::{JobId, RecordId, TaskId};
use crate::model::record::RecordChange;
use crate::model::task::{Progress, RESTART_EXTRA, TaskOutcome, TaskReport};

/// What is kept with the task.
#[derive(Serialize, Deserialize)]
struct Restart {
    attempt: u32,
    #[serde(flatten)]
    progress: Progress,
}

/// A word from the midst of an attempt.
struct Word {
    record_id: RecordId,
    said: Said,
    restart: Restart,
}

/// What reports tell of tasks that have not ended.
pub(super) struct Underway {
    /// In whose results they lie.
    job_id: JobId,
    /// How far tasks have come: the last word of each.
    progress: HashMap<TaskId, Word>,
    /// Attempts that were not begun and are given back.
    returned: Vec<Said>,
}

impl Underway {
    /// Takes reports that end nothing out of `reports`. What failed of itself afterwards is not kept.
    pub(super) fn split(job_id: JobId, reports: Vec<TaskReport>) -> (Underway, Vec<TaskReport>) {
        let mut underway = Underway { job_id, progress: HashMap::new(), returned: Vec::new() };
        let mut ends = Vec::with_capacity(reports.len());
        for report in reports {
            let said = Said {
                issue: report.issue,
                job_id: report.provenance.job_id,
                task_id: report.task_id,
                attempt: report.attempt,
            };
            match report.outcome {
                TaskOutcome::Progress(progress) => {
                    let record_id = report.record_id;
                    let restart = Restart { attempt: report.attempt, progress };
                    underway.progress.insert(report.task_id, Word { record_id, said, restart });
                }
                TaskOutcome::Error { class, .. } if !class.keeps_progress() => {
                    underway.progress.remove(&report.task_id);
                    ends.push(report);
                }
                TaskOutcome::Returned => underway.returned.push(said),
                _ => ends.push(report),
            }
        }
        (underway, ends)
    }

    /// Whether a task was given back.
    pub(super) fn gives_back(&self) -> bool {
        !self.returned.is_empty()
    }

    /// Frees the tasks that were given back unbegun, at no cost to them, as far as the report comes from where it lies and
    /// their attempts are still the current ones. Returns how many.
    pub(super) async fn give_back(
        &self,
        conn: &mut AsyncPgConnection,
        lineage: &Lineage,
    ) -> Result<usize, StoreError> {
        let ours = |said: &&Said| check_source(said, self.job_id, lineage).is_ok();
        let returned: Vec<&Said> = self.returned.iter().filter(ours).collect();
        let attempts = returned.iter().map(|said| i32::try_from(said.attempt).unwrap_or(i32::MAX));
        let freed: Vec<FreedRow> = diesel::sql_query(GIVE_BACK)
            .bind::<Array<BigInt>, _>(raw(returned.iter().map(|said| said.task_id)))
            .bind::<Array<Integer>, _>(attempts.collect::<Vec<_>>())
            .bind::<BigInt, _>(self.job_id.0)
            .bind::<Array<sql::RecordStatus>, _>(RecordChange::Release.from())
            .bind::<sql::RecordStatus, _>(RecordChange::Release.to())
            .load(conn)
            .await
            .doing("taking unbegun tasks back")?;
        Ok(freed.len())
    }

    /// Keeps it with the tasks, as far as it is of their current attempts and of what their records ask. Waits for nobody,
    /// so that it may come after other locks: a task that somebody else holds at this moment stays as it is.
    pub(super) async fn remember(
        &self,
        conn: &mut AsyncPgConnection,
        lineage: &Lineage,
    ) -> Result<(), StoreError> {
        let ours = |word: &&Word| check_source(&word.said, self.job_id, lineage).is_ok();
        let rows: Vec<Value> = self
            .progress
            .values()
            .filter(ours)
            .map(|Word { record_id, said, restart }| {
                json!({ "id": said.task_id, "record_id": record_id, "attempt": said.attempt, "restart": restart,
                    "hash": said.issue.and_then(|issue| issue.calculation) })
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        diesel::sql_query(
            "WITH given AS (
                SELECT * FROM json_to_recordset($1::json)
                    AS rows(id bigint, record_id bigint, attempt integer, restart jsonb, hash text)
             ), held AS (
                SELECT task.id FROM task JOIN given USING (id, record_id, attempt)
                WHERE coalesce(task.job_id = $2, true)
                    AND coalesce(encode(task.calculation_hash, 'hex') = given.hash, true)
                ORDER BY task.id FOR UPDATE OF task SKIP LOCKED
             )
             UPDATE task SET restart = given.restart FROM given JOIN held USING (id) WHERE task.id = given.id",
        )
        .bind::<Text, _>(Value::from(rows).to_string())
        .bind::<BigInt, _>(self.job_id.0)
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
        WHERE t.job_id = $3 OR (t.job_id IS NULL AND t.chunk_id IS NOT NULL) ORDER BY t.id FOR UPDATE OF t
    ), freed AS (
        UPDATE task SET available = true, job_id = NULL, chunk_id = NULL,
            waiting_reason = 'given back unbegun: other jobs have room for it'
        FROM locked WHERE task.id = locked.id RETURNING task.record_id
    ), records AS (
        SELECT r.id FROM record r JOIN freed ON freed.record_id = r.id WHERE r.status = ANY($4)
        ORDER BY r.id FOR NO KEY UPDATE OF r
    ), stopped AS (
        UPDATE record SET status = $5, modified_on = now() FROM records WHERE record.id = records.id)
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
