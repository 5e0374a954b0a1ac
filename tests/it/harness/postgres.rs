//! PostgreSQL for the tests: one throw-away cluster per test process on a Unix socket, and a fresh database per test.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use super::private_dir::PrivateDir;
use super::wait::{Within, wait_until};

/// The cluster that tests share; ended by the watcher when the test process ends.
static SHARED: LazyLock<Arc<Postgres>> = LazyLock::new(|| Arc::new(Postgres::start()));

/// Where the server programs are: `QCBATCH_PG_BIN`, which `make test` sets, or where the installer finds them.
fn bin_directory() -> PathBuf {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let project = env!("CARGO_MANIFEST_DIR");
        let setup = Command::new(format!("{project}/config/setup/postgres.sh")).current_dir(project).output();
        let printed = String::from_utf8_lossy(&setup.expect("the installer runs").stdout).into_owned();
        let found =
            printed.trim().strip_prefix("QCBATCH_PG_BIN=").expect("a server is found (make test-setup)");
        PathBuf::from(found.trim_matches('"'))
    });
    std::env::var_os("QCBATCH_PG_BIN").map(PathBuf::from).unwrap_or_else(|| FOUND.clone())
}

/// A running cluster of one's own, for tests that stop it.
pub struct Postgres {
    process: Mutex<Child>,
    directory: PrivateDir,
    databases: AtomicU32,
}

impl Postgres {
    /// Creates and starts a cluster.
    pub fn start() -> Postgres {
        let directory = PrivateDir::new();
        let data = directory.subdirectory("data", 0o700);
        let sockets = directory.subdirectory("pg", 0o755);
        if let Some(user) = server_user() {
            for path in [&data, &sockets] {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                    .expect("root may give files away");
            }
        }
        let output = as_server_user("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .expect("initdb is installed (make test-setup)");
        assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        let process = Mutex::new(spawn_server(&directory));
        let postgres = Postgres { process, directory, databases: AtomicU32::new(0) };
        postgres.wait_ready();
        postgres
    }

    /// A new empty database in this cluster.
    pub fn database(self: &Arc<Postgres>) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("create database {name}"));
        Database { postgres: Arc::clone(self), name }
    }

    /// Stops the server at once, as a crash would: clients lose their connections, nothing committed is lost.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let id = i32::try_from(process.id()).expect("process ids are positive i32");
        kill(Pid::from_raw(id), Signal::SIGQUIT).expect("the server runs and is ours");
        process.wait().expect("the server is our child");
    }

    /// Starts it again after `stop`.
    pub fn start_again(&self) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = spawn_server(&self.directory);
        self.wait_ready();
    }

    fn wait_ready(&self) {
        wait_until(
            "PostgreSQL takes connections",
            Within::AMoment,
            || {
                let answer = self.psql_command("postgres", "select 1").output().expect("psql is installed");
                (answer.status.success(), fs::read_to_string(self.directory.join("log")).unwrap_or_default())
            },
            |(ready, _)| *ready,
        );
    }

    fn psql_command(&self, database: &str, sql: &str) -> Command {
        let mut command = Command::new(bin_directory().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        command.arg(self.directory.join("pg")).args(["-d", database, "-c", sql]);
        command
    }

    #[track_caller]
    fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.psql_command(database, sql).output().expect("psql is installed with the server");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// One database of a cluster.
#[derive(Clone)]
pub struct Database {
    postgres: Arc<Postgres>,
    name: String,
}

impl Database {
    /// A new empty database in the shared cluster.
    pub fn fresh() -> Database {
        SHARED.database()
    }

    /// For `[database] url`.
    pub fn url(&self) -> String {
        let sockets = self.postgres.directory.join("pg");
        format!("postgresql:///{}?user=postgres&host={}", self.name, sockets.display())
    }

    /// Runs SQL and gives the rows as lines with `|` between columns.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.postgres.psql(&self.name, sql)
    }

    /// The one number that a query gives.
    #[track_caller]
    pub fn count(&self, sql: &str) -> i64 {
        let answer = self.sql(sql);
        answer.parse().unwrap_or_else(|_| panic!("{sql} gives a number, not {answer:?}"))
    }
}

/// PostgreSQL refuses to run as root.
fn server_user() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    let known = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    Some(known.expect("every Unix has the user nobody"))
}

fn as_server_user(program: &str) -> Command {
    let mut command = Command::new(bin_directory().join(program));
    command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
    if let Some(user) = server_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn spawn_server(directory: &PrivateDir) -> Child {
    let log =
        File::options().create(true).append(true).open(directory.join("log")).expect("the directory is ours");
    let set = |key: &str, value: &Path| format!("--{key}={}", value.display());
    as_server_user("postgres")
        .arg("-D")
        .arg(directory.join("data"))
        .arg(set("unix_socket_directories", &directory.join("pg")))
        .args(["--listen_addresses=", "--fsync=off", "--max_connections=200", "--shared_buffers=64MB"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres is installed (make test-setup)")
}

/// A lock that keeps everybody else from changing a table, as long as it is held; reading goes on.
pub struct TableLock {
    session: Child,
    database: Database,
    table: String,
}

impl Database {
    /// Locks `table` against changes.
    #[track_caller]
    pub fn hold_lock(&self, table: &str) -> TableLock {
        let sql = format!("begin; lock table {table} in share row exclusive mode; select pg_sleep(3600)");
        let session = self
            .postgres
            .psql_command(&self.name, &sql)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql is installed with the server");
        let lock = TableLock { session, database: self.clone(), table: table.to_owned() };
        wait_until("the table is locked", Within::AMoment, || lock.count("granted"), |locks| *locks == 1);
        lock
    }
}

impl TableLock {
    /// Waits until somebody wants to change the table.
    #[track_caller]
    pub fn wait_for_a_waiter(&self) {
        wait_until(
            "somebody waits for the table",
            Within::AWhile,
            || self.count("not granted"),
            |locks| *locks > 0,
        );
    }

    fn count(&self, which: &str) -> i64 {
        let modes = "('ShareRowExclusiveLock', 'RowExclusiveLock')";
        let table = &self.table;
        self.database.count(&format!(
            "select count(*) from pg_locks where relation = '{table}'::regclass and mode in {modes} and {which}"
        ))
    }
}

impl Drop for TableLock {
    fn drop(&mut self) {
        // The server notices a vanished client only when it next talks to it: end the session by name.
        let ours = "pid in (select pid from pg_locks where mode = 'ShareRowExclusiveLock' and granted)";
        self.database.sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and {ours}"));
        let _ = self.session.wait();
    }
}
