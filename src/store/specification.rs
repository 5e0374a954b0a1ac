//! Specifications, stored once and found by their hash. Touches the table `specification`.
//!
//! An optimization's row holds the optimizer and points to the row of its gradients.

use std::collections::{BTreeMap, HashMap};

use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};

use super::error::{Doing, StoreError};
use super::molecule::MoleculeRow;
use super::types::{make_storable, sql};
use crate::model::calculation::{Driver, OptimizationSpecification, QcSpecification, Specification};
use crate::model::identity::CalculationHash;
use crate::model::ids::SpecificationId;
use crate::model::qcschema::{qc_specification_hash, specification_hash};
use crate::model::record::RecordType;

/// What makes a specification the same as another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SpecificationKey {
    /// Hash of the single points' specification.
    qc_hash: String,
    /// Hash of the optimizer's part, of an optimization.
    optimization_hash: Option<String>,
}

impl SpecificationKey {
    /// The key of `specification`.
    pub(crate) fn of(specification: &Specification) -> SpecificationKey {
        SpecificationKey {
            qc_hash: qc_specification_hash(specification.qc()),
            optimization_hash: match specification {
                Specification::Singlepoint(_) => None,
                Specification::Optimization(_) => Some(specification_hash(specification)),
            },
        }
    }

    /// The hash of the calculation that asks this of a molecule.
    pub(crate) fn calculation_hash(
        &self,
        molecule: &MoleculeRow,
        extras: &Map<String, Value>,
    ) -> CalculationHash {
        let record_type = match self.optimization_hash {
            None => RecordType::Singlepoint,
            Some(_) => RecordType::Optimization,
        };
        let optimization_hash = self.optimization_hash.as_deref();
        CalculationHash::of(record_type, &self.qc_hash, optimization_hash, &molecule.hash, extras)
    }
}

/// One row to be found or added.
struct Row<'a> {
    hash: &'a str,
    qc_specification_id: i64,
    program: &'a str,
    driver: Driver,
    method: &'a str,
    basis: &'a str,
    keywords: String,
    protocols: String,
}

impl<'a> Row<'a> {
    fn qc(hash: &'a str, qc: &'a QcSpecification) -> Row<'a> {
        Row {
            hash,
            qc_specification_id: 0,
            program: &qc.program,
            driver: qc.driver,
            method: &qc.method,
            basis: &qc.basis,
            keywords: document(&qc.keywords),
            protocols: document(&qc.protocols),
        }
    }

    fn optimization(hash: &'a str, qc: SpecificationId, part: &'a OptimizationSpecification) -> Row<'a> {
        Row {
            hash,
            qc_specification_id: qc.0,
            program: &part.program,
            driver: Driver::Deferred,
            method: "",
            basis: "",
            keywords: document(&part.keywords),
            protocols: document(&part.protocols),
        }
    }
}

fn document(members: &Map<String, Value>) -> String {
    let mut value = Value::Object(members.clone());
    make_storable(&mut value);
    value.to_string()
}

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = sql::SpecificationId)]
    id: SpecificationId,
    #[diesel(sql_type = Text)]
    specification_hash: String,
    #[diesel(sql_type = BigInt)]
    qc_specification_id: i64,
}

/// Finds or adds every specification of `wanted`.
pub(crate) async fn store(
    conn: &mut AsyncPgConnection,
    wanted: &BTreeMap<SpecificationKey, &Specification>,
) -> Result<HashMap<SpecificationKey, SpecificationId>, StoreError> {
    let mut qc_rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
    for (key, specification) in wanted {
        qc_rows.entry(&key.qc_hash).or_insert_with(|| Row::qc(&key.qc_hash, specification.qc()));
    }
    let qc_rows: Vec<Row<'_>> = qc_rows.into_values().collect();
    let qc_ids = store_rows(conn, RecordType::Singlepoint, &qc_rows).await?;
    let qc_id = |key: &SpecificationKey| qc_ids.get(&(key.qc_hash.clone(), 0)).copied();

    let mut optimizations = Vec::new();
    for (key, specification) in wanted {
        if let (Some(hash), Specification::Optimization(part), Some(qc)) =
            (&key.optimization_hash, specification, qc_id(key))
        {
            optimizations.push(Row::optimization(hash, qc, part));
        }
    }
    let optimization_ids = store_rows(conn, RecordType::Optimization, &optimizations).await?;

    let mut ids = HashMap::new();
    for key in wanted.keys() {
        let qc = qc_id(key);
        let id = match (&key.optimization_hash, qc) {
            (Some(hash), Some(qc)) => optimization_ids.get(&(hash.clone(), qc.0)).copied(),
            (_, qc) => qc,
        };
        ids.extend(id.map(|id| (key.clone(), id)));
    }
    Ok(ids)
}

/// Finds or adds `rows` of one type: ids by hash and inner specification.
async fn store_rows(
    conn: &mut AsyncPgConnection,
    record_type: RecordType,
    rows: &[Row<'_>],
) -> Result<HashMap<(String, i64), SpecificationId>, StoreError> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ids = find_rows(conn, record_type, rows).await?;
    let missing: Vec<&Row<'_>> = rows
        .iter()
        .filter(|row| !ids.contains_key(&(row.hash.to_owned(), row.qc_specification_id)))
        .collect();
    if missing.len() < rows.len() {
        restore_keywords(conn, record_type, rows).await?;
    }
    if !missing.is_empty() {
        add_rows(conn, record_type, &missing).await?;
        ids = find_rows(conn, record_type, rows).await?;
    }
    Ok(ids)
}

/// Gives specifications that were stored as jsonb, which makes an integer of `1e18`, the keywords that their hash is of.
/// The text of what was stored since is equal already.
async fn restore_keywords(
    conn: &mut AsyncPgConnection,
    record_type: RecordType,
    rows: &[Row<'_>],
) -> Result<(), StoreError> {
    diesel::sql_query(
        "UPDATE specification s SET keywords = given.keywords::json
         FROM unnest($2, $3, $4) AS given(hash, qc, keywords)
         WHERE s.specification_hash = given.hash AND coalesce(s.qc_specification_id, 0) = given.qc
           AND s.record_type = $1::record_type AND s.keywords::text <> given.keywords",
    )
    .bind::<Text, _>(record_type.as_str())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.hash).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.qc_specification_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.keywords.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await
    .doing("restoring keywords")?;
    Ok(())
}

async fn find_rows(
    conn: &mut AsyncPgConnection,
    record_type: RecordType,
    rows: &[Row<'_>],
) -> Result<HashMap<(String, i64), SpecificationId>, StoreError> {
    let found: Vec<Found> = diesel::sql_query(
        "SELECT id, s.specification_hash, coalesce(s.qc_specification_id, 0) AS qc_specification_id
         FROM specification s JOIN unnest($2, $3) AS given(hash, qc)
           ON s.specification_hash = given.hash AND coalesce(s.qc_specification_id, 0) = given.qc
         WHERE s.record_type = $1::record_type",
    )
    .bind::<Text, _>(record_type.as_str())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.hash).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.qc_specification_id).collect::<Vec<_>>())
    .load(conn)
    .await
    .doing("looking specifications up")?;
    Ok(found
        .into_iter()
        .map(|found| ((found.specification_hash, found.qc_specification_id), found.id))
        .collect())
}

async fn add_rows(
    conn: &mut AsyncPgConnection,
    record_type: RecordType,
    rows: &[&Row<'_>],
) -> Result<(), StoreError> {
    let column = |text: for<'b> fn(&'b Row<'_>) -> &'b str| -> Vec<&str> {
        rows.iter().map(|row| text(row)).collect()
    };
    diesel::sql_query(
        "INSERT INTO specification (record_type, specification_hash, qc_specification_id, program, driver,
            method, basis, keywords, protocols)
         SELECT $1::record_type, hash, nullif(qc, 0), program, driver::driver, method, basis, keywords::json,
            protocols::jsonb
         FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)
            AS given(hash, qc, program, driver, method, basis, keywords, protocols)
         ORDER BY hash, qc
         ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(record_type.as_str())
    .bind::<Array<Text>, _>(column(|row| row.hash))
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.qc_specification_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(column(|row| row.program))
    .bind::<Array<Text>, _>(column(|row| row.driver.as_str()))
    .bind::<Array<Text>, _>(column(|row| row.method))
    .bind::<Array<Text>, _>(column(|row| row.basis))
    .bind::<Array<Text>, _>(column(|row| &row.keywords))
    .bind::<Array<Text>, _>(column(|row| &row.protocols))
    .execute(conn)
    .await
    .doing("storing specifications")?;
    Ok(())
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::specification)]
struct StoredRow {
    id: SpecificationId,
    program: String,
    driver: Driver,
    method: String,
    basis: String,
    keywords: Value,
    protocols: Value,
    qc_specification_id: Option<i64>,
}

/// Specifications by id.
pub(crate) async fn read(
    conn: &mut AsyncPgConnection,
    mut ids: Vec<i64>,
) -> Result<HashMap<SpecificationId, Specification>, StoreError> {
    ids.sort_unstable();
    ids.dedup();
    let rows: Vec<StoredRow> = diesel::sql_query(
        "SELECT id, program, driver, method, basis, keywords, protocols, qc_specification_id
         FROM specification
         WHERE id = ANY($1) OR id IN (SELECT qc_specification_id FROM specification WHERE id = ANY($1))",
    )
    .bind::<Array<BigInt>, _>(&ids)
    .load(conn)
    .await
    .doing("reading specifications")?;
    let by_id: HashMap<i64, &StoredRow> = rows.iter().map(|row| (row.id.0, row)).collect();
    let mut specifications = HashMap::new();
    for id in ids {
        let Some(row) = by_id.get(&id) else { continue };
        let specification = match row.qc_specification_id.map(|qc| by_id.get(&qc)) {
            Some(Some(qc)) => Specification::Optimization(OptimizationSpecification {
                program: row.program.clone(),
                keywords: members(&row.keywords),
                protocols: members(&row.protocols),
                qc_specification: qc_of(qc),
            }),
            // The foreign key holds the inner row.
            Some(None) | None => Specification::Singlepoint(qc_of(row)),
        };
        specifications.insert(SpecificationId(id), specification);
    }
    Ok(specifications)
}

fn qc_of(row: &StoredRow) -> QcSpecification {
    QcSpecification {
        program: row.program.clone(),
        driver: row.driver,
        method: row.method.clone(),
        basis: row.basis.clone(),
        keywords: members(&row.keywords),
        protocols: members(&row.protocols),
    }
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
