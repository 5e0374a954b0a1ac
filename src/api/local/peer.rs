//! Who is at the other end of the socket, as the kernel says it (`SO_PEERCRED`). Only our own account and root may ask.

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Extension, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use nix::unistd::{Uid, User};
use tokio::net::UnixListener;

use super::error::ApiError;

/// The peer of a connection; `None` where the kernel did not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its user.
    pub uid: Option<u32>,
    /// Its process.
    pub pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Peer {
        let credentials = stream.io().peer_cred().ok();
        Peer { uid: credentials.map(|peer| peer.uid()), pid: credentials.and_then(|peer| peer.pid()) }
    }
}

impl Peer {
    /// The peer's user, by name where it has one.
    pub(super) fn user_name(self) -> String {
        self.uid.map_or_else(own_user_name, |uid| name_of(Uid::from_raw(uid)))
    }

    /// Whether a daemon of user `own` answers it.
    pub fn may_ask(self, own: u32) -> bool {
        self.uid.is_some_and(|uid| uid == own || uid == 0)
    }
}

/// The daemon's own user.
pub(super) fn own_user_name() -> String {
    name_of(Uid::effective())
}

fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// Lets our own account and root through; anyone else is refused and named in the log.
pub(super) async fn check(
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<Peer>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let own = Uid::effective().as_raw();
    if peer.may_ask(own) {
        request.extensions_mut().insert(peer);
        return Ok(next.run(request).await);
    }
    tracing::warn!(
        peer.uid = peer.uid,
        peer.pid = peer.pid,
        "refused a request of user {:?} at the local socket",
        peer.uid
    );
    Err(ApiError::forbidden(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ourselves_and_root() {
        let peer = |uid| Peer { uid, pid: None };
        assert!(peer(Some(1000)).may_ask(1000));
        assert!(peer(Some(0)).may_ask(1000));
        assert!(!peer(Some(1001)).may_ask(1000));
        assert!(!peer(Some(1001)).may_ask(0));
        assert!(!peer(None).may_ask(0));
    }
}
