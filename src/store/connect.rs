//! The pool of connections to PostgreSQL. Nothing in it waits for ever: opening a connection, waiting for a free one
//! and every statement have a limit, so that a database that is away shows as an error.

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
    /// check relies on read committed (see `lease`). Compiling a statement takes PostgreSQL 200 ms, more than any of ours
    /// runs; with a million tasks it thinks the look into the queue worth it.
    const fn settings(self) -> &'static str {
        match self {
            SessionUse::Work => {
                "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '30s'; \
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

/// The database, through a pool of connections. Clones share the pool.
#[derive(Clone)]
pub struct Store {
    pool: Pool<AsyncPgConnection>,
    connector: Arc<Connector>,
}

impl Store {
    /// Opens a pool of at most `pool_size` connections and proves that one works. Takes at most 30 s.
    pub async fn connect(target: &DatabaseTarget, pool_size: usize) -> Result<Store, StoreError> {
        let connector = Arc::new(Connector::new(target)?);
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Verified;
        let opener = Arc::clone(&connector);
        config.custom_setup = Box::new(move |_| {
            let opener = Arc::clone(&opener);
            async move { opener.try_open(SessionUse::Work).await.map_err(through_diesel) }.boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let pool = Pool::builder(manager)
            .max_size(pool_size.max(1))
            .build()
            .expect("a pool without timeouts of its own needs no runtime and cannot fail");
        let store = Store { pool, connector };
        drop(store.conn().await?);
        Ok(store)
    }

    /// A connection that answered just now. Takes at most 30 s.
    pub(crate) async fn conn(&self) -> Result<Object<AsyncPgConnection>, StoreError> {
        let source = match timeout(WAIT_LIMIT, self.pool.get()).await {
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
