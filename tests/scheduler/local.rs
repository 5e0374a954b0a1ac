//! The local executor through the same engine: real processes, detached, cancelled, timed out, lost.
//! This test program itself plays `qcbatch local` (see `local_program`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcbatch::model::ids::{SchedulerJobId, Tag};
use qcbatch::model::job::JobOutcome;
use qcbatch::scheduler::local::{self, LocalCommand};
use qcbatch::scheduler::{
    Adapter, ExitStatus, FindAnswer, JobSighting, PollAnswer, PostMortemAnswer, Refusal, Scheduler,
    SchedulerState, Settings, SubmitAnswer, SubmitRequest,
};

use crate::support::{make_executable, request};

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Arguments {
    #[command(subcommand)]
    command: LocalCommand,
}

/// Not a test: `qcbatch local …` for the tests below, with arguments and the file for the answer in the environment.
#[test]
#[ignore = "called by the wrapper that the other tests write"]
fn local_program() {
    let Ok(arguments) = std::env::var("QCBATCH_TEST_ARGUMENTS") else { return };
    let words = arguments.split_terminator('\u{1f}');
    let command = Arguments::try_parse_from(words).unwrap_or_else(|error| error.exit()).command;
    let program = vec![std::env::var("QCBATCH_TEST_PROGRAM").unwrap(), "local".to_owned()];
    let mut answer: Box<dyn std::io::Write> = match std::env::var("QCBATCH_TEST_ANSWER") {
        Ok(path) => Box::new(std::fs::File::create(path).unwrap()),
        Err(_) => Box::new(std::io::sink()),
    };
    if let Err(error) = local::run(command, &program, &mut answer) {
        eprintln!("qcbatch: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// A machine of our own with `cores` cores.
struct Machine {
    directory: tempfile::TempDir,
    scheduler: Scheduler,
}

impl Machine {
    fn new(cores: u32) -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("qcbatch");
        let test_program = std::env::current_exe().unwrap();
        let call = format!("'{}' local::local_program --exact --ignored --nocapture", test_program.display());
        // Like the real program, commands that answer leave no pipe to what they start.
        let wrapper = format!(
            "#!/bin/sh\nshift\nexport QCBATCH_TEST_PROGRAM='{}'\nQCBATCH_TEST_ARGUMENTS=$(printf '%s\\037' \"$@\")\nexport QCBATCH_TEST_ARGUMENTS\nunset QCBATCH_TEST_ANSWER\ncase $1 in supervise|launch) exec {call};; esac\nanswer=$(mktemp)\nQCBATCH_TEST_ANSWER=$answer {call} >/dev/null\ncode=$?\ncat \"$answer\"\nrm \"$answer\"\nexit $code\n",
            program.display(),
        );
        std::fs::write(&program, wrapper).unwrap();
        make_executable(&program);
        let state = directory.path().join("state");
        let settings = Settings::of_this_process(program, state, cores);
        Machine { scheduler: Scheduler::new(Adapter::load("local", &[]).unwrap(), settings), directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn request(&self, number: u128, array_size: u32, body: &str) -> SubmitRequest {
        let mut request = request(self.directory.path().to_str().unwrap(), array_size);
        request.tag = Tag::new(1_795_309_051_000, number);
        request.resources.cores = 1;
        request.resources.walltime = Duration::from_secs(600);
        request.script = self.path(&format!("job{number}.sh"));
        std::fs::write(&request.script, format!("#!/bin/bash\n{body}\n")).unwrap();
        make_executable(&request.script);
        request
    }

    async fn submit(&self, request: &SubmitRequest) -> SchedulerJobId {
        match self.scheduler.submit(request).await {
            SubmitAnswer::Accepted { scheduler_job_id } => scheduler_job_id,
            other => panic!("{other:?}"),
        }
    }

    async fn jobs(&self) -> HashMap<SchedulerJobId, JobSighting> {
        match self.scheduler.poll().await {
            PollAnswer::Valid { jobs, .. } => jobs,
            PollAnswer::Invalid { message } => panic!("{message}"),
        }
    }

    async fn until(&self, id: &SchedulerJobId, wanted: impl Fn(&SchedulerState) -> bool) -> JobSighting {
        loop {
            let mut jobs = self.jobs().await;
            if let Some(job) = jobs.remove(id).filter(|job| wanted(&job.state)) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn outcome(&self, id: &SchedulerJobId) -> JobOutcome {
        match self.until(id, |state| matches!(state, SchedulerState::Ended { .. })).await.state {
            SchedulerState::Ended { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// What the supervisor of `request` wrote of itself.
    fn supervisor(&self, request: &SubmitRequest) -> Pid {
        let path = self.path("state/jobs").join(request.tag.as_str()).join("supervisor.json");
        let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        Pid::from_raw(i32::try_from(value["pid"].as_i64().unwrap()).unwrap())
    }
}

/// No job of a failed test lives on: its supervisor ends it.
impl Drop for Machine {
    fn drop(&mut self) {
        let Ok(jobs) = std::fs::read_dir(self.path("state/jobs")) else { return };
        for job in jobs.flatten().filter(|job| !job.path().join("ended").exists()) {
            let text = std::fs::read(job.path().join("supervisor.json")).unwrap_or_default();
            let pid = serde_json::from_slice::<serde_json::Value>(&text)
                .ok()
                .and_then(|value| value["pid"].as_i64());
            if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
    }
}

fn is_there(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn await_file(path: &Path) {
    while std::fs::read_to_string(path).unwrap_or_default().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_array_runs_within_the_cores_there_are() {
    let machine = Machine::new(2);
    let learned = machine.scheduler.probe().await.unwrap();
    assert!(learned.version.is_some() && learned.array_size_max == Some(10_000));
    let body = r#"here=$(dirname "$0")
touch "$here/on.$QCBATCH_LOCAL_ARRAY_INDEX"; ls "$here" | grep -c '^on\.' >> "$here/counts"
sleep 0.2; rm "$here/on.$QCBATCH_LOCAL_ARRAY_INDEX"
echo "$QCBATCH_LOCAL_JOB_ID ${TZ-none} $PWD"; exit $QCBATCH_LOCAL_ARRAY_INDEX"#;
    let request = machine.request(1, 5, body);
    let since = jiff::Timestamp::now();
    assert_eq!(machine.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::NotKnown);
    let id = machine.submit(&request).await;
    assert_eq!(machine.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::Known(vec![id.clone()]));
    for index in 0..5 {
        let element = machine.scheduler.element_id(&id, index, 5);
        let expected = if index == 0 { JobOutcome::Completed } else { JobOutcome::Failed };
        assert_eq!(machine.outcome(&element).await, expected);
        let job = machine.until(&element, |_| true).await;
        assert_eq!(job.exit, ExitStatus { code: i32::try_from(index).ok(), signal: None });
        let log = std::fs::read_to_string(machine.path(&format!("scheduler-{index}.log"))).unwrap();
        let own = machine.directory.path().display();
        assert!(log.contains(&format!("{}_{index} none {own}\n", id.0)), "{log}");
    }
    let counts = std::fs::read_to_string(machine.path("counts")).unwrap();
    assert!(counts.lines().all(|count| ["1", "2"].contains(&count)), "{counts}");
    let element = machine.scheduler.element_id(&id, 3, 5);
    let PostMortemAnswer::Known(books) = machine.scheduler.post_mortem(std::slice::from_ref(&element)).await
    else {
        panic!()
    };
    assert_eq!((books.len(), books[&element].exit.code), (1, Some(3)));
}

#[tokio::test]
async fn a_tag_is_taken_once_and_impossible_jobs_are_refused() {
    let machine = Machine::new(1);
    let request = machine.request(2, 1, "true");
    let id = machine.submit(&request).await;
    let again = machine.scheduler.submit(&request).await;
    assert!(matches!(again, SubmitAnswer::Unclear { .. }), "{again:?}");
    let found = machine.scheduler.find_by_tag(&request.tag, jiff::Timestamp::now()).await;
    assert_eq!(found, FindAnswer::Known(vec![id.clone()]));
    assert_eq!(machine.outcome(&id).await, JobOutcome::Completed);
    let mut big = machine.request(3, 1, "true");
    big.resources.cores = 2;
    let mut missing = machine.request(4, 1, "true");
    missing.script = machine.path("nothing.sh");
    for request in [big, missing] {
        let answer = machine.scheduler.submit(&request).await;
        assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Permanent, .. }), "{answer:?}");
    }
    assert_eq!(machine.jobs().await.len(), 1);
}

#[tokio::test]
async fn hold_release_and_cancel_reach_running_and_waiting_elements() {
    let machine = Machine::new(1);
    let body = r#"trap 'echo bye > "$(dirname "$0")/bye"; exit 0' TERM; echo up > "$(dirname "$0")/up"; sleep 600 & wait"#;
    let id = machine.submit(&machine.request(5, 3, body)).await;
    let element = |index| machine.scheduler.element_id(&id, index, 3);
    await_file(&machine.path("up")).await;
    assert_eq!(machine.until(&element(0), |_| true).await.state, SchedulerState::Running);
    machine.scheduler.hold(&[element(2)]).await.unwrap();
    machine.until(&element(2), |state| *state == SchedulerState::Blocked).await;
    machine.scheduler.release(&[element(2)]).await.unwrap();
    machine.until(&element(2), |state| *state == SchedulerState::Queued).await;
    machine.scheduler.cancel(&[element(1)]).await.unwrap();
    assert_eq!(machine.outcome(&element(1)).await, JobOutcome::Cancelled);
    assert_eq!(machine.until(&element(0), |_| true).await.state, SchedulerState::Running);
    machine.scheduler.cancel(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(machine.outcome(&element(0)).await, JobOutcome::Cancelled);
    assert_eq!(machine.outcome(&element(2)).await, JobOutcome::Cancelled);
    assert!(machine.path("bye").exists());
    machine.scheduler.cancel(&[id, SchedulerJobId("4711".into())]).await.unwrap();
}

#[tokio::test]
async fn a_job_is_warned_and_ended_at_its_walltime_with_all_it_started() {
    let machine = Machine::new(1);
    let body = r#"here=$(dirname "$0")
trap 'echo warned > "$here/warned"' USR2
setsid sleep 600 & echo $! > "$here/stray"
while :; do sleep 0.1; done"#;
    let mut request = machine.request(6, 1, body);
    request.resources.walltime = Duration::from_secs(2);
    request.warning = Duration::from_secs(1);
    let id = machine.submit(&request).await;
    assert_eq!(machine.outcome(&id).await, JobOutcome::Walltime);
    assert!(machine.path("warned").exists());
    assert!(!is_there(&machine.path("stray")));
    assert_eq!(machine.until(&id, |_| true).await.exit, ExitStatus { code: Some(0), signal: Some(15) });
}

#[tokio::test]
async fn what_a_dead_supervisor_leaves_is_killed_and_lost() {
    let machine = Machine::new(1);
    let request = machine.request(7, 2, r#"echo $$ > "$(dirname "$0")/pid"; sleep 600"#);
    let id = machine.submit(&request).await;
    await_file(&machine.path("pid")).await;
    // The job is seen running only once its start is in the journal.
    let first = machine.scheduler.element_id(&id, 0, 2);
    machine.until(&first, |state| *state == SchedulerState::Running).await;
    kill(machine.supervisor(&request), Signal::SIGKILL).unwrap();
    assert_eq!(machine.outcome(&first).await, JobOutcome::NodeFailure);
    assert_eq!(machine.outcome(&machine.scheduler.element_id(&id, 1, 2)).await, JobOutcome::NodeFailure);
    assert!(!is_there(&machine.path("pid")));
    // Its core is free again.
    let next = machine.submit(&machine.request(8, 1, "true")).await;
    assert_eq!(machine.outcome(&next).await, JobOutcome::Completed);
}
