//! Brings the database's tables up to date with the migrations that are built into the program.
//! Touches the schema only, in one transaction under a lock, so that two programs that start at once do not collide.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connect::{SessionUse, Store};
use super::error::{Doing, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../store/migrations");

/// Key of the advisory lock: the bytes of `qcbatch`.
const LOCK: i64 = 0x0071_6362_6174_6368;

impl Store {
    /// Runs the migrations that are missing and returns their versions; none when the database is up to date.
    /// Waits at most two minutes for another program that is doing the same. For tools and tests: a daemon does it while it
    /// takes its lease ([`Store::acquire`]).
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let mut conn = self.own_conn(SessionUse::Maintenance).await?;
        AnsiTransactionManager::begin_transaction(&mut conn).await.doing("beginning migrations")?;
        lock(&mut conn).await?;
        let (mut conn, ran) = run(conn).await?;
        AnsiTransactionManager::commit_transaction(&mut conn).await.doing("committing migrations")?;
        Ok(ran)
    }
}

/// Waits for another program that runs migrations, and keeps others from it until the transaction ends.
pub(super) async fn lock(conn: &mut AsyncPgConnection) -> Result<(), StoreError> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(conn)
        .await
        .doing("waiting for another program's migrations")?;
    Ok(())
}

/// Runs the migrations that are missing in the open transaction of a daemon that is taking the lease of `site`. Refuses to
/// change the tables under daemons of other sites that are at work on them.
pub(super) async fn catch_up(conn: AsyncPgConnection, site: &str) -> Result<AsyncPgConnection, StoreError> {
    let (mut conn, missing) = on_a_thread(conn, missing).await?;
    if missing.is_empty() {
        return Ok(conn);
    }
    let others = other_sites_at_work(&mut conn, site).await?;
    if !others.is_empty() {
        return Err(StoreError::OlderSitesAtWork { sites: others });
    }
    let (conn, ran) = run(conn).await?;
    tracing::info!(migrations = ?ran, "brought the database's tables up to date");
    Ok(conn)
}

/// Other sites whose leases hold. Their rows stay locked, so that none of them can be taken while the tables change.
async fn other_sites_at_work(conn: &mut AsyncPgConnection, site: &str) -> Result<Vec<String>, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        exists: bool,
    }
    #[derive(diesel::QueryableByName)]
    struct SiteRow {
        #[diesel(sql_type = Text)]
        site: String,
        #[diesel(sql_type = Bool)]
        at_work: bool,
    }
    let leases: Row = diesel::sql_query("SELECT to_regclass('lease') IS NOT NULL AS exists")
        .get_result(conn)
        .await
        .doing("looking for other sites")?;
    if !leases.exists {
        return Ok(Vec::new());
    }
    let rows: Vec<SiteRow> = diesel::sql_query(
        "SELECT site, expires_on > clock_timestamp() AS at_work FROM lease WHERE site <> $1 ORDER BY site FOR UPDATE",
    )
    .bind::<Text, _>(site)
    .load(conn)
    .await
    .doing("looking for other sites")?;
    Ok(rows.into_iter().filter(|row| row.at_work).map(|row| row.site).collect())
}

type Wrapper = AsyncConnectionWrapper<AsyncPgConnection>;

async fn run(conn: AsyncPgConnection) -> Result<(AsyncPgConnection, Vec<String>), StoreError> {
    on_a_thread(conn, |conn| {
        missing(conn)?;
        let ran = conn.run_pending_migrations(MIGRATIONS).map_err(StoreError::Migration)?;
        Ok(ran.iter().map(ToString::to_string).collect())
    })
    .await
}

/// diesel's migrations are synchronous; a blocking thread suits every kind of runtime.
async fn on_a_thread(
    conn: AsyncPgConnection,
    work: impl FnOnce(&mut Wrapper) -> Result<Vec<String>, StoreError> + Send + 'static,
) -> Result<(AsyncPgConnection, Vec<String>), StoreError> {
    let done = tokio::task::spawn_blocking(move || {
        let mut conn: Wrapper = conn.into();
        let versions = work(&mut conn)?;
        Ok((conn.into_inner(), versions))
    });
    done.await.map_err(|error| StoreError::Migration(Box::new(error)))?
}

/// Versions that are not applied yet. Refuses a database that has migrations of a newer program.
fn missing(conn: &mut Wrapper) -> Result<Vec<String>, StoreError> {
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
    let missing = known.iter().filter(|migration| !applied.contains(&migration.name().version()));
    Ok(missing.map(|migration| migration.name().version().to_string()).collect())
}
