//! Getting to the daemon: it is down, its socket is stale or another user's, it does not answer, it stops.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::unistd::{Uid, User};
use qcbatch::api::client::{Client, ClientError};
use qcbatch::model::view::StatusSummary;

use crate::fixture::{QCBATCH, Server, errors};
use crate::harness::private_dir::PrivateDir;

fn status(socket: &Path) -> Output {
    Command::new(QCBATCH).arg("--socket").arg(socket).arg("status").stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_daemon_that_is_down_is_one_line_and_a_hint() {
    let directory = PrivateDir::new();
    let socket = directory.join("qcbatch.sock");
    let output = status(&socket);
    assert_eq!(output.status.code(), Some(4));
    let expected = format!(
        "error: the daemon is not running (no socket at {})\nhint: start it with: qcbatch daemon\n",
        socket.display()
    );
    assert_eq!(errors(&output), expected);

    drop(UnixListener::bind(&socket).unwrap());
    let output = status(&socket);
    assert_eq!(output.status.code(), Some(4));
    assert!(
        errors(&output).starts_with("error: the daemon is not running (nobody listens at "),
        "{output:?}"
    );
}

#[test]
fn another_user_is_refused_by_the_socket_and_by_the_server() {
    let Some(nobody) = Uid::effective().is_root().then(|| User::from_name("nobody").unwrap().unwrap()) else {
        eprintln!("left out: only root can ask as another user");
        return;
    };
    let server = Server::start();
    let program = server.directory.join("qcbatch");
    std::fs::copy(QCBATCH, &program).unwrap();
    let state = server.directory.join("state");
    let as_nobody = || {
        Command::new(&program)
            .arg("--socket")
            .arg(server.socket())
            .arg("status")
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .env("HOME", "/")
            .current_dir("/")
            .output()
            .unwrap()
    };
    let set_mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();

    let output = as_nobody();
    assert_eq!(output.status.code(), Some(4), "the directory is closed: {output:?}");
    set_mode(&state, 0o711);
    let output = as_nobody();
    assert_eq!(output.status.code(), Some(4), "the socket is closed: {output:?}");
    assert!(errors(&output).contains("does not let you in"), "{output:?}");

    // Even where somebody has opened both, the server asks the kernel who it is.
    set_mode(&server.socket(), 0o666);
    let output = as_nobody();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        errors(&output).starts_with("error: this daemon answers user 0 and root only\nhint: "),
        "{output:?}"
    );
}

#[test]
fn no_answer_and_a_strange_answer_are_told_apart() {
    let directory = PrivateDir::new();
    let socket = directory.join("qcbatch.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new(&socket).with_answer_timeout(Duration::from_millis(200));
    let ask = || runtime.block_on(client.get::<StatusSummary>("/v1/status")).unwrap_err();

    assert!(matches!(ask(), ClientError::TimedOut { .. }));
    drop(listener.accept().unwrap());

    let answering = std::thread::spawn(move || {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let client = Client::new(&socket);
    let ask = || runtime.block_on(client.get::<StatusSummary>("/v1/status")).unwrap_err();
    assert!(matches!(ask(), ClientError::Unreadable { status: 200, .. }));
    assert!(matches!(ask(), ClientError::Broken { .. }), "an answer that is cut is no answer");
    answering.join().unwrap();
}

#[test]
fn paths_and_methods_that_are_not_there_get_the_envelope() {
    let server = Server::start();
    let client = Client::new(server.socket());
    let told = |error: ClientError| match error {
        ClientError::Answered { body } => format!("{} {}", body.code.as_str(), body.message),
        other => panic!("{other}"),
    };
    let missing = server.block_on(client.get::<StatusSummary>("/v1/moon")).unwrap_err();
    assert_eq!(told(missing), "not_found there is no such path in the local API");
    let wrong = server.block_on(client.get::<StatusSummary>("/v1/submit")).unwrap_err();
    assert_eq!(told(wrong), "method_not_allowed the path exists, but not with this method");
    let query = serde_json::json!({"filter": {"colour": ["red"]}, "limit": 1});
    let strange = server.block_on(client.post::<_, StatusSummary>("/v1/records/query", &query)).unwrap_err();
    let strange = told(strange);
    assert!(strange.starts_with("bad_request ") && strange.contains("unknown field `colour`"), "{strange}");
}

#[test]
fn the_socket_goes_with_the_server() {
    let mut server = Server::start();
    assert!(status(&server.socket()).status.success());
    server.stop();
    assert!(!server.socket().exists());
    assert_eq!(status(&server.socket()).status.code(), Some(4));
}
