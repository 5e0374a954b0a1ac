//! Where the cluster lives: paths that are too long, that the server's user cannot enter, that hold something else.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use qcbatch::store::cluster::{ClusterError, PrivateCluster, Started};

use crate::fixture::{Server, number, open_directory, programs};

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_it_elsewhere() {
    let directory = open_directory();
    let long = directory.path().join("x".repeat(100));
    let server = Server { cluster: PrivateCluster::new(long, None), directory };
    assert_eq!(server.cluster.start().await.unwrap(), Started::ByUs);
    let note = server.cluster.home().unwrap().join("socket-directory");
    let socket = std::fs::read_to_string(note).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    let target = server.target();
    assert!(target.to_string().contains(&socket), "{target}");
    qcbatch::store::Store::connect(&target, 1).await.unwrap();
    server.cluster.stop().await.unwrap();
    std::fs::remove_dir(socket).unwrap();
}

#[tokio::test]
async fn characters_of_shells_and_configuration_files_are_only_characters() {
    let directory = open_directory();
    let odd = directory.path().join("it's, $(touch odd) \"`x`\\");
    let server = Server { cluster: PrivateCluster::new(odd, None), directory };
    assert_eq!(server.cluster.start().await.unwrap(), Started::ByUs);
    qcbatch::store::Store::connect(&server.target(), 1).await.unwrap();
    assert!(!server.cluster.home().unwrap().join("odd").exists());
    server.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn root_puts_it_where_the_servers_user_can_enter() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root starts the server as another user");
        return;
    }
    let directory = open_directory();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let asked = directory.path().join("pg");
    let server = Server { cluster: PrivateCluster::new(&asked, None), directory };
    server.cluster.start().await.unwrap();
    let home = server.cluster.home().unwrap();
    assert!(home.starts_with("/var/lib/qcbatch"), "{}", home.display());
    let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
    assert_eq!((owner(&asked), owner(&home)), (0, owner(&home.join("data"))));
    assert_ne!(owner(&home), 0);
    assert_eq!(number(&mut server.connect("qcbatch").await, "SELECT 1::bigint AS value").await, 1);
    // Another process, which only knows the directory that was asked for, finds it too.
    assert_eq!(PrivateCluster::new(&asked, None).start().await.unwrap(), Started::AlreadyRunning);
    server.cluster.stop().await.unwrap();
    std::fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
async fn another_versions_files_are_refused_with_both_versions() {
    let server = Server::none_yet();
    let data = server.directory.path().join("pg/data");
    std::fs::create_dir_all(&data).unwrap();
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        chown(&data, Some(nobody.uid.as_raw()), None).unwrap();
        chown(data.parent().unwrap(), Some(nobody.uid.as_raw()), None).unwrap();
    }
    std::fs::write(data.join("PG_VERSION"), "12\n").unwrap();
    let error = server.cluster.start().await.unwrap_err();
    let installed = programs().await.major;
    let expected = format!("made by PostgreSQL 12, but only {installed} is installed");
    assert!(error.to_string().contains(&expected), "{error}");
    std::fs::remove_dir_all(data).unwrap();
}

#[tokio::test]
async fn a_directory_with_something_else_is_left_alone() {
    let server = Server::none_yet();
    let data = server.directory.path().join("pg/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("thesis.tex"), "important").unwrap();
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        chown(&data, Some(nobody.uid.as_raw()), None).unwrap();
    }
    assert!(matches!(server.cluster.start().await, Err(ClusterError::NotACluster { .. })));
    assert_eq!(std::fs::read_to_string(data.join("thesis.tex")).unwrap(), "important");
    std::fs::remove_dir_all(data).unwrap();
}
