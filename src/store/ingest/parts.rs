//! Molecules and specifications that results bring with them, stored ahead of the transaction that stores the results.
//!
//! They are found by hash and never change, so that having them without a record does no harm. An intake may be open,
//! for minutes, that has added the same ones and is not committed: whoever waited for it while holding others of its
//! molecules could stop it. So they are added together only while no intake is open, and one by one otherwise.

use std::collections::{BTreeMap, HashMap};

use diesel::sql_types::{BigInt, Bool};
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::prepare::{Body, Prepared};
use crate::model::calculation::Specification;
use crate::model::ids::{MoleculeId, SpecificationId};
use crate::store::connect::Store;
use crate::store::error::{Doing, StoreError};
use crate::store::molecule::{self, MoleculeRow};
use crate::store::specification::{self, SpecificationKey};
use crate::store::turn::INTAKE_LOCK;
use crate::store::write::Weight;

/// Ids of what results point to.
#[derive(Default)]
pub(super) struct Parts {
    molecules: HashMap<String, MoleculeId>,
    specifications: HashMap<SpecificationKey, SpecificationId>,
}

impl Parts {
    pub(super) fn molecule(&self, row: &MoleculeRow) -> Option<MoleculeId> {
        self.molecules.get(&row.hash).copied()
    }

    pub(super) fn specification(&self, key: &SpecificationKey) -> Option<SpecificationId> {
        self.specifications.get(key).copied()
    }
}

#[derive(diesel::QueryableByName)]
struct LockedRow {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Finds or adds what the optimizations among `prepared` bring.
pub(super) async fn store(store: &Store, prepared: &[Prepared], weight: Weight) -> Result<Parts, StoreError> {
    let (molecules, specifications) = collect(prepared);
    if molecules.is_empty() {
        return Ok(Parts::default());
    }
    let mut conn = store.conn().await?;
    let parts = store_on(&mut conn, molecules, specifications).await;
    if weight == Weight::Heavy {
        drop(Object::take(conn));
    }
    parts
}

async fn store_on(
    conn: &mut AsyncPgConnection,
    molecules: Vec<&MoleculeRow>,
    specifications: BTreeMap<SpecificationKey, &Specification>,
) -> Result<Parts, StoreError> {
    let together = conn
        .transaction::<Option<Parts>, StoreError, _>(async |conn| {
            if !lock(conn).await? {
                return Ok(None);
            }
            let mut parts = Parts::default();
            add(conn, &mut parts, &molecules, &specifications).await?;
            Ok(Some(parts))
        })
        .await?;
    if let Some(parts) = together {
        return Ok(parts);
    }
    let mut parts = Parts::default();
    for molecule in molecules {
        add(conn, &mut parts, &[molecule], &BTreeMap::new()).await?;
    }
    for (key, specification) in specifications {
        add(conn, &mut parts, &[], &BTreeMap::from([(key, specification)])).await?;
    }
    Ok(parts)
}

fn collect(prepared: &[Prepared]) -> (Vec<&MoleculeRow>, BTreeMap<SpecificationKey, &Specification>) {
    let mut molecules = BTreeMap::new();
    let mut specifications = BTreeMap::new();
    for report in prepared {
        let Body::Complete(answer) = &report.body else { continue };
        let Some(optimization) = &answer.optimization else { continue };
        molecules.insert(&optimization.final_molecule.hash, &optimization.final_molecule);
        for point in &optimization.trajectory {
            molecules.insert(&point.molecule.hash, &point.molecule);
            specifications.insert(point.key.clone(), &point.specification);
        }
    }
    (molecules.into_values().collect(), specifications)
}

/// Whether no intake is open, and none opens before this transaction ends.
async fn lock(conn: &mut AsyncPgConnection) -> Result<bool, StoreError> {
    let row: LockedRow = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
        .bind::<BigInt, _>(INTAKE_LOCK)
        .get_result(conn)
        .await
        .doing("looking for an open intake")?;
    Ok(row.locked)
}

async fn add(
    conn: &mut AsyncPgConnection,
    parts: &mut Parts,
    molecules: &[&MoleculeRow],
    specifications: &BTreeMap<SpecificationKey, &Specification>,
) -> Result<(), StoreError> {
    if !molecules.is_empty() {
        parts.molecules.extend(molecule::store(conn, molecules).await?.into_ids());
    }
    if !specifications.is_empty() {
        parts.specifications.extend(specification::store(conn, specifications).await?);
    }
    Ok(())
}
