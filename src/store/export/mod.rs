//! Results as QCSchema v1 documents, rebuilt from what is stored so that QCElemental's models accept them. Reads only.

mod document;

use std::collections::{HashMap, HashSet};

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Json, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use self::document::{Parts, PointOf, document};
use super::connect::Store;
use super::error::{Doing, StoreError};
use super::filter::filtered;
use super::output::{OutputType, unpack};
use super::types::{members, raw};
use super::{molecule, specification};
use crate::model::calculation::Calculation;
use crate::model::ids::{MoleculeId, RecordId, SpecificationId};
use crate::model::view::RecordFilter;
use crate::store::types::sql;

/// Results of a page, points of trajectories included: an optimization may have hundreds.
const DOCUMENTS_AT_ONCE: usize = 300;

/// One page of an export.
#[derive(Clone, PartialEq, Debug)]
pub struct ExportPage {
    /// Complete records with their documents, oldest first.
    pub results: Vec<(RecordId, Value)>,
    /// Give it as `after` to go on; `None` after the last page.
    pub next: Option<RecordId>,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct RecordRow {
    id: RecordId,
    specification_id: SpecificationId,
    molecule_id: MoleculeId,
    final_molecule_id: Option<MoleculeId>,
    energies: Option<Vec<f64>>,
    extras: Value,
    #[diesel(embed)]
    attempt: AttemptRow,
    #[diesel(sql_type = Nullable<Binary>)]
    wavefunction: Option<Vec<u8>>,
}

/// What the attempt that completed a record left behind.
#[derive(QueryableByName)]
struct AttemptRow {
    #[diesel(sql_type = Nullable<Json>)]
    provenance: Option<Value>,
    #[diesel(sql_type = Nullable<Json>)]
    properties: Option<Value>,
    #[diesel(sql_type = Nullable<Json>)]
    result_extras: Option<Value>,
    #[diesel(sql_type = Nullable<Binary>)]
    stdout: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    stderr: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::native_file)]
struct FileRow {
    record_id: RecordId,
    name: String,
    data: Vec<u8>,
}

#[derive(QueryableByName)]
struct PointRow {
    #[diesel(sql_type = sql::RecordId)]
    optimization_id: RecordId,
    #[diesel(sql_type = Integer)]
    position: i32,
    #[diesel(sql_type = sql::RecordId)]
    singlepoint_id: RecordId,
}

impl Store {
    /// The complete records that `filter` means, after one with the id `after`, at most `limit`. Each is a QCSchema v1
    /// `AtomicResult` or, with its trajectory, `OptimizationResult`; its id is in `id` and `extras.qcbatch`.
    pub async fn export(
        &self,
        filter: &RecordFilter,
        after: Option<RecordId>,
        limit: u32,
    ) -> Result<ExportPage, StoreError> {
        let mut conn = self.conn().await?;
        let statement = "SELECT r.id FROM record r
            WHERE {filter} AND r.status = 'complete' AND ($9 IS NULL OR r.id > $9) ORDER BY r.id LIMIT $10";
        let page: Vec<IdRow> = filtered(statement, filter)
            .bind::<Nullable<BigInt>, _>(after.map(|id| id.0))
            .bind::<BigInt, _>(i64::from(limit) + 1)
            .load(&mut conn)
            .await
            .doing("looking for results")?;
        let mut ids: Vec<RecordId> = page.into_iter().map(|row| row.id).collect();
        let found = ids.len();
        ids.truncate(limit as usize);
        let mut points = points(&mut conn, &ids).await?;
        ids.truncate(fitting(&ids, &points));
        let next = if ids.len() < found { ids.last().copied() } else { None };
        points.retain(|point| ids.binary_search(&point.optimization_id).is_ok());
        let mut all: HashSet<RecordId> = ids.iter().copied().collect();
        all.extend(points.iter().map(|point| point.singlepoint_id));
        let mut parts = load(&mut conn, &all).await?;
        let mut trajectories: HashMap<RecordId, Vec<Value>> = HashMap::new();
        for point in points {
            if let Some(part) = parts.get(&point.singlepoint_id) {
                let of = PointOf { optimization: point.optimization_id, position: point.position };
                let document = document(part, Vec::new(), Some(of));
                trajectories.entry(point.optimization_id).or_default().push(document);
            }
        }
        let results = ids
            .into_iter()
            .filter_map(|id| {
                let trajectory = trajectories.remove(&id).unwrap_or_default();
                parts.remove(&id).map(|part| (id, document(&part, trajectory, None)))
            })
            .collect();
        Ok(ExportPage { results, next })
    }
}

/// How many of `ids` make a page whose trajectories fit into memory; at least one.
fn fitting(ids: &[RecordId], points: &[PointRow]) -> usize {
    let mut lengths: HashMap<RecordId, usize> = HashMap::new();
    for point in points {
        *lengths.entry(point.optimization_id).or_default() += 1;
    }
    let mut documents = 0;
    let fits = ids.iter().take_while(|id| {
        documents += 1 + lengths.get(id).copied().unwrap_or(0);
        documents <= DOCUMENTS_AT_ONCE
    });
    fits.count().max(1).min(ids.len())
}

async fn points(conn: &mut AsyncPgConnection, ids: &[RecordId]) -> Result<Vec<PointRow>, StoreError> {
    diesel::sql_query(
        "SELECT optimization_id, position, singlepoint_id FROM optimization_trajectory
         WHERE optimization_id = ANY($1) ORDER BY optimization_id, position",
    )
    .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
    .load(conn)
    .await
    .doing("reading trajectories")
}

const RECORDS: &str = "
    SELECT r.id, r.specification_id, r.molecule_id, r.final_molecule_id, r.energies, r.extras, h.provenance,
        h.properties, h.extras AS result_extras, h.stdout, h.stderr,
        (SELECT w.data FROM wavefunction_store w WHERE w.record_id = r.id) AS wavefunction
    FROM record r LEFT JOIN LATERAL (
        SELECT * FROM compute_history h WHERE h.record_id = r.id AND h.status = 'complete'
        ORDER BY h.id DESC LIMIT 1) h ON true
    WHERE r.id = ANY($1)";

/// Everything that documents are made of, in a few statements for all of `ids`.
async fn load(
    conn: &mut AsyncPgConnection,
    ids: &HashSet<RecordId>,
) -> Result<HashMap<RecordId, Parts>, StoreError> {
    let ids = raw(ids.iter().copied());
    let rows: Vec<RecordRow> = diesel::sql_query(RECORDS)
        .bind::<Array<BigInt>, _>(&ids)
        .load(conn)
        .await
        .doing("reading results")?;
    let specifications = specification::read(conn, raw(rows.iter().map(|row| row.specification_id))).await?;
    let molecules = rows.iter().flat_map(|row| std::iter::once(row.molecule_id).chain(row.final_molecule_id));
    let molecules = molecule::documents(conn, raw(molecules)).await?;
    let mut parts = HashMap::new();
    for row in rows {
        let missing = |what: &str| StoreError::Stored {
            what: format!("{what} of record {}", row.id),
            source: "there is no such row".into(),
        };
        let molecule = molecules.get(&row.molecule_id).ok_or_else(|| missing("molecule"))?;
        let specification =
            specifications.get(&row.specification_id).ok_or_else(|| missing("specification"))?;
        let wavefunction = match &row.wavefunction {
            Some(blob) => Some(unpack(blob, &format!("wavefunction of record {}", row.id))?),
            None => None,
        };
        let mut extras = members(Some(row.extras));
        extras.extend(members(row.attempt.result_extras));
        let part = Parts {
            id: row.id,
            calculation: Calculation {
                specification: specification.clone(),
                molecule: molecule::read(row.molecule_id, molecule.clone())?,
                extras,
            },
            final_molecule: row.final_molecule_id.and_then(|id| molecules.get(&id).cloned()),
            properties: row.attempt.properties.unwrap_or_default(),
            energies: row.energies,
            provenance: row.attempt.provenance,
            wavefunction,
            stdout: unpack_some(row.attempt.stdout, row.id, OutputType::Stdout)?,
            stderr: unpack_some(row.attempt.stderr, row.id, OutputType::Stderr)?,
            native_files: Vec::new(),
        };
        parts.insert(row.id, part);
    }
    load_files(conn, &ids, &mut parts).await?;
    Ok(parts)
}

fn unpack_some(blob: Option<Vec<u8>>, id: RecordId, output: OutputType) -> Result<Option<Value>, StoreError> {
    blob.map(|blob| unpack(&blob, &format!("`{}` of record {id}", output.as_str()))).transpose()
}

async fn load_files(
    conn: &mut AsyncPgConnection,
    ids: &[i64],
    parts: &mut HashMap<RecordId, Parts>,
) -> Result<(), StoreError> {
    let files: Vec<FileRow> = diesel::sql_query(
        "SELECT record_id, name, data FROM native_file WHERE record_id = ANY($1) ORDER BY record_id, name",
    )
    .bind::<Array<BigInt>, _>(ids)
    .load(conn)
    .await
    .doing("reading native files")?;
    for row in files {
        if let Some(part) = parts.get_mut(&row.record_id) {
            let what = format!("native file `{}` of record {}", row.name, row.record_id);
            part.native_files.push((row.name, unpack(&row.data, &what)?));
        }
    }
    Ok(())
}
