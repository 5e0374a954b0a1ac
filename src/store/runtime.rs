//! History of run times and memory: read for predictions, and kept up to date with every batch of results.
//! Touches `runtime_history` and `basis_size`; rows of a batch are added first, in order of their keys, then locked in
//! order of their ids, so that no two batches wait in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::QueryableByName;
use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::history::NewAttempt;
use super::types::{bigint, integer, raw, sql};
use crate::model::calculation::Driver;
use crate::model::failure::{EarlierAttempt, FailureClass};
use crate::model::ids::{JobId, PoolName, RecordId};
use crate::model::record::RecordType;
use crate::model::runtime::{
    Measure, Measured, Moments, Observation, Place, Quantity, Run, RuntimeHistory, RuntimeKey,
    RuntimeSubject, Size, Work,
};
use crate::model::timing::is_synthetic;

/// A calculation of the queue, as far as predictions are concerned.
#[derive(Clone, PartialEq, Debug)]
pub struct KnownCalculation {
    /// Its record.
    pub record_id: RecordId,
    /// Of which kind it is.
    pub key: RuntimeKey,
    /// How large it is.
    pub size: Size,
    /// Attempts that failed, oldest first.
    pub earlier: Vec<EarlierAttempt>,
}

/// What one report tells of its run.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct FinishedRun {
    pub(crate) record_id: RecordId,
    pub(crate) cores: u32,
    pub(crate) wall_seconds: Option<Measured>,
    pub(crate) memory_bytes: Option<Measured>,
    pub(crate) basis_functions: Option<u32>,
}

impl FinishedRun {
    /// Of an attempt that came to its end; nothing is learned from what the node runner answered itself.
    pub(crate) fn completed(row: &NewAttempt, basis_functions: Option<u32>) -> Option<FinishedRun> {
        (!row.program.as_deref().is_some_and(is_synthetic)).then(|| FinishedRun {
            record_id: row.record_id,
            cores: row.cores.unwrap_or(1),
            wall_seconds: row.wall_seconds.map(Measured::Whole),
            memory_bytes: row.peak_memory_bytes.map(|bytes| Measured::Whole(bytes as f64)),
            basis_functions,
        })
    }

    /// Of an attempt that failed: only what it ran out of says something of the next one.
    pub(crate) fn failed(row: &NewAttempt, class: FailureClass) -> Option<FinishedRun> {
        let run = FinishedRun {
            record_id: row.record_id,
            cores: row.cores.unwrap_or(1),
            wall_seconds: None,
            memory_bytes: None,
            basis_functions: None,
        };
        match class {
            FailureClass::Walltime => {
                Some(FinishedRun { wall_seconds: row.wall_seconds.map(Measured::StoppedAt), ..run })
            }
            FailureClass::Memory => {
                let bytes = row.memory_bytes.max(row.peak_memory_bytes)?;
                Some(FinishedRun { memory_bytes: Some(Measured::StoppedAt(bytes as f64)), ..run })
            }
            _ => None,
        }
    }
}

#[derive(QueryableByName)]
struct CalculationRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
    #[diesel(sql_type = sql::RecordType)]
    record_type: RecordType,
    #[diesel(sql_type = Text)]
    program: String,
    #[diesel(sql_type = Text)]
    method: String,
    #[diesel(sql_type = Text)]
    basis: String,
    #[diesel(sql_type = sql::Driver)]
    driver: Driver,
    #[diesel(sql_type = Text)]
    formula: String,
    #[diesel(sql_type = Integer)]
    atoms: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    functions: Option<i32>,
}

impl CalculationRow {
    fn key(&self) -> RuntimeKey {
        let work = Work::of(self.record_type, self.driver);
        RuntimeKey::new(&self.program, &self.method, &self.basis, work)
    }
}

const CALCULATIONS: &str = "
    SELECT r.id, r.record_type, q.program, q.method, q.basis, q.driver, m.formula, m.atoms, b.functions
    FROM record r JOIN specification s ON s.id = r.specification_id
        JOIN specification q ON q.id = coalesce(s.qc_specification_id, s.id)
        JOIN molecule m ON m.id = r.molecule_id
        LEFT JOIN basis_size b
            ON q.basis <> '' AND b.program = lower(q.program) AND b.basis = lower(q.basis) AND b.formula = m.formula
    WHERE r.id = ANY($1)";

async fn calculations(
    conn: &mut AsyncPgConnection,
    records: Vec<i64>,
) -> Result<Vec<CalculationRow>, StoreError> {
    diesel::sql_query(CALCULATIONS)
        .bind::<Array<BigInt>, _>(records)
        .load(conn)
        .await
        .doing("reading what records ask")
}

#[derive(QueryableByName)]
struct EarlierRow {
    #[diesel(sql_type = sql::RecordId)]
    record_id: RecordId,
    #[diesel(sql_type = sql::FailureClass)]
    failure: FailureClass,
    #[diesel(sql_type = Nullable<Double>)]
    wall_seconds: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    memory_bytes: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    peak_memory_bytes: Option<i64>,
}

/// One row of history. The order of the columns is that of the key.
#[derive(QueryableByName)]
#[diesel(table_name = super::schema::runtime_history)]
struct HistoryRow {
    id: i64,
    program: String,
    method: String,
    basis: String,
    work: Work,
    site: String,
    pool: PoolName,
    cores: i32,
    quantity: Quantity,
    measure: Measure,
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
    runs: i64,
    stopped: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    since: Timestamp,
}

impl From<HistoryRow> for RuntimeHistory {
    fn from(row: HistoryRow) -> RuntimeHistory {
        let HistoryRow { weight, x, y, xx, xy, yy, .. } = row;
        RuntimeHistory {
            subject: RuntimeSubject {
                key: RuntimeKey {
                    program: row.program,
                    method: row.method,
                    basis: row.basis,
                    work: row.work,
                },
                place: Place { site: row.site, pool: row.pool, cores: row.cores.unsigned_abs() },
                quantity: row.quantity,
                measure: row.measure,
            },
            moments: Moments {
                weight,
                x,
                y,
                xx,
                xy,
                yy,
                runs: row.runs.unsigned_abs(),
                stopped: row.stopped.unsigned_abs(),
            },
            since: row.since,
        }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::basis_size)]
struct BasisRow {
    program: String,
    basis: String,
    formula: String,
    functions: i32,
}

impl Store {
    /// All that is remembered of these programs, by every site.
    pub async fn runtime_history(&self, programs: &[String]) -> Result<Vec<RuntimeHistory>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<HistoryRow> =
            diesel::sql_query("SELECT * FROM runtime_history WHERE program = ANY($1) ORDER BY id")
                .bind::<Array<Text>, _>(programs)
                .load(&mut conn)
                .await
                .doing("reading run times")?;
        Ok(rows.into_iter().map(RuntimeHistory::from).collect())
    }

    /// What records ask, for predictions: two queries however many there are. Earlier attempts are read of `retried`.
    pub async fn known_calculations(
        &self,
        records: &[RecordId],
        retried: &[RecordId],
    ) -> Result<Vec<KnownCalculation>, StoreError> {
        let mut conn = self.conn().await?;
        let rows = calculations(&mut conn, raw(records.iter().copied())).await?;
        let mut earlier = earlier_attempts(&mut conn, retried).await?;
        let known = |row: CalculationRow| KnownCalculation {
            record_id: row.id,
            key: row.key(),
            size: Size {
                atoms: row.atoms.unsigned_abs(),
                basis_functions: row.functions.map(i32::unsigned_abs),
            },
            earlier: earlier.remove(&row.id).unwrap_or_default(),
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// Numbers of basis functions that are known of these programs, bases and formulas.
    pub async fn basis_sizes(
        &self,
        wanted: &[(String, String, String)],
    ) -> Result<HashMap<(String, String, String), u32>, StoreError> {
        let mut conn = self.conn().await?;
        let texts = |part: fn(&(String, String, String)) -> &String| -> Vec<&String> {
            wanted.iter().map(part).collect()
        };
        let rows: Vec<BasisRow> = diesel::sql_query(
            "SELECT b.* FROM basis_size b
             JOIN (SELECT DISTINCT * FROM unnest($1, $2, $3) AS rows(program, basis, formula)) given
                USING (program, basis, formula)",
        )
        .bind::<Array<Text>, _>(texts(|wanted| &wanted.0))
        .bind::<Array<Text>, _>(texts(|wanted| &wanted.1))
        .bind::<Array<Text>, _>(texts(|wanted| &wanted.2))
        .load(&mut conn)
        .await
        .doing("reading sizes of bases")?;
        let size = |row: BasisRow| ((row.program, row.basis, row.formula), row.functions.unsigned_abs());
        Ok(rows.into_iter().map(size).collect())
    }
}

async fn earlier_attempts(
    conn: &mut AsyncPgConnection,
    records: &[RecordId],
) -> Result<HashMap<RecordId, Vec<EarlierAttempt>>, StoreError> {
    let mut attempts: HashMap<RecordId, Vec<EarlierAttempt>> = HashMap::new();
    if records.is_empty() {
        return Ok(attempts);
    }
    let rows: Vec<EarlierRow> = diesel::sql_query(
        "SELECT record_id, failure, wall_seconds, memory_bytes, peak_memory_bytes FROM compute_history
         WHERE record_id = ANY($1) AND failure IN ('walltime', 'memory') ORDER BY id",
    )
    .bind::<Array<BigInt>, _>(raw(records.iter().copied()))
    .load(conn)
    .await
    .doing("reading earlier attempts")?;
    for row in rows {
        attempts.entry(row.record_id).or_default().push(EarlierAttempt {
            failure: row.failure,
            wall_seconds: row.wall_seconds,
            memory_bytes: row.memory_bytes.map(i64::unsigned_abs),
            peak_memory_bytes: row.peak_memory_bytes.map(i64::unsigned_abs),
        });
    }
    Ok(attempts)
}

/// Adds what the reports of a job tell to history.
pub(crate) async fn learn(
    conn: &mut AsyncPgConnection,
    job_id: JobId,
    finished: Vec<FinishedRun>,
) -> Result<(), StoreError> {
    if finished.is_empty() {
        return Ok(());
    }
    let JobRow { site, pool } = place_of(conn, job_id).await?;
    let rows = calculations(conn, raw(finished.iter().map(|run| run.record_id))).await?;
    let rows: HashMap<RecordId, CalculationRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let mut observed: BTreeMap<RuntimeSubject, Vec<Observation>> = BTreeMap::new();
    let mut sizes = BTreeSet::new();
    for run in finished {
        let Some(row) = rows.get(&run.record_id) else { continue };
        let key = row.key();
        if let Some(functions) = run.basis_functions.filter(|_| row.functions.is_none()) {
            sizes.insert((key.program.clone(), key.basis.clone(), row.formula.clone(), integer(functions)));
        }
        let functions = run.basis_functions.or(row.functions.map(i32::unsigned_abs));
        let run = Run {
            key,
            place: Place { site: site.clone(), pool: pool.clone(), cores: run.cores },
            size: Size { atoms: row.atoms.unsigned_abs(), basis_functions: functions },
            wall_seconds: run.wall_seconds,
            memory_bytes: run.memory_bytes,
        };
        for (subject, observation) in run.observations() {
            observed.entry(subject).or_default().push(observation);
        }
    }
    learn_sizes(conn, sizes).await?;
    observe(conn, observed).await
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::job)]
struct JobRow {
    site: String,
    pool: PoolName,
}

async fn place_of(conn: &mut AsyncPgConnection, job_id: JobId) -> Result<JobRow, StoreError> {
    diesel::sql_query("SELECT site, pool FROM job WHERE id = $1")
        .bind::<BigInt, _>(job_id.0)
        .get_result(conn)
        .await
        .doing("reading a job's pool")
}

async fn learn_sizes(
    conn: &mut AsyncPgConnection,
    sizes: BTreeSet<(String, String, String, i32)>,
) -> Result<(), StoreError> {
    if sizes.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "INSERT INTO basis_size (program, basis, formula, functions)
            SELECT * FROM unnest($1, $2, $3, $4) AS rows(program, basis, formula, functions)
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<Text>, _>(sizes.iter().map(|size| &size.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(sizes.iter().map(|size| &size.1).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(sizes.iter().map(|size| &size.2).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(sizes.iter().map(|size| size.3).collect::<Vec<_>>())
    .execute(conn)
    .await
    .doing("storing sizes of bases")?;
    Ok(())
}

const GIVEN: &str = "
    SELECT program, method, basis, work::work AS work, site, pool, cores, quantity::quantity AS quantity,
        measure::measure AS measure, place
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
        WITH ORDINALITY AS rows(program, method, basis, work, site, pool, cores, quantity, measure, place)";

const ADD: &str = "
    INSERT INTO runtime_history (program, method, basis, work, site, pool, cores, quantity, measure)
    SELECT program, method, basis, work, site, pool, cores, quantity, measure
    FROM given LEFT JOIN runtime_history h
        USING (program, method, basis, work, site, pool, cores, quantity, measure)
    WHERE h.id IS NULL ORDER BY place ON CONFLICT DO NOTHING";

const LOCK: &str = "
    SELECT h.* FROM runtime_history h
        JOIN given USING (program, method, basis, work, site, pool, cores, quantity, measure)
    ORDER BY h.id FOR NO KEY UPDATE OF h";

type ByKey = BoxedSqlQuery<'static, Pg, SqlQuery>;

/// `statement`, which calls the subjects `given`.
fn by_key(statement: &str, subjects: &[&RuntimeSubject]) -> ByKey {
    let texts = |text: fn(&RuntimeSubject) -> &str| -> Vec<String> {
        subjects.iter().map(|subject| text(subject).to_owned()).collect()
    };
    let cores: Vec<i32> = subjects.iter().map(|subject| integer(subject.place.cores)).collect();
    diesel::sql_query(format!("WITH given AS ({GIVEN}) {statement}"))
        .into_boxed()
        .bind::<Array<Text>, _>(texts(|subject| &subject.key.program))
        .bind::<Array<Text>, _>(texts(|subject| &subject.key.method))
        .bind::<Array<Text>, _>(texts(|subject| &subject.key.basis))
        .bind::<Array<Text>, _>(texts(|subject| subject.key.work.as_str()))
        .bind::<Array<Text>, _>(texts(|subject| &subject.place.site))
        .bind::<Array<Text>, _>(texts(|subject| &subject.place.pool.0))
        .bind::<Array<Integer>, _>(cores)
        .bind::<Array<Text>, _>(texts(|subject| subject.quantity.as_str()))
        .bind::<Array<Text>, _>(texts(|subject| subject.measure.as_str()))
}

async fn observe(
    conn: &mut AsyncPgConnection,
    mut observed: BTreeMap<RuntimeSubject, Vec<Observation>>,
) -> Result<(), StoreError> {
    if observed.is_empty() {
        return Ok(());
    }
    let subjects: Vec<&RuntimeSubject> = observed.keys().collect();
    by_key(ADD, &subjects).execute(conn).await.doing("adding run times")?;
    let rows: Vec<HistoryRow> = by_key(LOCK, &subjects).load(conn).await.doing("reading run times")?;
    let mut ids = Vec::with_capacity(rows.len());
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        ids.push(row.id);
        let RuntimeHistory { subject, mut moments, .. } = row.into();
        observed.remove(&subject).unwrap_or_default().into_iter().for_each(|run| moments.observe(run));
        all.push(moments);
    }
    let sums = |sum: fn(&Moments) -> f64| -> Vec<f64> { all.iter().map(sum).collect() };
    let counts = |count: fn(&Moments) -> u64| -> Vec<i64> { all.iter().map(|m| bigint(count(m))).collect() };
    diesel::sql_query(
        "UPDATE runtime_history h SET weight = given.weight, x = given.x, y = given.y, xx = given.xx, xy = given.xy,
            yy = given.yy, runs = given.runs, stopped = given.stopped
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
            AS given(id, weight, x, y, xx, xy, yy, runs, stopped) WHERE h.id = given.id",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Double>, _>(sums(|m| m.weight))
    .bind::<Array<Double>, _>(sums(|m| m.x))
    .bind::<Array<Double>, _>(sums(|m| m.y))
    .bind::<Array<Double>, _>(sums(|m| m.xx))
    .bind::<Array<Double>, _>(sums(|m| m.xy))
    .bind::<Array<Double>, _>(sums(|m| m.yy))
    .bind::<Array<BigInt>, _>(counts(|m| m.runs))
    .bind::<Array<BigInt>, _>(counts(|m| m.stopped))
    .execute(conn)
    .await
    .doing("storing run times")?;
    Ok(())
}
