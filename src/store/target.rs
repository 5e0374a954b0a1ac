//! Which database, and how it is reached: parsed once, shown without its password.
//! No I/O; `connect` and `backup` use it.

use std::fmt;
use std::path::{Path, PathBuf};

use tokio_postgres::config::{Host, SslMode};

/// How far a connection over TCP is encrypted and the server's identity checked; libpq's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsMode {
    /// No encryption.
    Disable,
    /// Encryption when the server offers it, nobody's identity checked.
    Prefer,
    /// Encryption always, nobody's identity checked.
    Require,
    /// Encryption always; certificate and host name must be right.
    VerifyFull,
}

impl TlsMode {
    /// Every mode.
    pub const ALL: [TlsMode; 4] = [TlsMode::Disable, TlsMode::Prefer, TlsMode::Require, TlsMode::VerifyFull];

    /// The word used in the configuration and by libpq (`sslmode`).
    pub const fn as_str(self) -> &'static str {
        match self {
            TlsMode::Disable => "disable",
            TlsMode::Prefer => "prefer",
            TlsMode::Require => "require",
            TlsMode::VerifyFull => "verify-full",
        }
    }

    /// The mode that `word` names.
    pub fn parse(word: &str) -> Option<TlsMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// Why a connection string is refused. The text itself is never repeated: it may hold a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither form of libpq's connection strings.
    #[error(
        "not a connection string: expected postgres://user@host:port/database or host=… user=… dbname=… (TLS is set by mode, not by sslmode=verify-full)"
    )]
    Unreadable,
    /// No host, and no directory of a Unix socket.
    #[error("connection string names no host: expected a host name or host=/directory/of/the/socket")]
    NoHost,
    /// No database.
    #[error("connection string names no database: expected postgres://user@host/database")]
    NoDatabase,
    /// A root certificate that no connection would look at.
    #[error("root certificate is only looked at with TLS mode `verify-full`, not `{}`", .0.as_str())]
    UnusedRootCertificate(TlsMode),
}

/// Which database to talk to. Neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseTarget {
    config: tokio_postgres::Config,
    tls: TlsMode,
    root_certificate: Option<PathBuf>,
}

impl DatabaseTarget {
    /// Reads a libpq connection string (URL or `key=value`). Without `tls`, the string's own `sslmode` holds
    /// (`prefer` when it has none). `root_certificate` is a PEM file; without it, verify-full trusts the web's roots.
    pub fn parse(
        url: &str,
        tls: Option<TlsMode>,
        root_certificate: Option<PathBuf>,
    ) -> Result<DatabaseTarget, TargetError> {
        let config: tokio_postgres::Config = url.parse().map_err(|_| TargetError::Unreadable)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(TargetError::NoHost);
        }
        if config.get_dbname().is_none() {
            return Err(TargetError::NoDatabase);
        }
        let tls = tls.unwrap_or(match config.get_ssl_mode() {
            SslMode::Disable => TlsMode::Disable,
            SslMode::Require => TlsMode::Require,
            _ => TlsMode::Prefer,
        });
        if root_certificate.is_some() && tls != TlsMode::VerifyFull {
            return Err(TargetError::UnusedRootCertificate(tls));
        }
        // As libpq has it: what does not leave the machine is not encrypted.
        let is_tcp = |host: &Host| matches!(host, Host::Tcp(_));
        let any_tcp = config.get_hosts().iter().any(is_tcp) || !config.get_hostaddrs().is_empty();
        let tls = if any_tcp { tls } else { TlsMode::Disable };
        Ok(DatabaseTarget { config, tls, root_certificate })
    }

    /// A database behind the Unix socket in `directory` on PostgreSQL's own port number.
    pub fn socket(directory: &Path, user: &str, database: &str) -> DatabaseTarget {
        let mut config = tokio_postgres::Config::new();
        config.host_path(directory).user(user).dbname(database);
        DatabaseTarget { config, tls: TlsMode::Disable, root_certificate: None }
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> DatabaseTarget {
        let mut other = self.clone();
        other.config.dbname(database);
        other
    }

    /// The TLS mode that connections use: none on Unix sockets.
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    /// The PEM file that verify-full trusts instead of the web's roots.
    pub fn root_certificate(&self) -> Option<&Path> {
        self.root_certificate.as_deref()
    }

    /// The parsed string, password included.
    pub(crate) fn config(&self) -> &tokio_postgres::Config {
        &self.config
    }
}

impl fmt::Display for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database `{}` on ", self.config.get_dbname().unwrap_or_default())?;
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match host {
                Host::Tcp(name) => {
                    write!(f, "{name}:{}", ports.get(index).or(ports.first()).unwrap_or(&5432))?;
                }
                Host::Unix(directory) => write!(f, "the socket in {}", directory.display())?,
            }
        }
        if self.config.get_hosts().is_empty() {
            write!(f, "{:?}", self.config.get_hostaddrs())?;
        }
        match self.config.get_user() {
            Some(user) => write!(f, " as `{user}`"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseTarget({self}, tls {})", self.tls.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> DatabaseTarget {
        DatabaseTarget::parse(url, None, None).unwrap()
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "postgres://anna:s3cret@db.example:5433/qc",
            "host=db.example port=5433 user=anna password=s3cret dbname=qc",
        ] {
            let target = parse(url);
            assert_eq!(target.to_string(), "database `qc` on db.example:5433 as `anna`");
            assert!(!format!("{target:?}").contains("s3cret"));
        }
        let error = DatabaseTarget::parse("postgres://anna:s3cret@db:port/qc", None, None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("cret"));
    }

    #[test]
    fn a_socket_is_never_encrypted() {
        let url = "postgres:///qc?host=/run/qc&user=anna";
        let target = DatabaseTarget::parse(url, Some(TlsMode::VerifyFull), None).unwrap();
        assert_eq!(target.tls(), TlsMode::Disable);
        assert_eq!(target.to_string(), "database `qc` on the socket in /run/qc as `anna`");
        assert_eq!(parse(url), DatabaseTarget::socket(Path::new("/run/qc"), "anna", "qc"));
    }

    #[test]
    fn the_strings_own_sslmode_holds_unless_told() {
        let url = "postgres://db.example/qc?sslmode=require";
        assert_eq!(parse(url).tls(), TlsMode::Require);
        assert_eq!(parse("postgres://db.example/qc").tls(), TlsMode::Prefer);
        let told = DatabaseTarget::parse(url, Some(TlsMode::Disable), None).unwrap();
        assert_eq!(told.tls(), TlsMode::Disable);
    }

    #[test]
    fn what_would_surprise_later_is_refused_now() {
        let parse = |url: &str| DatabaseTarget::parse(url, None, None).unwrap_err();
        assert_eq!(parse("postgres:///qc"), TargetError::NoHost);
        assert_eq!(parse("postgres://db.example"), TargetError::NoDatabase);
        assert_eq!(parse("mysql://db.example/qc"), TargetError::Unreadable);
        let root = Some(PathBuf::from("root.pem"));
        assert_eq!(
            DatabaseTarget::parse("postgres://db/qc", Some(TlsMode::Require), root).unwrap_err(),
            TargetError::UnusedRootCertificate(TlsMode::Require)
        );
    }
}
