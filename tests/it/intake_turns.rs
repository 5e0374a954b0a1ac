//! Submissions are taken in one at a time, and however long one takes, the daemon keeps its lease and its loops go on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// A client that begins a submission and never ends it.
struct SlowClient(UnixStream);

impl SlowClient {
    /// Sends the options and as many documents as the daemon stores together, and then nothing more.
    fn begin(socket: &Path) -> SlowClient {
        let mut stream = UnixStream::connect(socket).unwrap();
        let head = "POST /v1/submit HTTP/1.1\r\nhost: qcbatch\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut body = String::from("{\"compute_tag\": \"nobody\"}\n");
        for number in 0..1000 {
            let document =
                inputs::energy("mopac", "pm7", None, inputs::hydrogen(2.0 + f64::from(number) / 1e4));
            body += &json!({"source": "slow", "line": 1, "document": document}).to_string();
            body.push('\n');
        }
        write!(stream, "{:x}\r\n{body}\r\n", body.len()).unwrap();
        SlowClient(stream)
    }

    /// What the daemon answers when it has had enough.
    fn answer(mut self) -> String {
        self.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        while !text.contains("\"message\"") {
            match self.0.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => text.push_str(&String::from_utf8_lossy(&piece[..count])),
                Err(error) => panic!("no answer: {error}; so far: {text}"),
            }
        }
        text
    }
}

/// The moments at which the lease had lapsed, until every child has ended.
fn watch(database: &Database, children: &mut [Child]) -> Vec<String> {
    let mut lapses = Vec::new();
    let begun = Instant::now();
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        assert!(begun.elapsed() < Within::Minutes.duration(), "some submissions never end");
        if database.count("select count(*) from lease where expires_on <= clock_timestamp()") > 0 {
            lapses.push(format!("lapsed after {:?}", begun.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    lapses
}

/// A list of inputs of so many different molecules.
fn documents(from: f64, count: u32) -> Value {
    let input =
        |number| inputs::energy("mopac", "pm7", None, inputs::hydrogen(from + f64::from(number) / 1e5));
    (0..count).map(input).collect()
}

#[test]
fn a_slow_submission_and_many_others_leave_the_lease_and_the_loops_alone() {
    let database = Database::fresh();
    let config = DaemonConfig::on(&database)
        .with_local_pool("compute_tags = [\"work\"]")
        .with_env("QCBATCH_INTAKE__WAIT", "2s");
    let mut daemon = Daemon::start(&config);
    let slow = SlowClient::begin(&daemon.socket());
    wait_until(
        "the slow submission is being taken in",
        Within::AMoment,
        || database.count("select count(*) from pg_locks where locktype = 'advisory' and granted"),
        |locks| *locks > 0,
    );
    let mut children: Vec<Child> = Vec::new();
    for number in 0..12 {
        let path = daemon.write_input(&documents(0.5 + f64::from(number) / 100.0, 1));
        children.push(daemon.begin(["submit", "--tag", "nobody", path.to_str().unwrap()]));
    }
    let many = daemon.write_input(&documents(0.8, 2000));
    children.push(daemon.begin(["submit", "--tag", "nobody", many.to_str().unwrap()]));
    let work = daemon.write_input(&inputs::many_mopac(1));
    children.push(daemon.begin(["submit", "--tag", "work", work.to_str().unwrap()]));

    assert_eq!(watch(&database, &mut children), Vec::<String>::new());
    let answer = slow.answer();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"busy\""), "{answer}");
    assert!(answer.contains("came too slowly"), "{answer}");
    let outputs: Vec<Output> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let errors: Vec<String> =
        outputs.iter().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{errors:#?}");
    assert!(
        errors.iter().any(|text| text.contains("another submission is being taken in")),
        "whoever waited was told why: {errors:#?}"
    );
    assert_eq!(database.count("select count(*) from record where compute_tag = 'nobody'"), 2012);
    wait_until(
        "work that was submitted meanwhile is done",
        Within::Minutes,
        || database.count("select count(*) from record where status = 'complete'"),
        |complete| *complete == 1,
    );
    let log = daemon.log();
    assert!(!log.contains("no free connection"), "nobody ran out of connections");
}
