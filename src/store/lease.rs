//! One active daemon per site: the table `lease` and its fencing number, which every write of a daemon checks.
//! Touches that table only, and believes the database's clock only.
//!
//! How the row locks fit together:
//! * a write checks its fence with FOR KEY SHARE, kept until its transaction ends;
//! * renewing is a plain UPDATE of a column outside the key (FOR NO KEY UPDATE). The two do not conflict, so neither a
//!   long ingest transaction stalls the renewal nor the renewal the ingest;
//! * taking over locks the row FOR UPDATE, which conflicts with FOR KEY SHARE: it waits until the former daemon's open
//!   transactions have ended and holds back those that begin later, which then find the fence moved. FOR SHARE in the
//!   check would block renewals; an upsert in the take-over (NO KEY UPDATE) would let old writes commit after it.

use std::time::Duration;

use diesel::OptionalExtension;
use diesel::sql_types::{BigInt, Double, Integer, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::connect::{SessionUse, Store};
use super::error::{Doing, StoreError};
pub use super::holder::LeaseHolder;
use crate::model::ids::Fence;

/// When a lease may be taken that somebody else holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TakeOver {
    /// Only once it has expired or was given back.
    WhenExpired,
    /// At once if it is still this holder's, who is known to be dead ([`LeaseHolder::is_surely_dead`]). Unlike `Now`
    /// it cannot push aside a third daemon that was quicker.
    From(LeaseHolder),
    /// At once, from whoever holds it: a person's order.
    Now,
}

/// The answer to asking for a lease.
#[derive(Clone, PartialEq, Debug)]
pub enum LeaseAnswer {
    /// It is ours; writes carry this fence.
    Held(Fence),
    /// It is somebody else's.
    HeldBy {
        /// Whose.
        holder: LeaseHolder,
        /// How long it holds if not renewed.
        expires_in: Duration,
    },
}

#[derive(diesel::QueryableByName)]
struct FenceRow {
    #[diesel(sql_type = BigInt)]
    fence: i64,
}

#[derive(diesel::QueryableByName)]
struct HolderRow {
    #[diesel(sql_type = Text)]
    hostname: String,
    #[diesel(sql_type = Text)]
    boot_id: String,
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = BigInt)]
    pid_started: i64,
    #[diesel(sql_type = Double)]
    expires_in_seconds: f64,
}

impl HolderRow {
    fn holder(&self) -> LeaseHolder {
        LeaseHolder {
            hostname: self.hostname.clone(),
            boot_id: self.boot_id.clone(),
            pid: self.pid,
            pid_started: self.pid_started,
        }
    }

    /// Whether `asking` may take the lease; its own it may always take anew.
    fn is_free_for(&self, asking: &LeaseHolder, take_over: &TakeOver) -> bool {
        let holder = self.holder();
        self.expires_in_seconds <= 0.0
            || holder == *asking
            || match take_over {
                TakeOver::WhenExpired => false,
                TakeOver::From(dead) => holder == *dead,
                TakeOver::Now => true,
            }
    }

    fn answer(&self) -> LeaseAnswer {
        let expires_in =
            Duration::try_from_secs_f64(self.expires_in_seconds.max(0.0)).unwrap_or(Duration::MAX);
        LeaseAnswer::HeldBy { holder: self.holder(), expires_in }
    }
}

impl Store {
    /// Asks for the site's lease for `ttl` from now. Each acquisition has a fence greater than all before it. Waits for
    /// the former holder's open transactions, at most as long as the database lets those last.
    pub async fn acquire(
        &self,
        site: &str,
        asking: &LeaseHolder,
        ttl: Duration,
        take_over: TakeOver,
    ) -> Result<LeaseAnswer, StoreError> {
        let mut conn = self.conn().await?;
        // Without a lock first: asking again and again must not queue up behind the holder's writes.
        if let Some(row) = read(&mut conn, site).await?
            && !row.is_free_for(asking, &take_over)
        {
            return Ok(row.answer());
        }
        conn.transaction(async |conn| take(conn, site, asking, ttl, &take_over).await).await
    }

    /// Who holds the site's lease, or held it last.
    pub async fn last_holder(&self, site: &str) -> Result<Option<LeaseHolder>, StoreError> {
        let mut conn = self.conn().await?;
        Ok(read(&mut conn, site).await?.map(|row| row.holder()))
    }

    /// Holds the lease for `ttl` from now. [`StoreError::LeaseLost`] when it was taken over; an expired lease that
    /// nobody took is renewed.
    pub async fn renew(&self, site: &str, fence: Fence, ttl: Duration) -> Result<(), StoreError> {
        renew(&mut *self.conn().await?, site, fence, ttl).await
    }

    /// A connection of its own for the daemon that holds the lease with `fence`: what everybody else does with the pool
    /// cannot keep it waiting. It is opened when it is first used.
    pub fn lease_connection(&self, site: impl Into<String>, fence: Fence, ttl: Duration) -> LeaseConnection {
        LeaseConnection { store: self.clone(), conn: None, site: site.into(), fence, ttl }
    }

    /// Gives the lease back, so that the next daemon need not wait. A lease that is no longer ours stays as it is.
    pub async fn release(&self, site: &str, fence: Fence) -> Result<(), StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query("UPDATE lease SET expires_on = clock_timestamp() WHERE site = $1 AND fence = $2")
            .bind::<Text, _>(site)
            .bind::<BigInt, _>(fence.0)
            .execute(&mut conn)
            .await
            .doing("giving the lease back")?;
        Ok(())
    }
}

/// The connection of the daemon that holds a site's lease. One that does not answer in time is thrown away, and the next
/// question opens another.
#[derive(Debug)]
pub struct LeaseConnection {
    store: Store,
    conn: Option<Connection>,
    site: String,
    fence: Fence,
    ttl: Duration,
}

/// A connection; shows as nothing.
struct Connection(AsyncPgConnection);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl LeaseConnection {
    /// Holds the lease for its whole time from now. [`StoreError::LeaseLost`] when it was taken over; an expired lease that
    /// nobody took is renewed.
    pub async fn renew(&mut self) -> Result<(), StoreError> {
        let ttl = self.ttl;
        self.ask(async |conn, site, fence| renew(conn, site, fence, ttl).await).await
    }

    /// Whether the lease is still ours. [`StoreError::LeaseLost`] when it was taken over.
    pub async fn check(&mut self) -> Result<(), StoreError> {
        self.ask(check_fence_once).await
    }

    /// Asks a question within a quarter of the lease's time.
    async fn ask(
        &mut self,
        question: impl AsyncFnOnce(&mut AsyncPgConnection, &str, Fence) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let limit = self.ttl / 4;
        // Taken out meanwhile: a question that is dropped half-way leaves no connection with half an answer.
        let conn = self.conn.take();
        let asking = async {
            let mut conn = match conn {
                Some(Connection(conn)) => conn,
                None => self.store.own_conn(SessionUse::Work).await?,
            };
            let answer = question(&mut conn, &self.site, self.fence).await;
            Ok((conn, answer))
        };
        match tokio::time::timeout(limit, asking).await {
            Ok(Ok((conn, answer))) => {
                if matches!(answer, Ok(()) | Err(StoreError::LeaseLost { .. })) {
                    self.conn = Some(Connection(conn));
                }
                answer
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.store.no_answer_within(limit)),
        }
    }
}

async fn renew(
    conn: &mut AsyncPgConnection,
    site: &str,
    fence: Fence,
    ttl: Duration,
) -> Result<(), StoreError> {
    let renewed = diesel::sql_query(
        "UPDATE lease SET expires_on = clock_timestamp() + make_interval(secs => $3) \
         WHERE site = $1 AND fence = $2",
    )
    .bind::<Text, _>(site)
    .bind::<BigInt, _>(fence.0)
    .bind::<Double, _>(ttl.as_secs_f64())
    .execute(conn)
    .await
    .doing("renewing the lease")?;
    if renewed == 0 { Err(lost(site, fence)) } else { Ok(()) }
}

/// Without a lock: says only how it is at this moment.
async fn check_fence_once(conn: &mut AsyncPgConnection, site: &str, fence: Fence) -> Result<(), StoreError> {
    diesel::sql_query("SELECT fence FROM lease WHERE site = $1 AND fence = $2")
        .bind::<Text, _>(site)
        .bind::<BigInt, _>(fence.0)
        .get_result::<FenceRow>(conn)
        .await
        .optional()
        .doing("checking the lease")?
        .map(drop)
        .ok_or_else(|| lost(site, fence))
}

/// Proves inside the caller's transaction that `fence` is the site's current one, and keeps it so until that
/// transaction ends. [`StoreError::LeaseLost`] otherwise; the caller then rolls back.
pub async fn check_fence(conn: &mut AsyncPgConnection, site: &str, fence: Fence) -> Result<(), StoreError> {
    diesel::sql_query("SELECT fence FROM lease WHERE site = $1 AND fence = $2 FOR KEY SHARE")
        .bind::<Text, _>(site)
        .bind::<BigInt, _>(fence.0)
        .get_result::<FenceRow>(conn)
        .await
        .optional()
        .doing("checking the lease")?
        .map(drop)
        .ok_or_else(|| lost(site, fence))
}

async fn take(
    conn: &mut AsyncPgConnection,
    site: &str,
    asking: &LeaseHolder,
    ttl: Duration,
    take_over: &TakeOver,
) -> Result<LeaseAnswer, StoreError> {
    // Longer than a statement (60 s) and an idle transaction (30 s) of the former holder can last together.
    conn.batch_execute("SET LOCAL statement_timeout = '120s'; SET LOCAL lock_timeout = 0")
        .await
        .doing("waiting for the lease")?;
    diesel::sql_query(
        "INSERT INTO lease (site, fence, hostname, boot_id, pid, pid_started, expires_on) \
         VALUES ($1, 0, '', '', 0, 0, '-infinity') ON CONFLICT (site) DO NOTHING",
    )
    .bind::<Text, _>(site)
    .execute(conn)
    .await
    .doing("making the site's lease")?;
    diesel::sql_query("SELECT fence FROM lease WHERE site = $1 FOR UPDATE")
        .bind::<Text, _>(site)
        .execute(conn)
        .await
        .doing("waiting for the lease")?;
    // Read anew, now that nobody else can change it: it may have been renewed or taken while this one waited.
    if let Some(row) = read(conn, site).await?
        && !row.is_free_for(asking, take_over)
    {
        return Ok(row.answer());
    }
    let row: FenceRow = diesel::sql_query(
        "UPDATE lease SET fence = fence + 1, hostname = $2, boot_id = $3, pid = $4, pid_started = $5, \
         expires_on = clock_timestamp() + make_interval(secs => $6) WHERE site = $1 RETURNING fence",
    )
    .bind::<Text, _>(site)
    .bind::<Text, _>(&asking.hostname)
    .bind::<Text, _>(&asking.boot_id)
    .bind::<Integer, _>(asking.pid)
    .bind::<BigInt, _>(asking.pid_started)
    .bind::<Double, _>(ttl.as_secs_f64())
    .get_result(conn)
    .await
    .doing("taking the lease")?;
    Ok(LeaseAnswer::Held(Fence(row.fence)))
}

/// The lease as it stands; none before its first acquisition.
async fn read(conn: &mut AsyncPgConnection, site: &str) -> Result<Option<HolderRow>, StoreError> {
    // `-infinity` (never held) has no difference to now; a century is far enough.
    diesel::sql_query(
        "SELECT hostname, boot_id, pid, pid_started, extract(epoch FROM \
         greatest(expires_on, clock_timestamp() - interval '100 years') - clock_timestamp())::float8 \
         AS expires_in_seconds FROM lease WHERE site = $1",
    )
    .bind::<Text, _>(site)
    .get_result(conn)
    .await
    .optional()
    .doing("reading the lease")
}

fn lost(site: &str, fence: Fence) -> StoreError {
    StoreError::LeaseLost { site: site.to_owned(), fence }
}
