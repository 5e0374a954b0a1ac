//! Molecules, stored once and found by their hash. Touches the table `molecule`.
//!
//! Rows are only ever added. Several may be added in one statement, in the order of their hashes, so that two writers
//! never wait for each other in a circle.

use std::collections::{HashMap, HashSet};

use diesel::sql_types::{Array, BigInt, Double, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Doing, StoreError};
use super::types::storable;
use crate::model::ids::MoleculeId;
use crate::model::molecule::Molecule;

/// A molecule as its row will be.
#[derive(Clone, Debug)]
pub(crate) struct MoleculeRow {
    pub(crate) hash: String,
    formula: String,
    atoms: i32,
    molecular_charge: f64,
    molecular_multiplicity: i32,
    document: String,
}

impl MoleculeRow {
    /// Hashes and renders; the costly part of storing a molecule.
    pub(crate) fn new(molecule: &Molecule) -> MoleculeRow {
        MoleculeRow {
            hash: molecule.hash(),
            formula: molecule.formula(),
            atoms: i32::try_from(molecule.atoms()).unwrap_or(i32::MAX),
            molecular_charge: molecule.molecular_charge(),
            molecular_multiplicity: i32::try_from(molecule.molecular_multiplicity()).unwrap_or(i32::MAX),
            document: without_nul(serde_json::to_string(molecule).unwrap_or_default()),
        }
    }
}

/// JSON text without NUL escapes, which no query could read.
fn without_nul(document: String) -> String {
    if !document.contains("\\u0000") {
        return document;
    }
    match serde_json::from_str::<serde_json::Value>(&document) {
        Ok(mut value) => {
            super::types::make_storable(&mut value);
            value.to_string()
        }
        Err(_) => storable(&document),
    }
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::molecule)]
struct Found {
    id: MoleculeId,
    molecule_hash: String,
}

/// Ids of molecules by hash, and which of them were not there before.
#[derive(Default)]
pub(crate) struct StoredMolecules {
    ids: HashMap<String, MoleculeId>,
    pub(crate) added: HashSet<MoleculeId>,
}

impl StoredMolecules {
    /// The id of the molecule with `hash`, which must have been among those stored.
    pub(crate) fn id(&self, hash: &str) -> Option<MoleculeId> {
        self.ids.get(hash).copied()
    }

    /// Ids by hash.
    pub(crate) fn into_ids(self) -> HashMap<String, MoleculeId> {
        self.ids
    }
}

/// Finds or adds every molecule of `rows`.
pub(crate) async fn store(
    conn: &mut AsyncPgConnection,
    rows: &[&MoleculeRow],
) -> Result<StoredMolecules, StoreError> {
    let mut unique: Vec<&MoleculeRow> = rows.to_vec();
    unique.sort_by(|a, b| a.hash.cmp(&b.hash));
    unique.dedup_by(|a, b| a.hash == b.hash);
    let mut stored = StoredMolecules { ids: find(conn, &unique).await?, added: HashSet::new() };
    unique.retain(|row| !stored.ids.contains_key(&row.hash));
    if unique.is_empty() {
        return Ok(stored);
    }
    for found in add(conn, &unique).await? {
        stored.added.insert(found.id);
        stored.ids.insert(found.molecule_hash, found.id);
    }
    // What another transaction added in between is visible to a new statement only.
    unique.retain(|row| !stored.ids.contains_key(&row.hash));
    if !unique.is_empty() {
        stored.ids.extend(find(conn, &unique).await?);
    }
    Ok(stored)
}

/// Ids of those of `rows` that are stored.
async fn find(
    conn: &mut AsyncPgConnection,
    rows: &[&MoleculeRow],
) -> Result<HashMap<String, MoleculeId>, StoreError> {
    let hashes: Vec<&str> = rows.iter().map(|row| row.hash.as_str()).collect();
    let found: Vec<Found> =
        diesel::sql_query("SELECT id, molecule_hash FROM molecule WHERE molecule_hash = ANY($1)")
            .bind::<Array<Text>, _>(hashes)
            .load(conn)
            .await
            .doing("looking molecules up")?;
    Ok(found.into_iter().map(|found| (found.molecule_hash, found.id)).collect())
}

/// Adds `rows`, sorted by hash, and returns those that were not there.
async fn add(conn: &mut AsyncPgConnection, rows: &[&MoleculeRow]) -> Result<Vec<Found>, StoreError> {
    let column = |text: fn(&MoleculeRow) -> &str| -> Vec<&str> { rows.iter().map(|row| text(row)).collect() };
    diesel::sql_query(
        "INSERT INTO molecule
            (molecule_hash, formula, atoms, molecular_charge, molecular_multiplicity, document)
         SELECT hash, formula, atoms, charge, multiplicity, document::json
         FROM unnest($1, $2, $3, $4, $5, $6) AS given(hash, formula, atoms, charge, multiplicity, document)
         ORDER BY hash
         ON CONFLICT (molecule_hash) DO NOTHING
         RETURNING id, molecule_hash",
    )
    .bind::<Array<Text>, _>(column(|row| &row.hash))
    .bind::<Array<Text>, _>(column(|row| &row.formula))
    .bind::<Array<Integer>, _>(rows.iter().map(|row| row.atoms).collect::<Vec<_>>())
    .bind::<Array<Double>, _>(rows.iter().map(|row| row.molecular_charge).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(rows.iter().map(|row| row.molecular_multiplicity).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(column(|row| &row.document))
    .load(conn)
    .await
    .doing("storing molecules")
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::molecule)]
struct DocumentRow {
    id: MoleculeId,
    document: serde_json::Value,
}

/// The QCSchema documents of molecules by id.
pub(crate) async fn documents(
    conn: &mut AsyncPgConnection,
    mut ids: Vec<i64>,
) -> Result<HashMap<MoleculeId, serde_json::Value>, StoreError> {
    ids.sort_unstable();
    ids.dedup();
    let rows: Vec<DocumentRow> = diesel::sql_query("SELECT id, document FROM molecule WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(ids)
        .load(conn)
        .await
        .doing("reading molecules")?;
    Ok(rows.into_iter().map(|row| (row.id, row.document)).collect())
}

/// The molecule of a stored document.
pub(crate) fn read(id: MoleculeId, document: serde_json::Value) -> Result<Molecule, StoreError> {
    serde_json::from_value(document)
        .map_err(|error| StoreError::Stored { what: format!("molecule {id}"), source: Box::new(error) })
}
