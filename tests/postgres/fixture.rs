//! A private cluster for one test, stopped and removed at its end.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use qcbatch::store::cluster::{PrivateCluster, Programs};
use qcbatch::store::{DatabaseTarget, Store};
use tempfile::TempDir;

/// The cluster and the directory around it.
pub struct Server {
    pub cluster: PrivateCluster,
    /// Stopped before it is removed: fields are dropped after `drop` has run.
    pub directory: TempDir,
}

/// A temporary directory that the server's user may pass through.
pub fn open_directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("qcb-pg-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    directory
}

impl Server {
    /// A cluster that does not exist yet.
    pub fn none_yet() -> Server {
        let directory = open_directory();
        Server { cluster: PrivateCluster::new(directory.path().join("pg"), None), directory }
    }

    /// A running one.
    pub async fn running() -> Server {
        let server = Server::none_yet();
        server.cluster.start().await.unwrap();
        server
    }

    /// A running one with the tables of the current version.
    pub async fn migrated() -> (Server, Store) {
        let server = Server::running().await;
        let store = Store::connect(&server.target(), 4).await.unwrap();
        store.migrate().await.unwrap();
        (server, store)
    }

    pub fn target(&self) -> DatabaseTarget {
        self.cluster.database_target().unwrap()
    }

    /// A plain connection to `database`, beside the store's.
    pub async fn connect(&self, database: &str) -> AsyncPgConnection {
        let socket = self.cluster.home().unwrap().join("run");
        let url = format!("host={} user=qcbatch dbname={database}", socket.display());
        AsyncPgConnection::establish(&url).await.unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.cluster.home().unwrap().join("data")
    }

    /// A command that runs as the server's user.
    pub fn as_server_user(&self, program: &Path) -> Command {
        let owner = std::fs::metadata(self.data()).unwrap();
        let mut command = Command::new(program);
        command.current_dir("/");
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let cluster = self.cluster.clone();
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(cluster.stop())
        });
        match stopping.join() {
            Ok(Ok(_)) => {}
            failed => eprintln!("cannot stop the cluster in {}: {failed:?}", self.directory.path().display()),
        }
    }
}

/// The client programs of the machine.
pub async fn programs() -> Programs {
    Programs::client(None).await.unwrap()
}

pub async fn execute(conn: &mut AsyncPgConnection, sql: &str) {
    conn.batch_execute(sql).await.unwrap();
}

/// The one number that `sql` gives, in a column named `value`.
pub async fn number(conn: &mut AsyncPgConnection, sql: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        value: i64,
    }
    diesel::sql_query(sql).get_result::<Row>(conn).await.unwrap().value
}
