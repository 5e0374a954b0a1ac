//! How many requested records there are of each status: exact at any size, from the changes that triggers write.
//! Touches `record_count` only.

use std::collections::BTreeMap;

use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Doing, StoreError};
use super::types::sql;
use crate::model::record::RecordStatus;

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = sql::RecordStatus)]
    status: RecordStatus,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Records by status; those without any are left out.
pub(crate) async fn by_status(
    conn: &mut AsyncPgConnection,
) -> Result<BTreeMap<RecordStatus, i64>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT status, sum(change)::bigint AS records FROM record_count GROUP BY status HAVING sum(change) <> 0",
    )
    .load(conn)
    .await
    .doing("counting records")?;
    Ok(rows.into_iter().map(|row| (row.status, row.records)).collect())
}

/// Makes one row per status of the many small ones. Rows that another transaction is folding are left to it.
pub(crate) async fn fold(conn: &mut AsyncPgConnection) -> Result<(), StoreError> {
    diesel::sql_query(
        "WITH folded AS (
            DELETE FROM record_count WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM record_count FOR UPDATE SKIP LOCKED)) RETURNING status, change)
         INSERT INTO record_count SELECT status, sum(change) FROM folded GROUP BY status",
    )
    .execute(conn)
    .await
    .doing("folding counts of records")?;
    Ok(())
}
