//! Makes the private cluster's database once its server answers.

use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::super::connect::{Connector, SessionUse};
use super::super::error::{Doing, StoreError};
use super::super::target::DatabaseTarget;
use super::DATABASE;

/// A server that was killed replays its log first, and answers when it has.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Makes the database of `target` if the server has none of that name. Waits for a server that is still recovering.
pub(super) async fn ensure(target: &DatabaseTarget) -> Result<(), StoreError> {
    let connector = Connector::new(&target.with_database("postgres"))?;
    let begun = Instant::now();
    let mut conn = loop {
        match connector.open(SessionUse::Maintenance).await {
            Err(error) if error.is_away() && begun.elapsed() < RECOVERY_LIMIT => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            opened => break opened?,
        }
    };
    let existing: Count = diesel::sql_query("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind::<Text, _>(DATABASE)
        .get_result(&mut conn)
        .await
        .doing("looking for the private database")?;
    if existing.count == 0 {
        conn.batch_execute(&format!("CREATE DATABASE {DATABASE}"))
            .await
            .doing("making the private database")?;
    }
    Ok(())
}
