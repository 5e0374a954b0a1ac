//! A server on the network: TLS in every mode, passwords, and what errors may say.

use std::path::{Path, PathBuf};
use std::process::Command;

use qcbatch::model::causes::chain;
use qcbatch::store::backup::backup;
use qcbatch::store::{DatabaseTarget, Store, StoreError, TlsMode};

use crate::fixture::{Server, execute, programs};

/// A cluster whose server has been started anew on 127.0.0.1 with TLS and passwords only.
struct Network {
    server: Server,
    port: u16,
    root: PathBuf,
}

fn openssl(directory: &Path, args: &[&str]) {
    let output = Command::new("openssl").args(args).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and a certificate for `localhost` that it signed.
fn make_certificates(directory: &Path) {
    std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let root = [
        "req",
        "-x509",
        "-subj",
        "/CN=test authority",
        "-days",
        "2",
        "-keyout",
        "root.key",
        "-out",
        "root.pem",
    ];
    openssl(directory, &[&root[..], &key[..]].concat());
    let request = ["req", "-new", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    openssl(directory, &[&request[..], &key[..]].concat());
    let sign =
        ["x509", "-req", "-in", "server.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"];
    openssl(directory, &[&sign[..], &["-days", "2", "-extfile", "names", "-out", "server.pem"]].concat());
}

impl Network {
    /// None where this build of PostgreSQL has no TLS.
    async fn start() -> Option<Network> {
        let (server, _store) = Server::migrated().await;
        let password = "ALTER ROLE qcbatch PASSWORD 's3cret?/@'";
        execute(&mut server.connect("qcbatch").await, password).await;
        server.cluster.stop().await.unwrap();
        let directory = server.directory.path().to_owned();
        make_certificates(&directory);
        let data = server.data();
        for name in ["server.pem", "server.key"] {
            let path = data.join(name);
            std::fs::copy(directory.join(name), &path).unwrap();
            let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&data).unwrap());
            std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let hba = data.join("network_hba.conf");
        std::fs::write(&hba, "hostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file=server.pem \
             -c ssl_key_file=server.key -c hba_file={}",
            hba.display()
        );
        let pg_ctl = programs().await.path("pg_ctl");
        let mut command = server.as_server_user(&pg_ctl);
        command.args(["start", "-w", "-D"]).arg(&data).arg("-l").arg(data.join("network.log"));
        let status = command.args(["-o", &options]).stdout(std::process::Stdio::null()).status().unwrap();
        let log = std::fs::read_to_string(data.join("network.log")).unwrap_or_default();
        if log.contains("SSL is not supported by this build") {
            return None;
        }
        assert!(status.success(), "{log}");
        Some(Network { root: directory.join("root.pem"), server, port })
    }

    fn target(&self, host: &str, tls: TlsMode, root: Option<&Path>) -> DatabaseTarget {
        let url = format!("postgres://qcbatch:s3cret%3F%2F%40@{host}:{}/qcbatch", self.port);
        DatabaseTarget::parse(&url, Some(tls), root.map(Path::to_owned)).unwrap()
    }
}

/// The error for good that connecting gives, with all its causes.
async fn refused(target: &DatabaseTarget) -> String {
    let error: StoreError = Store::connect(target, 1).await.unwrap_err();
    let text = chain(&error);
    assert!(!text.contains("s3cret"), "{text}");
    assert!(!error.is_away(), "{text}");
    text
}

#[tokio::test]
async fn tls_modes_mean_what_libpq_means() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: no openssl to make certificates with");
        return;
    }
    let Some(network) = Network::start().await else {
        eprintln!("skipped: this build of PostgreSQL has no TLS");
        return;
    };
    let root = network.root.as_path();
    let target = |host, mode, root| network.target(host, mode, root);

    Store::connect(&target("localhost", TlsMode::VerifyFull, Some(root)), 1).await.unwrap();
    let unknown = refused(&target("localhost", TlsMode::VerifyFull, None)).await;
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    let other_name = refused(&target("127.0.0.1", TlsMode::VerifyFull, Some(root))).await;
    assert!(other_name.contains("not valid for name"), "{other_name}");
    for mode in [TlsMode::Prefer, TlsMode::Require] {
        Store::connect(&target("127.0.0.1", mode, None), 1).await.unwrap();
    }
    let plain = refused(&target("127.0.0.1", TlsMode::Disable, None)).await;
    assert!(plain.contains("no encryption"), "{plain}");

    let wrong = format!("postgres://qcbatch:s3cret-no@127.0.0.1:{}/qcbatch", network.port);
    let wrong = refused(&DatabaseTarget::parse(&wrong, Some(TlsMode::Require), None).unwrap()).await;
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    let empty = refused(&target("localhost", TlsMode::VerifyFull, Some(Path::new("/dev/null")))).await;
    assert!(empty.contains("no certificate"), "{empty}");

    // The same target leads pg_dump there, password and certificate included.
    let file = network.server.directory.path().join("backup");
    let verified = target("localhost", TlsMode::VerifyFull, Some(root));
    backup(&verified, &programs().await, &file).await.unwrap();
    assert!(std::fs::read(&file).unwrap().starts_with(b"PGDMP"));
    let error = backup(&target("127.0.0.1", TlsMode::VerifyFull, Some(root)), &programs().await, &file).await;
    let error = chain(&error.unwrap_err());
    assert!(error.contains("certificate") && !error.contains("s3cret"), "{error}");
}
