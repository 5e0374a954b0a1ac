//! Removes what a benchmark stored, and nothing else: records of the program `synthetic` under one compute tag, with all
//! that hangs on them. Touches every table that such a record has rows in.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::time::Instant;

use super::error::{Doing, StoreError};
use super::turn;
use super::types::raw;
use super::write::Writer;
use crate::model::ids::{MoleculeId, RecordId};
use crate::model::timing::{BENCH_TAG_PREFIX, SYNTHETIC};

/// Records removed in one transaction.
const AT_ONCE: i64 = 5_000;

/// What was removed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Removed {
    /// Records.
    pub records: u64,
    /// Molecules that nothing else refers to.
    pub molecules: u64,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct Row {
    id: RecordId,
    molecule_id: MoleculeId,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct IdRow {
    id: RecordId,
}

const PAGE: &str = "
    SELECT r.id, r.molecule_id FROM record r JOIN specification s ON s.id = r.specification_id
    WHERE r.id >= $2 AND r.compute_tag = $1 AND r.status NOT IN ('waiting', 'running')
        AND r.record_type = 'singlepoint' AND s.program = $3
    ORDER BY r.id LIMIT $4";

impl Writer {
    /// Removes the ended records with `compute_tag` from `from` on. Those that are open must be cancelled first. Does
    /// nothing for a tag that is no benchmark's.
    pub async fn remove_bench(&self, compute_tag: &str, from: RecordId) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        if !compute_tag.starts_with(BENCH_TAG_PREFIX) {
            return Ok(removed);
        }
        let mut next = from;
        loop {
            let deadline = Instant::now() + turn::USUAL_WAIT;
            let _turn = self.store.turns.take(deadline).await?;
            let mut transaction = self.begin().await?;
            let conn = transaction.conn();
            let page: Vec<Row> = diesel::sql_query(PAGE)
                .bind::<Text, _>(compute_tag)
                .bind::<BigInt, _>(next.0)
                .bind::<Text, _>(SYNTHETIC)
                .bind::<BigInt, _>(AT_ONCE)
                .load(conn)
                .await
                .doing("looking for records of a benchmark")?;
            let Some(last) = page.last() else {
                remove_shared(conn, compute_tag, deadline).await?;
                transaction.commit().await?;
                return Ok(removed);
            };
            next = RecordId(last.id.0 + 1);
            removed.records += remove_records(conn, raw(page.iter().map(|row| row.id))).await?;
            removed.molecules +=
                remove_molecules(conn, raw(page.iter().map(|row| row.molecule_id)), deadline).await?;
            transaction.commit().await?;
        }
    }
}

/// Tasks are locked first and in order, as everybody does, and then their records. A record that a user has made wait
/// again since stays.
const LOCK: [&str; 2] = [
    "SELECT FROM task WHERE record_id = ANY($1) ORDER BY id FOR UPDATE",
    "SELECT FROM record WHERE id = ANY($1) ORDER BY id FOR UPDATE",
];

/// What hangs on a record, and it.
const REMOVE: [&str; 6] = [
    "DELETE FROM event WHERE record_id = ANY($1)",
    "DELETE FROM native_file WHERE record_id = ANY($1)",
    "DELETE FROM wavefunction_store WHERE record_id = ANY($1)",
    "DELETE FROM compute_history WHERE record_id = ANY($1)",
    "DELETE FROM task WHERE record_id = ANY($1)",
    "DELETE FROM record WHERE id = ANY($1)",
];

async fn remove_records(conn: &mut AsyncPgConnection, ids: Vec<i64>) -> Result<u64, StoreError> {
    for statement in LOCK {
        let locking = diesel::sql_query(statement).bind::<Array<BigInt>, _>(&ids);
        locking.execute(conn).await.doing("locking records of a benchmark")?;
    }
    let still: Vec<IdRow> = diesel::sql_query(
        "SELECT id FROM record WHERE id = ANY($1) AND status NOT IN ('waiting', 'running')",
    )
    .bind::<Array<BigInt>, _>(&ids)
    .load(conn)
    .await
    .doing("looking at records of a benchmark")?;
    let ids = raw(still.into_iter().map(|row| row.id));
    for statement in REMOVE {
        let removing = diesel::sql_query(statement).bind::<Array<BigInt>, _>(&ids);
        removing.execute(conn).await.doing("removing records of a benchmark")?;
    }
    Ok(ids.len() as u64)
}

/// Molecules that no record refers to any more. No intake is open meanwhile: one could have found such a molecule and
/// not yet stored the record that refers to it. (No optimization ends in the molecules of a benchmark.)
async fn remove_molecules(
    conn: &mut AsyncPgConnection,
    mut ids: Vec<i64>,
    deadline: Instant,
) -> Result<u64, StoreError> {
    turn::lock(conn, deadline).await?;
    ids.sort_unstable();
    ids.dedup();
    let removed = diesel::sql_query(
        "DELETE FROM molecule m WHERE m.id = ANY($1)
            AND NOT EXISTS (SELECT FROM record r WHERE r.molecule_id = m.id)
            AND NOT EXISTS (SELECT FROM record r WHERE r.final_molecule_id = m.id)",
    )
    .bind::<Array<BigInt>, _>(ids)
    .execute(conn)
    .await
    .doing("removing molecules of a benchmark")?;
    Ok(removed as u64)
}

/// The demand of the tag, and the specifications of `synthetic` that no record has.
async fn remove_shared(
    conn: &mut AsyncPgConnection,
    compute_tag: &str,
    deadline: Instant,
) -> Result<(), StoreError> {
    turn::lock(conn, deadline).await?;
    diesel::sql_query(
        "DELETE FROM demand d WHERE d.compute_tag = $1 AND NOT EXISTS (SELECT FROM task t WHERE t.demand_id = d.id)",
    )
    .bind::<Text, _>(compute_tag)
    .execute(conn)
    .await
    .doing("removing the demand of a benchmark")?;
    diesel::sql_query(
        "DELETE FROM specification s WHERE s.program = $1 AND s.record_type = 'singlepoint'
            AND NOT EXISTS (SELECT FROM record r WHERE r.specification_id = s.id)
            AND NOT EXISTS (SELECT FROM specification o WHERE o.qc_specification_id = s.id)",
    )
    .bind::<Text, _>(SYNTHETIC)
    .execute(conn)
    .await
    .doing("removing specifications of a benchmark")?;
    Ok(())
}
