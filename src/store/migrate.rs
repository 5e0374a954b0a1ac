//! Brings the database's tables up to date with the migrations that are built into the program.
//! Touches the schema only, under a lock, so that two daemons that start at once do not collide.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connect::{SessionUse, Store};
use super::error::{Doing, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("src/store/migrations");

/// Key of the advisory lock: the bytes of `qcbatch`.
const LOCK: i64 = 0x0071_6362_6174_6368;

impl Store {
    /// Runs the migrations that are missing and returns their versions; none when the database is up to date.
    /// Waits at most two minutes for another program that is doing the same.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let mut conn = self.own_conn(SessionUse::Maintenance).await?;
        // A session's lock: closing the connection, however that comes about, gives it back.
        diesel::sql_query("SELECT pg_advisory_lock($1)")
            .bind::<diesel::sql_types::BigInt, _>(LOCK)
            .execute(&mut conn)
            .await
            .doing("waiting for another program's migrations")?;
        // diesel's migrations are synchronous; a blocking thread suits every kind of runtime.
        tokio::task::spawn_blocking(move || run(conn))
            .await
            .map_err(|error| StoreError::Migration(Box::new(error)))?
    }
}

fn run(conn: AsyncPgConnection) -> Result<Vec<String>, StoreError> {
    let mut conn: AsyncConnectionWrapper<AsyncPgConnection> = conn.into();
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(StoreError::Migration)?;
    let applied = conn.applied_migrations().map_err(StoreError::Migration)?;
    let is_known = |version: &diesel::migration::MigrationVersion<'_>| {
        known.iter().any(|migration| migration.name().version() == *version)
    };
    let mut unknown: Vec<String> =
        applied.iter().filter(|version| !is_known(version)).map(ToString::to_string).collect();
    if !unknown.is_empty() {
        unknown.sort();
        return Err(StoreError::NewerDatabase { unknown });
    }
    let ran = conn.run_pending_migrations(MIGRATIONS).map_err(StoreError::Migration)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}
