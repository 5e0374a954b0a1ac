//! Demands: what decides which pools may run a task, stored once. Touches the table `demand`; rows are only added, and
//! only by an intake, whose lock keeps two of them apart.

use std::collections::HashMap;

use diesel::sql_types::{Array, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::error::{Doing, StoreError};
use super::types::storable;
use crate::model::calculation::Specification;
use crate::model::ids::PoolName;

/// What a pool must have to run a task.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Demand {
    required_programs: Vec<String>,
    pub(crate) compute_tag: String,
    pool: Option<String>,
}

impl Demand {
    pub(crate) fn new(specification: &Specification, compute_tag: &str, pool: Option<&PoolName>) -> Demand {
        let mut required_programs: Vec<String> =
            specification.required_programs().iter().map(|program| storable(program)).collect();
        required_programs.sort();
        required_programs.dedup();
        Demand {
            required_programs,
            compute_tag: storable(compute_tag),
            pool: pool.map(|pool| storable(&pool.0)),
        }
    }
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::demand)]
struct Row {
    id: i64,
    required_programs: Vec<String>,
    compute_tag: String,
    pool: Option<String>,
}

/// Finds or adds every demand of `wanted`: ids by demand.
pub(crate) async fn store(
    conn: &mut AsyncPgConnection,
    wanted: &[&Demand],
) -> Result<HashMap<Demand, i64>, StoreError> {
    // unnest takes no lists of different lengths, so that the programs travel as JSON.
    let programs: Vec<String> =
        wanted.iter().map(|demand| json!(demand.required_programs).to_string()).collect();
    let tags: Vec<&str> = wanted.iter().map(|demand| demand.compute_tag.as_str()).collect();
    let pools: Vec<Option<&str>> = wanted.iter().map(|demand| demand.pool.as_deref()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for statement in [
        format!("{GIVEN} INSERT INTO demand (required_programs, compute_tag, pool) SELECT * FROM given
            ON CONFLICT DO NOTHING RETURNING id, required_programs, compute_tag, pool"),
        format!("{GIVEN} SELECT d.id, d.required_programs, d.compute_tag, d.pool FROM demand d JOIN given g
            ON d.required_programs = g.required_programs AND d.compute_tag = g.compute_tag
                AND coalesce(d.pool, '') = coalesce(g.pool, '')"),
    ] {
        rows = diesel::sql_query(statement)
            .bind::<Array<Text>, _>(&programs)
            .bind::<Array<Text>, _>(&tags)
            .bind::<Array<Nullable<Text>>, _>(&pools)
            .load(conn)
            .await
            .doing("storing demands")?;
        if rows.len() == wanted.len() {
            break;
        }
    }
    let demand = |row: Row| {
        let Row { id, required_programs, compute_tag, pool } = row;
        (Demand { required_programs, compute_tag, pool }, id)
    };
    Ok(rows.into_iter().map(demand).collect())
}

const GIVEN: &str = "
    WITH given AS (
        SELECT ARRAY(SELECT jsonb_array_elements_text(programs::jsonb)) AS required_programs, compute_tag, pool
        FROM unnest($1, $2, $3) AS rows(programs, compute_tag, pool)
    )";
