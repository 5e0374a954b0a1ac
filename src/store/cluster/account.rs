//! Who the server runs as: oneself, or an unprivileged user when root starts it (PostgreSQL refuses root).
//! Reads the user database only.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

use super::error::ClusterError;

/// The server's user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Account {
    /// Its name, by which peer authentication goes.
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether programs must change to it.
    is_other: bool,
}

impl Account {
    /// The server's user for the cluster whose data is, or will be, in `data`: its owner, who must be oneself unless
    /// root asks; for a new cluster root takes `wanted`, else QCBATCH_PG_USER, else `postgres`, else `nobody`.
    pub(super) fn choose(data: &Path, wanted: Option<&str>) -> Result<Account, ClusterError> {
        let me = geteuid();
        let owner = match std::fs::symlink_metadata(data) {
            Ok(metadata) => Some(metadata.uid()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(ClusterError::File { doing: "look at", path: data.to_owned(), source });
            }
        };
        match owner {
            Some(uid) if !me.is_root() && uid != me.as_raw() => {
                Err(ClusterError::ForeignOwner { directory: data.to_owned(), owner: uid })
            }
            Some(0) => Err(ClusterError::ForeignOwner { directory: data.to_owned(), owner: 0 }),
            Some(uid) => Account::by_uid(Uid::from_raw(uid)),
            None if me.is_root() => Account::unprivileged(wanted),
            None => Account::by_uid(me),
        }
    }

    /// Oneself.
    pub(super) fn own() -> Result<Account, ClusterError> {
        Account::by_uid(geteuid())
    }

    fn unprivileged(wanted: Option<&str>) -> Result<Account, ClusterError> {
        let named = wanted.map(str::to_owned).or_else(|| std::env::var("QCBATCH_PG_USER").ok());
        let candidates = match &named {
            Some(name) => vec![name.as_str()],
            None => vec!["postgres", "nobody"],
        };
        for name in &candidates {
            let user = User::from_name(name).ok().flatten();
            if let Some(user) = user.filter(|user| !user.uid.is_root()) {
                return Ok(Account::of(user));
            }
        }
        Err(ClusterError::NoSuchUser { name: candidates.join("` or `") })
    }

    fn by_uid(uid: Uid) -> Result<Account, ClusterError> {
        match User::from_uid(uid) {
            Ok(Some(user)) => Ok(Account::of(user)),
            Ok(None) | Err(_) => Err(ClusterError::NamelessUser { uid: uid.as_raw() }),
        }
    }

    fn of(user: User) -> Account {
        let is_other = user.uid != geteuid();
        Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), is_other }
    }

    /// User and group that programs must change to, if they must.
    pub(super) fn switch_to(&self) -> Option<(u32, u32)> {
        self.is_other.then_some((self.uid, self.gid))
    }

    /// Names that may connect: the server's user, and root where root runs the daemon.
    pub(super) fn may_connect(&self) -> Vec<&str> {
        if self.is_other { vec![&self.name, "root"] } else { vec![&self.name] }
    }
}
