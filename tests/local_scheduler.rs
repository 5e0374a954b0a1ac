//! The scheduler of this machine as `adapters/local.toml` uses it: real processes, started by the built program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcbatch::model::ids::Tag;

/// A local scheduler with a state of its own; its jobs are ended with it.
struct Local {
    directory: tempfile::TempDir,
}

impl Local {
    fn new() -> Local {
        Local { directory: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qcbatch"));
        command.arg("local").args(arguments).arg("--state").arg(self.directory.path().join("state"));
        command
    }

    /// One whose state lies on a file system of so many KiB; none, said aloud, where this user may not mount.
    fn on_small_disk(kib: u32) -> Option<(Local, SmallDisk)> {
        let local = Local::new();
        let state = local.directory.path().join("state");
        fs::create_dir(&state).unwrap();
        let size = format!("size={kib}k,mode=700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&state).output().unwrap();
        if !mount.status.success() {
            eprintln!("NOT TRIED: mount of a small disk: {}", String::from_utf8_lossy(&mount.stderr));
            return None;
        }
        Some((local, SmallDisk(state)))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn try_submit(&self, tag: &Tag, body: &str, more: &[&str]) -> Output {
        let script = self.directory.path().join(format!("{tag}.sh"));
        // One that was submitted before may be running: it cannot be written.
        if !script.exists() {
            fs::write(&script, format!("#!/bin/bash\n{body}\n")).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let path = |path: PathBuf| path.display().to_string();
        let directory = path(self.directory.path().to_owned());
        let log = path(self.directory.path().join("log-%a"));
        let script = path(script);
        let fixed =
            ["submit", "--cores-total", "2", "--tag", tag.as_str(), "--directory", &directory, "--log", &log];
        let cores: &[&str] = if more.contains(&"--cores") { &[] } else { &["--cores", "1"] };
        let warning: &[&str] = if more.contains(&"--warning") { &[] } else { &["--warning", "0"] };
        let walltime: &[&str] = if more.contains(&"--walltime") { &[] } else { &["--walltime", "600"] };
        self.run(&[&fixed, cores, warning, walltime, more, &[script.as_str()]].concat())
    }

    fn submit(&self, body: &str, more: &[&str]) -> String {
        let output = self.try_submit(&tag(), body, more);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The second and third field of each job's line: state and exit.
    fn states(&self, id: &str) -> Vec<(String, String)> {
        let listing = self.ask(&["list", "--ids", id]);
        let fields = |line: &str| {
            let mut fields = line.split('|').skip(1).map(str::to_owned);
            (fields.next().unwrap(), fields.next().unwrap())
        };
        listing.lines().map(fields).collect()
    }

    fn wait_for(&self, id: &str, wanted: impl Fn(&[(String, String)]) -> bool) -> Vec<(String, String)> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let states = self.states(id);
            if wanted(&states) {
                return states;
            }
            assert!(Instant::now() < deadline, "{states:?}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn wait_ended(&self, id: &str) -> Vec<(String, String)> {
        let ended = |state: &str| !["QUEUED", "HELD", "RUNNING"].contains(&state);
        self.wait_for(id, |states| states.iter().all(|(state, _)| ended(state)))
    }

    fn wait_running(&self, id: &str) {
        self.wait_for(id, |states| states.iter().any(|(state, _)| state == "RUNNING"));
    }

    fn status(&self, id: &str) -> serde_json::Value {
        let path = self.directory.path().join("state/jobs").join(id).join("status.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

/// A mounted file system that can be filled up.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Takes every byte that is left.
    fn fill(&self, name: &str) {
        use std::io::Write;
        let mut file = fs::File::create(self.0.join(name)).unwrap();
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        while file.write_all(b"x").is_ok() {}
    }

    fn empty(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for line in self.ask(&["list"]).lines() {
            let id = line.split('|').next().unwrap();
            self.run(&["cancel", id]);
            let id = id.split('_').next().unwrap();
            let supervisor = self.status(id)["supervisor"]["pid"].as_i64().unwrap();
            let deadline = Instant::now() + Duration::from_secs(40);
            while self.states(id).iter().any(|(state, _)| state == "RUNNING") && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = kill(Pid::from_raw(supervisor as i32), Signal::SIGKILL);
        }
    }
}

fn tag() -> Tag {
    Tag::new(1, rand::random())
}

fn pair(state: &str, exit: &str) -> (String, String) {
    (state.to_owned(), exit.to_owned())
}

#[test]
fn a_job_runs_and_its_exit_code_is_kept() {
    let local = Local::new();
    let good = local.submit("echo $QCBATCH_LOCAL_JOB_ID", &[]);
    let bad = local.submit("exit 7", &[]);
    let killed = local.submit("kill -9 $$", &[]);
    assert_eq!(local.wait_ended(&good), [pair("COMPLETED", "0:0")]);
    assert_eq!(local.wait_ended(&bad), [pair("FAILED", "7:0")]);
    assert_eq!(local.wait_ended(&killed), [pair("FAILED", "0:9")]);
    assert_eq!(fs::read_to_string(local.directory.path().join("log-0")).unwrap().trim(), good);
}

#[test]
fn an_array_runs_every_element_and_never_more_than_there_are_cores() {
    let local = Local::new();
    let body = "echo start >> events; sleep 0.2; echo end >> events; exit $QCBATCH_LOCAL_ARRAY_INDEX";
    let id = local.submit(body, &["--array-size", "6"]);
    let codes: Vec<String> = local.wait_ended(&id).into_iter().map(|(_, exit)| exit).collect();
    assert_eq!(codes, ["0:0", "1:0", "2:0", "3:0", "4:0", "5:0"]);
    let events = fs::read_to_string(local.directory.path().join("events")).unwrap();
    let mut running = 0;
    for event in events.lines() {
        running += if event == "start" { 1 } else { -1 };
        assert!(running <= 2, "{events}");
    }
}

#[test]
fn a_tag_is_taken_once() {
    let local = Local::new();
    let tag = tag();
    let first = local.try_submit(&tag, "true", &[]);
    let id = String::from_utf8(first.stdout).unwrap().trim().to_owned();
    let second = local.try_submit(&tag, "true", &[]);
    assert!(!second.status.success());
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains(&format!("was submitted before as {id}")), "{message}");
    assert!(local.ask(&["find", "--tag", tag.as_str()]).starts_with(&format!("{id}|")));
    assert_eq!(local.ask(&["find", "--tag", Tag::new(2, 2).as_str()]), "");
}

#[test]
fn a_cancelled_job_gets_a_term_and_a_waiting_one_never_starts() {
    let local = Local::new();
    let body = "trap 'echo bye > farewell; exit 3' TERM; sleep 300 & wait";
    let running = local.submit(body, &["--cores", "2"]);
    let waiting = local.submit("touch never", &[]);
    local.wait_running(&running);
    assert_eq!(local.states(&waiting)[0].0, "QUEUED");
    local.ask(&["cancel", &running, &waiting]);
    assert_eq!(local.wait_ended(&running), [pair("CANCELLED", "3:0")]);
    assert_eq!(local.wait_ended(&waiting)[0].0, "CANCELLED");
    assert!(local.directory.path().join("farewell").exists());
    assert!(!local.directory.path().join("never").exists());
}

#[test]
fn a_job_is_warned_and_then_ended_at_its_walltime() {
    let local = Local::new();
    let body = "trap 'echo warned > warning' USR2; trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let id = local.submit(body, &["--walltime", "3", "--warning", "2"]);
    assert_eq!(local.wait_ended(&id), [pair("WALLTIME", "0:0")]);
    assert!(local.directory.path().join("warning").exists());
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let local = Local::new();
    let blocker = local.submit("sleep 300", &["--cores", "2"]);
    local.wait_running(&blocker);
    let held = local.submit("true", &[]);
    local.ask(&["hold", &held]);
    local.wait_for(&held, |states| states[0].0 == "HELD");
    local.ask(&["cancel", &blocker]);
    local.wait_ended(&blocker);
    assert_eq!(local.states(&held)[0].0, "HELD");
    local.ask(&["release", &held]);
    assert_eq!(local.wait_ended(&held), [pair("COMPLETED", "0:0")]);
}

#[test]
fn with_its_supervisor_a_job_dies_and_says_so() {
    let local = Local::new();
    let id = local.submit("sleep 300", &[]);
    local.wait_running(&id);
    let wait = Instant::now() + Duration::from_secs(20);
    while local.status(&id)["elements"][0]["process"].is_null() && Instant::now() < wait {
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = local.status(&id);
    let supervisor = status["supervisor"]["pid"].as_i64().unwrap() as i32;
    let script = status["elements"][0]["process"]["pid"].as_i64().unwrap() as i32;
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    assert_eq!(local.wait_ended(&id)[0].0, "NODE_FAILURE");
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(format!("/proc/{script}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "the script outlived its supervisor");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_can_never_run_is_refused() {
    let local = Local::new();
    let output = local.try_submit(&tag(), "true", &["--cores", "3"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("asks for 3 cores; this machine gives 2"), "{message}");
}

/// The daemon takes the lost answer for an unclear one: what it then asks must be answered truly.
#[cfg(feature = "failpoints")]
#[test]
fn a_submit_command_that_dies_half_way_is_found_by_its_tag_and_told() {
    use std::os::unix::process::ExitStatusExt;

    let (local, tag) = (Local::new(), tag());
    let script = local.directory.path().join("job.sh");
    fs::write(&script, "#!/bin/bash\n").unwrap();
    let directory = local.directory.path().display().to_string();
    let fixed = ["submit", "--cores-total", "2", "--cores", "1", "--walltime", "60", "--warning", "0"];
    let places = ["--tag", tag.as_str(), "--directory", &directory, "--log", "/dev/null"];
    let died = local
        .command(&[&fixed[..], &places, &[script.to_str().unwrap()]].concat())
        .env("FAILPOINTS", "local-submitted=return(kill)")
        .output()
        .unwrap();
    assert_eq!(died.status.signal(), Some(9), "{died:?}");

    let found = local.ask(&["find", "--tag", tag.as_str()]);
    let id = found.split('|').next().unwrap();
    assert_eq!(local.states(id)[0].0, "QUEUED", "its supervisor may still come up");
    let entry = local.directory.path().join("state/jobs").join(id).join("entry.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
    document["submitted_on"] = (document["submitted_on"].as_i64().unwrap() - 3600).into();
    fs::write(&entry, document.to_string()).unwrap();
    assert_eq!(local.states(id)[0].0, "NODE_FAILURE", "it never will: its tasks come back");
    // There is no supervisor that `drop` could end.
    fs::remove_dir_all(entry.parent().unwrap()).unwrap();
}

#[test]
fn a_full_state_directory_costs_no_running_job() {
    let Some((local, disk)) = Local::on_small_disk(256) else { return };
    let body = "until [ -e end-$QCBATCH_LOCAL_ARRAY_INDEX ]; do sleep 0.05; done; exit 7";
    let id = local.submit(body, &["--array-size", "2"]);
    local.wait_for(&id, |states| states.iter().all(|(state, _)| state == "RUNNING"));
    let supervisor = local.status(&id)["supervisor"]["pid"].as_i64().unwrap() as i32;
    let end = |index: u32| fs::write(local.directory.path().join(format!("end-{index}")), "").unwrap();
    let lives = || kill(Pid::from_raw(supervisor), None).is_ok();

    // The room that was kept is enough for the next word.
    disk.fill("first");
    end(0);
    local.wait_for(&id, |states| states[0] == pair("FAILED", "7:0") && states[1].0 == "RUNNING");
    // Now there is none for the last word: it is kept in memory, and the supervisor stays.
    disk.fill("second");
    end(1);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(local.states(&id)[1].0, "RUNNING", "nobody could write that it has ended");
    assert!(lives(), "the supervisor gave up");
    disk.empty("second");
    disk.empty("first");
    assert_eq!(local.wait_ended(&id), [pair("FAILED", "7:0"), pair("FAILED", "7:0")]);
    drop(local);
    drop(disk);
}

#[test]
fn two_large_jobs_do_not_run_together_and_a_small_one_overtakes_them() {
    let local = Local::new();
    let gib = |count: u64| (count << 30).to_string();
    let submit = |name: &str, memory: u64| {
        let body = format!("echo {name} > started-{name}; until [ -e end-{name} ]; do sleep 0.05; done");
        local.submit(&body, &["--memory", &gib(memory), "--memory-total", &gib(23)])
    };
    let end = |name: &str| fs::write(local.directory.path().join(format!("end-{name}")), "").unwrap();
    let started = |name: &str| local.directory.path().join(format!("started-{name}")).exists();
    let first = submit("first", 20);
    local.wait_running(&first);
    let second = submit("second", 20);
    let small = submit("small", 2);
    local.wait_running(&small);
    assert!(!started("second"), "two of 20 GiB each do not fit into 23 GiB");
    assert_eq!(local.states(&second)[0].0, "QUEUED");
    end("first");
    local.wait_running(&second);
    end("second");
    end("small");
    for id in [first, second, small] {
        assert_eq!(local.wait_ended(&id), [pair("COMPLETED", "0:0")]);
    }
}
