//! The pools of connections to PostgreSQL. Nothing in them waits for ever: opening a connection, waiting for a free one
//! and every statement have a limit, so that a database that is away shows as an error.
//!
//! The daemon's loops, the local API and the intake have a pool each, so that none of them can use up the connections of
//! another. Nobody waits for anything but the database while holding a connection of the loops.

use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError as ManagerError, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::StoreError;
use super::target::{DatabaseTarget, TlsMode};
use super::tls::{self, TlsError};
use super::turn::Turns;

/// Limit of one attempt at one address; all addresses together have [`OPEN_LIMIT`].
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);
/// Limit of opening one connection: name look-up, TLS, authentication, settings.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// Limit of waiting for a free connection, opening included.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// How long a silent peer is believed to be there, on TCP.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server cannot be reached, or refuses.
    #[error("server is not reachable or refuses the connection")]
    Server(#[source] tokio_postgres::Error),
    /// The session's settings could not be set.
    #[error("server refuses the session's settings")]
    Session(#[source] diesel::result::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No answer within the limit.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Every connection of the pool stayed in use for the whole limit, or a used one no longer answered.
    #[error("no free connection within {} s", .0.as_secs())]
    NoFreeConnection(Duration),
}

impl ConnectError {
    /// Whether trying again later can help: not with a wrong password, a missing database or bad certificates.
    pub fn is_away(&self) -> bool {
        const FOR_GOOD: [SqlState; 5] = [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INVALID_CATALOG_NAME,
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::UNDEFINED_OBJECT,
        ];
        match self {
            ConnectError::Server(error) => match error.code() {
                Some(code) => !FOR_GOOD.contains(code),
                None => is_network(error),
            },
            ConnectError::Session(_) | ConnectError::TimedOut(_) | ConnectError::NoFreeConnection(_) => true,
            ConnectError::Tls(_) => false,
        }
    }
}

/// Whether the cause is the network rather than TLS, authentication or the configuration.
fn is_network(error: &tokio_postgres::Error) -> bool {
    if error.is_closed() {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return false;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>());
        }
        cause = error.source();
    }
    false
}

/// What a session is for, which decides how long its statements may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SessionUse {
    /// The daemon's work: short statements, and no transaction that is left open.
    Work,
    /// Migrations and restoring: as long as it takes, yet never for ever behind a lock.
    Maintenance,
}

impl SessionUse {
    /// A frozen client must not hold the lease's row for longer than an idle transaction may last, and the fence's
    /// check relies on read committed (see `lease`). Waiting for a lock ends before a statement may: the two errors mean
    /// different things. Compiling a statement takes PostgreSQL 200 ms, more than any of ours
    /// runs; with a million tasks it thinks the look into the queue worth it.
    const fn settings(self) -> &'static str {
        match self {
            SessionUse::Work => {
                "SET statement_timeout = '60s'; SET lock_timeout = '50s'; SET idle_in_transaction_session_timeout = '30s'; \
                 SET default_transaction_isolation = 'read committed'; SET jit = off"
            }
            SessionUse::Maintenance => "SET statement_timeout = 0; SET lock_timeout = '120s'",
        }
    }
}

/// Opens connections to one target.
pub(crate) struct Connector {
    target: DatabaseTarget,
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    pub(crate) fn new(target: &DatabaseTarget) -> Result<Connector, StoreError> {
        let tls = tls::connector(target)
            .map_err(|error| StoreError::Connect { target: target.to_string(), source: error.into() })?;
        let mut config = target.config().clone();
        if config.get_application_name().is_none() {
            config.application_name("qcbatch");
        }
        config
            .ssl_mode(match target.tls() {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
            })
            .connect_timeout(ADDRESS_LIMIT)
            .tcp_user_timeout(SILENCE_LIMIT)
            .keepalives_idle(SILENCE_LIMIT)
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        Ok(Connector { target: target.clone(), config, tls })
    }

    /// One connection of its own, outside any pool.
    pub(crate) async fn open(&self, session: SessionUse) -> Result<AsyncPgConnection, StoreError> {
        self.try_open(session).await.map_err(|source| self.error(source))
    }

    async fn try_open(&self, session: SessionUse) -> Result<AsyncPgConnection, ConnectError> {
        let opening = async {
            let (client, connection) =
                self.config.connect(self.tls.clone()).await.map_err(ConnectError::Server)?;
            let opened = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
            let mut conn = opened.map_err(connection_error)?;
            conn.batch_execute(session.settings()).await.map_err(ConnectError::Session)?;
            Ok(conn)
        };
        timeout(OPEN_LIMIT, opening).await.unwrap_or(Err(ConnectError::TimedOut(OPEN_LIMIT)))
    }

    fn error(&self, source: ConnectError) -> StoreError {
        StoreError::Connect { target: self.target.to_string(), source }
    }
}

/// What a connection is for. Each use has a pool of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// The daemon's loops: short reads and writes.
    Loops,
    /// Requests at the local API.
    Api,
    /// The one submission that is being taken in.
    Intake,
}

/// The largest number of connections that each lane may open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    loops: usize,
    api: usize,
    intake: usize,
}

/// Connections outside the lanes: the keeper of the lease has one of its own.
const KEEPER: usize = 1;
const INTAKE: usize = 1;

impl Shares {
    /// Divides `total` connections: one for the keeper of the lease, one for the intake, a third of the rest for the API
    /// and the others for the loops. No lane is without a connection, so that fewer than four become four.
    pub const fn of(total: usize) -> Shares {
        let rest = total.saturating_sub(KEEPER + INTAKE);
        let api = if rest < 6 { 1 } else { rest / 3 };
        let loops = rest.saturating_sub(api);
        Shares { loops: if loops == 0 { 1 } else { loops }, api, intake: INTAKE }
    }

    /// `most` connections for each lane: for a program that uses one lane only.
    pub const fn alike(most: usize) -> Shares {
        let most = if most == 0 { 1 } else { most };
        Shares { loops: most, api: most, intake: most }
    }

    /// The largest number of connections that are open at once, the keeper's included.
    pub const fn total(self) -> usize {
        KEEPER + self.loops + self.api + self.intake
    }

    const fn of_lane(self, lane: Lane) -> usize {
        match lane {
            Lane::Loops => self.loops,
            Lane::Api => self.api,
            Lane::Intake => self.intake,
        }
    }
}

/// The pools of one process.
struct Pools {
    loops: Pool<AsyncPgConnection>,
    api: Pool<AsyncPgConnection>,
    intake: Pool<AsyncPgConnection>,
}

/// The database, through one of the process's pools of connections. Clones share them.
#[derive(Clone)]
pub struct Store {
    pools: Arc<Pools>,
    lane: Lane,
    connector: Arc<Connector>,
    /// Whose turn it is to take a submission in: see `turn`.
    pub(super) turns: Arc<Turns>,
}

impl Store {
    /// Opens a store whose lanes have at most `most` connections each, and proves that one works. Takes at most 30 s.
    pub async fn connect(target: &DatabaseTarget, most: usize) -> Result<Store, StoreError> {
        Store::connect_shared(target, Shares::alike(most)).await
    }

    /// Opens a store whose lanes have these shares, and proves that a connection works. Takes at most 30 s.
    pub async fn connect_shared(target: &DatabaseTarget, shares: Shares) -> Result<Store, StoreError> {
        let connector = Arc::new(Connector::new(target)?);
        let pool = |lane| pool(&connector, shares.of_lane(lane));
        let pools = Pools { loops: pool(Lane::Loops), api: pool(Lane::Api), intake: pool(Lane::Intake) };
        let (pools, turns) = (Arc::new(pools), Arc::default());
        let store = Store { pools, lane: Lane::Loops, connector, turns };
        drop(store.conn().await?);
        Ok(store)
    }

    /// The same database through the connections of another lane.
    pub fn on(&self, lane: Lane) -> Store {
        Store { lane, ..self.clone() }
    }

    /// A connection that answered just now. Takes at most 30 s.
    pub(crate) async fn conn(&self) -> Result<Object<AsyncPgConnection>, StoreError> {
        let pool = match self.lane {
            Lane::Loops => &self.pools.loops,
            Lane::Api => &self.pools.api,
            Lane::Intake => &self.pools.intake,
        };
        let source = match timeout(WAIT_LIMIT, pool.get()).await {
            Ok(Ok(conn)) => return Ok(conn),
            Ok(Err(PoolError::Backend(ManagerError::ConnectionError(error)))) => connection_error(error),
            Ok(Err(PoolError::Backend(ManagerError::QueryError(error)))) => ConnectError::Session(error),
            Ok(Err(_)) | Err(_) => ConnectError::NoFreeConnection(WAIT_LIMIT),
        };
        Err(self.connector.error(source))
    }

    /// A connection of its own, for what must not share the pool's sessions.
    pub(crate) async fn own_conn(&self, session: SessionUse) -> Result<AsyncPgConnection, StoreError> {
        self.connector.open(session).await
    }

    /// The error of a connection that did not answer for so long.
    pub(crate) fn no_answer_within(&self, limit: Duration) -> StoreError {
        self.connector.error(ConnectError::TimedOut(limit))
    }

    /// The database this store talks to.
    pub fn target(&self) -> &DatabaseTarget {
        &self.connector.target
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.connector.target)
    }
}

fn pool(connector: &Arc<Connector>, most: usize) -> Pool<AsyncPgConnection> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Verified;
    let opener = Arc::clone(connector);
    config.custom_setup = Box::new(move |_| {
        let opener = Arc::clone(&opener);
        async move { opener.try_open(SessionUse::Work).await.map_err(through_diesel) }.boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    Pool::builder(manager)
        .max_size(most.max(1))
        .build()
        .expect("a pool without timeouts of its own needs no runtime and cannot fail")
}

/// diesel's pool only carries diesel's errors: ours travels inside one and is unpacked by [`connection_error`].
fn through_diesel(error: ConnectError) -> ConnectionError {
    ConnectionError::CouldntSetupConfiguration(diesel::result::Error::QueryBuilderError(Box::new(error)))
}

fn connection_error(error: ConnectionError) -> ConnectError {
    match error {
        ConnectionError::CouldntSetupConfiguration(diesel::result::Error::QueryBuilderError(inner)) => {
            match inner.downcast::<ConnectError>() {
                Ok(error) => *error,
                Err(inner) => ConnectError::Session(diesel::result::Error::QueryBuilderError(inner)),
            }
        }
        ConnectionError::CouldntSetupConfiguration(error) => ConnectError::Session(error),
        other => ConnectError::Session(diesel::result::Error::QueryBuilderError(Box::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_a_connection_and_the_sum_is_what_was_configured() {
        for total in 4..=100 {
            let shares = Shares::of(total);
            assert_eq!(shares.total(), total, "{shares:?}");
            assert!(shares.api >= 1 && shares.intake == 1 && shares.loops > shares.api / 2, "{shares:?}");
        }
        assert_eq!(Shares::of(0).total(), 4);
        assert_eq!(Shares::of(10), Shares { loops: 6, api: 2, intake: 1 });
    }
}
