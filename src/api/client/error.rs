//! Why the daemon could not be asked, in words that fit one line, each with what to do. Pure.

use std::io;
use std::path::{Path, PathBuf};

use crate::api::wire::ErrorBody;

/// Why there is no answer, or no good one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error("the daemon is not running (no socket at {})", .socket.display())]
    NoSocket {
        /// Where it would be.
        socket: PathBuf,
    },
    /// A socket that nobody listens at.
    #[error("the daemon is not running (nobody listens at {})", .socket.display())]
    NobodyListens {
        /// The stale socket.
        socket: PathBuf,
    },
    /// The socket belongs to someone else.
    #[error("the daemon's socket {} does not let you in", .socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// Any other refusal of the system.
    #[error("cannot connect to {}", .socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("the daemon at {} gave no answer within {seconds} s", .socket.display())]
    TimedOut {
        /// The socket.
        socket: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The connection ended before the answer did.
    #[error("the connection to the daemon at {} broke before its answer was complete", .socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// The request cannot be written.
    #[error("cannot make the request {path}")]
    Request {
        /// Its path.
        path: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not ours.
    #[error("the answer at {} (HTTP {status}) is not a qcbatch daemon's of this version", .socket.display())]
    Unreadable {
        /// The socket.
        socket: PathBuf,
        /// The answer's status.
        status: u16,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The daemon answered with an error.
    #[error("{}", .body.message)]
    Answered {
        /// What it said.
        body: Box<ErrorBody>,
    },
}

impl ClientError {
    /// The error for a connection that the system refused.
    pub(super) fn from_connect(socket: &Path, source: io::Error) -> ClientError {
        let socket = socket.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => ClientError::NoSocket { socket },
            io::ErrorKind::ConnectionRefused => ClientError::NobodyListens { socket },
            io::ErrorKind::PermissionDenied => ClientError::Denied { socket },
            _ => ClientError::Connect { socket, source },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            ClientError::NoSocket { .. } | ClientError::NobodyListens { .. } => {
                Some("start it with: qcbatch daemon")
            }
            ClientError::Denied { .. } => {
                Some("use the account that runs the daemon, or name your own with --socket")
            }
            ClientError::TimedOut { .. } => {
                Some("see the daemon's log; the machine or its database may be overloaded")
            }
            ClientError::Broken { .. } => Some(
                "see the daemon's log; what was not acknowledged may be sent again: equal requests are found",
            ),
            ClientError::Unreadable { .. } => {
                Some("restart the daemon after an upgrade, or correct --socket")
            }
            ClientError::Answered { body } => body.hint.as_deref(),
            ClientError::Connect { .. } | ClientError::Request { .. } => None,
        }
    }
}
