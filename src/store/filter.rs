//! A `RecordFilter` as a condition on `record r`. Text and binds only.

use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use jiff_diesel::ToDiesel;

use super::types::raw;
use crate::model::molecule::{FormulaOrder, reorder_formula};
use crate::model::record::RecordStatus;
use crate::model::view::RecordFilter;

/// The condition; its binds are `$1` to `$8`, so that those of a statement begin with `$9`. PostgreSQL plans each
/// statement with the values at hand: the parts of an empty filter cost nothing. Points of trajectories are meant only where
/// they are named by id.
pub(crate) const CONDITION: &str = "
    (CASE WHEN cardinality($1::bigint[]) = 0 THEN r.requested ELSE r.id = ANY($1) END)
    AND (cardinality($2::text[]) = 0 OR r.status = ANY($2::text[]::record_status[]))
    AND (cardinality($3::text[]) = 0 AND cardinality($4::text[]) = 0 OR r.specification_id IN (
        SELECT s.id FROM specification s LEFT JOIN specification q ON q.id = s.qc_specification_id
        WHERE (cardinality($3) = 0 OR coalesce(q.program, s.program) = ANY($3))
            AND (cardinality($4) = 0 OR coalesce(q.method, s.method) = ANY($4))))
    AND (cardinality($5::text[]) = 0 OR r.compute_tag = ANY($5))
    AND (cardinality($6::text[]) = 0 OR r.last_job_id IN (SELECT id FROM job WHERE pool = ANY($6))
        OR EXISTS (SELECT FROM task t JOIN job j ON j.id = t.job_id WHERE t.record_id = r.id AND j.pool = ANY($6))
        OR EXISTS (SELECT FROM compute_history h JOIN job j ON j.id = h.job_id
            WHERE h.record_id = r.id AND j.pool = ANY($6)))
    AND (cardinality($7::text[]) = 0 OR r.molecule_id IN (SELECT id FROM molecule WHERE formula = ANY($7)))
    AND ($8 IS NULL OR r.created_on >= $8)";

/// A record that is not complete has a task: among millions of complete ones it is found by that.
const OPEN: &str = " AND EXISTS (SELECT FROM task o WHERE o.record_id = r.id)";

/// A failed one has a task that knows of a failure.
const FAILED: &str =
    " AND EXISTS (SELECT FROM task f WHERE f.record_id = r.id AND f.last_failure IS NOT NULL)";

/// The way to records of these statuses that no index knows.
fn by_way_of_tasks(statuses: &[RecordStatus]) -> &'static str {
    let all = |statuses_there: &[RecordStatus]| {
        !statuses.is_empty() && statuses.iter().all(|status| statuses_there.contains(status))
    };
    use RecordStatus::{Cancelled, Error, Running, Waiting};
    if all(&[Error]) {
        FAILED
    } else if all(&[Waiting, Running, Error, Cancelled]) {
        OPEN
    } else {
        ""
    }
}

/// A statement with the filter's binds.
pub(crate) type Filtered = BoxedSqlQuery<'static, Pg, SqlQuery>;

/// `statement` with `{filter}` replaced by the condition, and its binds.
pub(crate) fn filtered(statement: &str, filter: &RecordFilter) -> Filtered {
    let lower = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>();
    let formulas = filter
        .formula
        .iter()
        .map(|formula| reorder_formula(formula, FormulaOrder::Hill).unwrap_or_else(|| formula.clone()));
    let condition = format!("{CONDITION}{}", by_way_of_tasks(&filter.status));
    diesel::sql_query(statement.replace("{filter}", &condition))
        .into_boxed()
        .bind::<Array<BigInt>, _>(raw(filter.ids.iter().copied()))
        .bind::<Array<Text>, _>(filter.status.iter().map(|status| status.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(lower(&filter.program))
        .bind::<Array<Text>, _>(lower(&filter.method))
        .bind::<Array<Text>, _>(filter.compute_tag.clone())
        .bind::<Array<Text>, _>(filter.pool.clone())
        .bind::<Array<Text>, _>(formulas.collect::<Vec<_>>())
        .bind::<Nullable<Timestamptz>, _>(filter.since.map(|since| since.to_diesel()))
}
