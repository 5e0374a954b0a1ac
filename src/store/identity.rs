//! Who the database is: the table `database_identity`, made by a migration and renewed by `restore`. Reads only.

use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::types::sql;
use super::write::Writer;
use crate::model::identity::{DatabaseId, Lineage};

#[derive(diesel::QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = sql::DatabaseId)]
    id: DatabaseId,
    #[diesel(sql_type = Bool)]
    retired: bool,
}

/// The database's id.
pub(super) async fn current(conn: &mut AsyncPgConnection) -> Result<DatabaseId, StoreError> {
    Ok(read(conn).await?.current)
}

/// The database's id and those that it had before.
async fn read(conn: &mut AsyncPgConnection) -> Result<Lineage, StoreError> {
    let rows: Vec<IdentityRow> = diesel::sql_query(
        "SELECT id, retired_on IS NOT NULL AS retired FROM database_identity ORDER BY since, id",
    )
    .load(conn)
    .await
    .doing("reading the database's id")?;
    let current = rows.iter().find(|row| !row.retired).map(|row| row.id).ok_or_else(|| {
        StoreError::Stored { what: "the database's id".to_owned(), source: "there is none".into() }
    })?;
    let former = rows.iter().filter(|row| row.retired).map(|row| row.id).collect();
    Ok(Lineage { current, former })
}

impl Store {
    /// The database's id and those that it had before.
    pub async fn lineage(&self) -> Result<Lineage, StoreError> {
        let mut conn = self.conn().await?;
        read(&mut conn).await
    }
}

impl Writer {
    /// The same, read once: who renews the id raises the fence of this writer too.
    pub(crate) async fn lineage(&self) -> Result<&Lineage, StoreError> {
        self.lineage.get_or_try_init(|| self.store.lineage()).await
    }
}
