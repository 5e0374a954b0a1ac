//! Demands: what decides which pools may run a task, stored once. Touches the table `demand`; rows are only added, and
//! only by an intake, whose lock keeps two of them apart.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::error::{Doing, StoreError};
use super::types::{bigint, integer, storable};
use crate::model::calculation::Specification;
use crate::model::ids::PoolName;
use crate::model::resources::TaskResources;

/// What a pool must have to run a task.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, QueryableByName)]
#[diesel(table_name = super::schema::demand)]
pub(crate) struct Demand {
    required_programs: Vec<String>,
    pub(crate) compute_tag: String,
    pool: Option<String>,
    cores: Option<i32>,
    memory_bytes: Option<i64>,
    walltime_seconds: Option<i64>,
    gpus: Option<i32>,
    nodes: Option<i32>,
}

impl Demand {
    pub(crate) fn new(
        specification: &Specification,
        compute_tag: &str,
        pool: Option<&PoolName>,
        resources: &TaskResources,
    ) -> Demand {
        let mut required_programs: Vec<String> =
            specification.required_programs().iter().map(|program| storable(program)).collect();
        required_programs.sort();
        required_programs.dedup();
        Demand {
            required_programs,
            compute_tag: storable(compute_tag),
            pool: pool.map(|pool| storable(&pool.0)),
            cores: resources.cores.map(integer),
            memory_bytes: resources.memory_bytes.map(bigint),
            walltime_seconds: resources.walltime_seconds.map(bigint),
            gpus: resources.gpus.filter(|gpus| *gpus > 0).map(integer),
            nodes: resources.nodes.filter(|nodes| *nodes > 1).map(integer),
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(embed)]
    demand: Demand,
}

/// Finds or adds every demand of `wanted`: ids by demand.
pub(crate) async fn store(
    conn: &mut AsyncPgConnection,
    wanted: &[&Demand],
) -> Result<HashMap<Demand, i64>, StoreError> {
    let mut rows: Vec<Row> = run(conn, ADD, wanted).await?;
    if rows.len() < wanted.len() {
        rows = run(conn, FIND, wanted).await?;
    }
    Ok(rows.into_iter().map(|row| (row.demand, row.id)).collect())
}

async fn run(
    conn: &mut AsyncPgConnection,
    statement: &str,
    wanted: &[&Demand],
) -> Result<Vec<Row>, StoreError> {
    // unnest takes no lists of different lengths, so that the programs travel as JSON.
    let programs = wanted.iter().map(|demand| json!(demand.required_programs).to_string());
    diesel::sql_query(format!("WITH given AS ({GIVEN}) {statement}"))
        .bind::<Array<Text>, _>(programs.collect::<Vec<_>>())
        .bind::<Array<Text>, _>(wanted.iter().map(|demand| &demand.compute_tag).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(
            wanted.iter().map(|demand| demand.pool.as_ref()).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Integer>>, _>(wanted.iter().map(|demand| demand.cores).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(
            wanted.iter().map(|demand| demand.memory_bytes).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<BigInt>>, _>(
            wanted.iter().map(|demand| demand.walltime_seconds).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Integer>>, _>(wanted.iter().map(|demand| demand.gpus).collect::<Vec<_>>())
        .bind::<Array<Nullable<Integer>>, _>(wanted.iter().map(|demand| demand.nodes).collect::<Vec<_>>())
        .load(conn)
        .await
        .doing("storing demands")
}

const GIVEN: &str = "
    SELECT ARRAY(SELECT jsonb_array_elements_text(programs::jsonb)) AS required_programs, compute_tag, pool, cores,
        memory_bytes, walltime_seconds, gpus, nodes
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        AS rows(programs, compute_tag, pool, cores, memory_bytes, walltime_seconds, gpus, nodes)";

const ADD: &str = "
    INSERT INTO demand (required_programs, compute_tag, pool, cores, memory_bytes, walltime_seconds, gpus, nodes)
    SELECT * FROM given ON CONFLICT DO NOTHING RETURNING *";

const FIND: &str = "
    SELECT d.* FROM demand d JOIN given g ON d.required_programs = g.required_programs
        AND d.compute_tag = g.compute_tag AND d.pool IS NOT DISTINCT FROM g.pool
        AND d.cores IS NOT DISTINCT FROM g.cores AND d.memory_bytes IS NOT DISTINCT FROM g.memory_bytes
        AND d.walltime_seconds IS NOT DISTINCT FROM g.walltime_seconds
        AND d.gpus IS NOT DISTINCT FROM g.gpus AND d.nodes IS NOT DISTINCT FROM g.nodes";
