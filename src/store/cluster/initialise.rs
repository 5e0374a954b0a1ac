//! Makes a new cluster and writes its configuration.
//! Touches the cluster's own directory only.

use std::path::Path;
use std::time::Duration;

use super::error::ClusterError;
use super::place::Place;
use super::programs::Programs;
use super::{DATABASE, USER, run};

const INITDB_LIMIT: Duration = Duration::from_secs(300);

/// Appended to the new cluster's postgresql.conf, where the owner may change it.
const SIZES: &str = "
# Sizes for a login node, set by qcbatch when it made this cluster. Change them here.
max_connections = 40
shared_buffers = 128MB
work_mem = 8MB
maintenance_work_mem = 64MB
min_wal_size = 256MB
max_wal_size = 1GB
checkpoint_timeout = 15min
# Log space is used over and over, processor time is not.
wal_compression = off
wal_level = minimal
max_wal_senders = 0
max_worker_processes = 4
max_parallel_workers = 2
max_parallel_workers_per_gather = 1
autovacuum_max_workers = 2
jit = off
log_checkpoints = off
log_line_prefix = '%m [%p] %a '

# Written anew by qcbatch at every start; it has the last word.
include 'qcbatch.conf'
";

/// The major version of an existing cluster; none when there is no cluster yet.
pub(super) fn version_of(data: &Path) -> Result<Option<u32>, ClusterError> {
    if !data.exists() {
        return Ok(None);
    }
    let not_a_cluster = || ClusterError::NotACluster { directory: data.to_owned() };
    let text = std::fs::read_to_string(data.join("PG_VERSION")).map_err(|_| not_a_cluster())?;
    text.trim().parse().map(Some).map_err(|_| not_a_cluster())
}

/// Makes the cluster beside its place and moves it there when complete, so that a killed `initdb` leaves no half one.
pub(super) async fn initialise(place: &Place, programs: &Programs) -> Result<(), ClusterError> {
    let partial = place.home.join("data.partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(ClusterError::file("remove", &partial))?;
    }
    tracing::info!(directory = %place.home.display(), version = programs.major, "making the private database");
    let args = [
        "-D",
        "data.partial",
        "-U",
        USER,
        "--auth-local=peer",
        "--auth-host=reject",
        "--no-locale",
        "--encoding=UTF8",
        "--data-checksums",
    ];
    let initdb = programs.path("initdb");
    run::run(&initdb, &args, &place.home, &place.account, INITDB_LIMIT).await?.or_fail()?;
    let conf = partial.join("postgresql.conf");
    let mut text = std::fs::read_to_string(&conf).map_err(ClusterError::file("read", &conf))?;
    text.push_str(SIZES);
    place.write(&conf, text.as_bytes())?;
    let data = place.data();
    std::fs::rename(&partial, &data).map_err(ClusterError::file("create", &data))?;
    std::fs::File::open(&place.home)
        .and_then(|home| home.sync_all())
        .map_err(ClusterError::file("sync", &place.home))
}

/// Writes what must hold at every start: who may connect, where the server listens, that it is durable.
pub(super) fn configure(place: &Place, socket_directory: &Path) -> Result<(), ClusterError> {
    let data = place.data();
    let hba =
        "# Written by qcbatch at every start.\nlocal all all peer map=qcbatch\nhost all all all reject\n";
    place.write(&data.join("pg_hba.conf"), hba.as_bytes())?;
    let mut ident = "# Written by qcbatch at every start: who may connect as its database user.\n".to_owned();
    for name in place.account.may_connect() {
        ident.push_str(&format!("qcbatch \"{}\" {USER}\n", name.replace('"', "\"\"")));
    }
    place.write(&data.join("pg_ident.conf"), ident.as_bytes())?;
    let conf = format!(
        "# Written by qcbatch at every start; change postgresql.conf instead.\n\
         listen_addresses = ''\n\
         port = 5432\n\
         unix_socket_directories = '{}'\n\
         unix_socket_permissions = 0700\n\
         cluster_name = '{DATABASE}'\n\
         fsync = on\n\
         full_page_writes = on\n\
         synchronous_commit = on\n",
        list_element(socket_directory)?
    );
    place.write(&data.join("qcbatch.conf"), conf.as_bytes())
}

/// A path as the only element of a comma-separated list inside a single-quoted value of postgresql.conf.
fn list_element(path: &Path) -> Result<String, ClusterError> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| ClusterError::UnusablePath { path: path.to_owned() })?;
    let element = format!("\"{}\"", text.replace('"', "\"\""));
    Ok(element.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_postgresqls_quoting() {
        for (path, written) in [
            ("/a/run", r#""/a/run""#),
            ("/it's, here/run", r#""/it''s, here/run""#),
            (r#"/a"b\c"#, r#""/a""b\\c""#),
        ] {
            assert_eq!(list_element(Path::new(path)).unwrap(), written);
        }
        assert!(list_element(Path::new("/a\nb")).is_err());
    }

    #[test]
    fn something_else_is_no_cluster() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(version_of(&directory.path().join("data")).unwrap(), None);
        assert!(matches!(version_of(directory.path()), Err(ClusterError::NotACluster { .. })));
        std::fs::write(directory.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(version_of(directory.path()).unwrap(), Some(15));
    }
}
