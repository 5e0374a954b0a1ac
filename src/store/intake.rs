//! Taking calculations in: one transaction for a whole command, however many batches it comes in.
//! Touches molecules, specifications, demands, records and tasks, and only adds rows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Binary, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::time::Instant;

use super::connect::Lane;
use super::demand::{self, Demand};
use super::error::{Doing, StoreError};
use super::molecule::{self, MoleculeRow};
use super::specification::{self, SpecificationKey};
use super::turn::{self, Turn};
use super::types::{make_storable, members, raw, sql, storable};
use super::write::{Transaction, Writer};
use crate::model::calculation::{Calculation, Specification};
use crate::model::identity::CalculationHash;
use crate::model::ids::{MoleculeId, PoolName, RecordId, SpecificationId};
use crate::model::record::{RecordStatus, RecordType};
use crate::model::resources::TaskResources;
use crate::model::task::Placement;

/// Specifications and demands remembered between batches; beyond it they are looked up again.
const REMEMBERED: usize = 10_000;

/// One requested calculation, and how it is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRecord {
    /// What is asked.
    pub calculation: Calculation,
    /// Compute tag, `*` for any pool.
    pub compute_tag: String,
    /// 0 low, 1 normal, 2 high: QCArchive's priorities.
    pub compute_priority: i16,
    /// The only pool it may run in, if one was asked for.
    pub pool: Option<PoolName>,
    /// What it asks for.
    pub resources: TaskResources,
    /// Whether it may share its job.
    pub placement: Placement,
    /// Whether an identical record is used instead.
    pub reuse: Reuse,
    /// Who asks.
    pub owner_user: String,
}

/// Whether an identical request makes a new record.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// A record of the same specification and molecule is used, whatever its status.
    #[default]
    FindExisting,
    /// Always a new record.
    AlwaysNew,
}

/// Whether a record was there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Novelty {
    /// Made now.
    New,
    /// Found.
    Existing,
}

/// The answer to one [`NewRecord`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddedRecord {
    /// Its record.
    pub record_id: RecordId,
    /// Whether that was there before (also: earlier in the same intake).
    pub novelty: Novelty,
}

impl AddedRecord {
    /// Whether nothing was added for it.
    pub fn existed(&self) -> bool {
        self.novelty == Novelty::Existing
    }
}

/// An open intake. Nothing of it is visible, or stays, before [`Intake::commit`].
///
/// The database ends a transaction that is idle for 30 s, so callers read their input ahead of `add`.
pub struct Intake {
    transaction: Transaction,
    /// Dropped after the transaction: the next in line finds the lock free.
    turn: Turn,
    specifications: HashMap<SpecificationKey, SpecificationId>,
    demands: HashMap<Demand, i64>,
}

impl Writer {
    /// Begins an intake when those before it have ended, here and at other sites; waits as long as is usual.
    pub async fn begin_intake(&self) -> Result<Intake, StoreError> {
        self.begin_intake_within(turn::USUAL_WAIT).await
    }

    /// Begins an intake when those before it have ended, here and at other sites. [`StoreError::Busy`] where that takes
    /// longer than `wait`. Nobody waits for another intake with a connection that anybody else needs.
    pub async fn begin_intake_within(&self, wait: Duration) -> Result<Intake, StoreError> {
        let deadline = Instant::now() + wait;
        let turn = self.store.turns.take(deadline).await?;
        let mut transaction = self.on(Lane::Intake).begin().await?;
        if let Err(error) = turn::lock(transaction.conn(), deadline).await {
            if matches!(error, StoreError::Busy) {
                transaction.roll_back().await?;
            }
            return Err(error);
        }
        Ok(Intake { transaction, turn, specifications: HashMap::new(), demands: HashMap::new() })
    }
}

impl Intake {
    /// Takes a batch in; a thousand or so at a time is best. The answers are in the order of `records`.
    pub async fn add(&mut self, records: Vec<NewRecord>) -> Result<Vec<AddedRecord>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let prepared = prepare(records).await?;
        let conn = self.transaction.conn();
        let rows: Vec<&MoleculeRow> = prepared.iter().map(|record| &record.molecule).collect();
        let molecules = molecule::store(conn, &rows).await?;
        learn_specifications(conn, &mut self.specifications, &prepared).await?;
        learn_demands(conn, &mut self.demands, &prepared).await?;

        let mut wanted = Vec::with_capacity(prepared.len());
        for record in &prepared {
            let missing = |what| StoreError::Stored { what, source: "not found after it was stored".into() };
            wanted.push(Wanted {
                molecule_id: molecules
                    .id(&record.molecule.hash)
                    .ok_or_else(|| missing(format!("molecule {}", record.molecule.hash)))?,
                specification_id: *self
                    .specifications
                    .get(&record.specification)
                    .ok_or_else(|| missing(format!("specification {:?}", record.specification)))?,
                demand_id: *self
                    .demands
                    .get(&record.demand)
                    .ok_or_else(|| missing(format!("demand {:?}", record.demand)))?,
            });
        }
        let mut known = find_existing(conn, &prepared, &wanted, &molecules).await?;
        let plan = plan(&prepared, &wanted, &known);
        dedicate(conn, &prepared, &wanted, &known).await?;
        let added = insert(conn, &prepared, &wanted, &plan.new).await?;
        for (index, id) in plan.new.iter().zip(&added) {
            known.entry(wanted[*index].key()).or_insert(*id);
        }
        Ok(answers(&prepared, &wanted, &plan, &added, &known))
    }

    /// Number of submissions of this process that wait for it to end.
    pub fn others(&self) -> usize {
        self.turn.others()
    }

    /// Makes the whole intake last and visible.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await
    }

    /// Undoes everything. Dropping does so too, at the cost of a connection.
    pub async fn roll_back(self) -> Result<(), StoreError> {
        self.transaction.roll_back().await
    }
}

/// A record with everything computed that needs no database.
struct Prepared {
    record_type: RecordType,
    specification: SpecificationKey,
    /// Only for the first of its kind in a batch.
    full_specification: Option<Specification>,
    molecule: MoleculeRow,
    demand: Demand,
    extras: String,
    calculation_hash: CalculationHash,
    owner_user: String,
    compute_priority: i16,
    placement: Placement,
    reuse: Reuse,
}

/// Hashing and rendering take processor time: they run beside the runtime's own threads.
async fn prepare(records: Vec<NewRecord>) -> Result<Vec<Prepared>, StoreError> {
    let work = move || {
        let mut last: Option<(Specification, SpecificationKey)> = None;
        let mut prepared = Vec::with_capacity(records.len());
        for record in records {
            let specification = record.calculation.specification;
            let repeated =
                last.as_ref().filter(|(full, _)| *full == specification).map(|(_, key)| key.clone());
            let full_specification = if repeated.is_some() { None } else { Some(specification.clone()) };
            let key = repeated.unwrap_or_else(|| SpecificationKey::of(&specification));
            let mut extras = serde_json::Value::Object(record.calculation.extras);
            make_storable(&mut extras);
            let molecule = MoleculeRow::new(&record.calculation.molecule);
            let extras = members(Some(extras));
            prepared.push(Prepared {
                record_type: specification.record_type(),
                calculation_hash: key.calculation_hash(&molecule, &extras),
                molecule,
                demand: Demand::new(
                    &specification,
                    &record.compute_tag,
                    record.pool.as_ref(),
                    &record.resources,
                ),
                extras: serde_json::Value::Object(extras).to_string(),
                owner_user: storable(&record.owner_user),
                compute_priority: record.compute_priority.clamp(0, 2),
                placement: record.placement,
                reuse: record.reuse,
                full_specification,
                specification: key.clone(),
            });
            last = Some((specification, key));
        }
        prepared
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Stored { what: "batch of records".to_owned(), source: Box::new(error) })
}

async fn learn_specifications(
    conn: &mut AsyncPgConnection,
    known: &mut HashMap<SpecificationKey, SpecificationId>,
    prepared: &[Prepared],
) -> Result<(), StoreError> {
    if known.len() > REMEMBERED {
        known.clear();
    }
    let mut unknown: BTreeMap<SpecificationKey, &Specification> = BTreeMap::new();
    let mut current = None;
    for record in prepared {
        // A repeated specification stands beside the one before it.
        current = record.full_specification.as_ref().or(current);
        if let Some(full) = current
            && !known.contains_key(&record.specification)
        {
            unknown.entry(record.specification.clone()).or_insert(full);
        }
    }
    if !unknown.is_empty() {
        known.extend(specification::store(conn, &unknown).await?);
    }
    Ok(())
}

async fn learn_demands(
    conn: &mut AsyncPgConnection,
    known: &mut HashMap<Demand, i64>,
    prepared: &[Prepared],
) -> Result<(), StoreError> {
    if known.len() > REMEMBERED {
        known.clear();
    }
    let mut unknown: Vec<&Demand> =
        prepared.iter().map(|record| &record.demand).filter(|demand| !known.contains_key(demand)).collect();
    unknown.sort();
    unknown.dedup();
    if !unknown.is_empty() {
        let stored = demand::store(conn, &unknown).await?;
        known.extend(stored);
    }
    Ok(())
}

/// What makes two records the same calculation.
type Pair = (SpecificationId, MoleculeId);

/// Ids of what a record points to.
#[derive(Clone, Copy)]
struct Wanted {
    molecule_id: MoleculeId,
    specification_id: SpecificationId,
    demand_id: i64,
}

impl Wanted {
    fn key(&self) -> Pair {
        (self.specification_id, self.molecule_id)
    }
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct ExistingRow {
    id: RecordId,
    specification_id: SpecificationId,
    molecule_id: MoleculeId,
}

/// Records that are there already, by specification and molecule. Where there are several, a complete one is taken
/// first, then one that is still to come, then the newest.
async fn find_existing(
    conn: &mut AsyncPgConnection,
    prepared: &[Prepared],
    wanted: &[Wanted],
    molecules: &molecule::StoredMolecules,
) -> Result<HashMap<Pair, RecordId>, StoreError> {
    let mut keys: Vec<Pair> = prepared
        .iter()
        .zip(wanted)
        // What has just been added cannot have a record.
        .filter(|(record, ids)| {
            record.reuse == Reuse::FindExisting && !molecules.added.contains(&ids.molecule_id)
        })
        .map(|(_, ids)| ids.key())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let (specifications, molecules): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let rows: Vec<ExistingRow> = diesel::sql_query(
        "SELECT found.id, found.specification_id, found.molecule_id FROM unnest($1, $2) AS given(specification_id, molecule_id)
         CROSS JOIN LATERAL (
            SELECT r.id, r.specification_id, r.molecule_id FROM record r
            WHERE r.specification_id = given.specification_id AND r.molecule_id = given.molecule_id
            ORDER BY r.status = 'complete' DESC, r.status IN ('waiting', 'running') DESC, r.id DESC
            LIMIT 1) found",
    )
    .bind::<Array<BigInt>, _>(raw(specifications))
    .bind::<Array<BigInt>, _>(raw(molecules))
    .load(conn)
    .await
    .doing("looking for existing records")?;
    // A point of some trajectory may be among them; now it is asked for by itself.
    diesel::sql_query("UPDATE record SET requested = true WHERE id = ANY($1) AND NOT requested")
        .bind::<Array<BigInt>, _>(raw(rows.iter().map(|row| row.id)))
        .execute(conn)
        .await
        .doing("marking existing records")?;
    Ok(rows.into_iter().map(|row| ((row.specification_id, row.molecule_id), row.id)).collect())
}

/// A record that waits anyway is moved into a job of its own where that is asked for now: the caller wants to depend on
/// that job's exit code.
async fn dedicate(
    conn: &mut AsyncPgConnection,
    prepared: &[Prepared],
    wanted: &[Wanted],
    known: &HashMap<Pair, RecordId>,
) -> Result<(), StoreError> {
    let asked = prepared.iter().zip(wanted).filter(|(record, _)| {
        record.placement == Placement::Dedicated && record.reuse == Reuse::FindExisting
    });
    let ids: Vec<i64> = asked.filter_map(|(_, ids)| known.get(&ids.key())).map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query("UPDATE task SET placement = 'dedicated' WHERE record_id = ANY($1) AND available")
        .bind::<Array<BigInt>, _>(ids)
        .execute(conn)
        .await
        .doing("giving waiting records jobs of their own")?;
    Ok(())
}

/// Which records of a batch are made, by index.
struct Plan {
    new: Vec<usize>,
}

fn plan(prepared: &[Prepared], wanted: &[Wanted], known: &HashMap<Pair, RecordId>) -> Plan {
    let mut seen = std::collections::HashSet::new();
    let mut new = Vec::new();
    for (index, (record, ids)) in prepared.iter().zip(wanted).enumerate() {
        let first = seen.insert(ids.key());
        if record.reuse == Reuse::AlwaysNew || (first && !known.contains_key(&ids.key())) {
            new.push(index);
        }
    }
    Plan { new }
}

fn answers(
    prepared: &[Prepared],
    wanted: &[Wanted],
    plan: &Plan,
    added: &[RecordId],
    known: &HashMap<Pair, RecordId>,
) -> Vec<AddedRecord> {
    let mut made = plan.new.iter().copied().zip(added.iter().copied()).peekable();
    let mut answers = Vec::with_capacity(prepared.len());
    for (index, ids) in wanted.iter().enumerate() {
        if let Some((_, record_id)) = made.next_if(|(new, _)| *new == index) {
            answers.push(AddedRecord { record_id, novelty: Novelty::New });
        } else if let Some(record_id) = known.get(&ids.key()) {
            answers.push(AddedRecord { record_id: *record_id, novelty: Novelty::Existing });
        }
    }
    answers
}

#[derive(diesel::QueryableByName)]
struct InsertedRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
}

/// Makes records and their tasks in one statement; ids in the order of `new`.
async fn insert(
    conn: &mut AsyncPgConnection,
    prepared: &[Prepared],
    wanted: &[Wanted],
    new: &[usize],
) -> Result<Vec<RecordId>, StoreError> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let texts =
        |text: fn(&Prepared) -> &str| -> Vec<&str> { new.iter().map(|i| text(&prepared[*i])).collect() };
    let ids = |id: fn(&Wanted) -> i64| -> Vec<i64> { new.iter().map(|i| id(&wanted[*i])).collect() };
    let rows: Vec<InsertedRow> = diesel::sql_query(INSERT)
        .bind::<Array<Text>, _>(texts(|record| record.record_type.as_str()))
        .bind::<Array<BigInt>, _>(ids(|ids| ids.specification_id.0))
        .bind::<Array<BigInt>, _>(ids(|ids| ids.molecule_id.0))
        .bind::<Array<Text>, _>(texts(|record| &record.demand.compute_tag))
        .bind::<Array<Text>, _>(texts(|record| &record.owner_user))
        .bind::<Array<Text>, _>(texts(|record| &record.extras))
        .bind::<Array<BigInt>, _>(ids(|ids| ids.demand_id))
        .bind::<Array<SmallInt>, _>(new.iter().map(|i| prepared[*i].compute_priority).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(texts(|record| record.placement.as_str()))
        .bind::<Array<Binary>, _>(
            new.iter().map(|i| &prepared[*i].calculation_hash.0[..]).collect::<Vec<_>>(),
        )
        .bind::<sql::RecordStatus, _>(RecordStatus::Waiting)
        .load(conn)
        .await
        .doing("storing records")?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Ids are drawn first, so that record and task are made in one statement and the answer keeps the order.
const INSERT: &str = "
    WITH given AS MATERIALIZED (
        SELECT nextval('record_id_seq') AS id, rows.*
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY
            AS rows(record_type, specification_id, molecule_id, compute_tag, owner_user, extras, demand_id,
                compute_priority, placement, calculation_hash, place)
    ), made AS (
        INSERT INTO record (id, record_type, status, specification_id, molecule_id, compute_tag, owner_user, extras)
        SELECT id, record_type::record_type, $11, specification_id, molecule_id, compute_tag, owner_user,
            extras::json
        FROM given
    ), queued AS (
        INSERT INTO task (record_id, demand_id, compute_priority, placement, available, calculation_hash)
        SELECT id, demand_id, compute_priority, placement::placement, true, calculation_hash FROM given
    )
    SELECT id FROM given ORDER BY place";
