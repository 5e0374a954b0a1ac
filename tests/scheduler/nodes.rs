//! Jobs of several nodes: the words of each adapter, and the script in a real bash with a launcher that stays on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcbatch::jobscript::{Launch, TemplateSet, render};
use qcbatch::model::resources::{JobResources, NodeSharing};
use qcbatch::model::task::{EndReason, EndRecord};

use crate::scripts::{script_input, shown};
use crate::support::{make_executable, request, scheduler};

fn rendered(adapter: &str) -> String {
    let scheduler = scheduler(adapter);
    let mut request = request("/spool/main/qcb-x", 1);
    (request.resources.nodes, request.resources.tasks, request.resources.gpus) = (3, 6, 2);
    let mut input = script_input(&scheduler, &request);
    let facts = scheduler.script_facts().launch.clone().unwrap();
    input.launch = Some(Launch { hosts: facts.hosts, command: facts.command });
    shown(&scheduler, &request, &input)
}

/// The directives, and what starts the further nodes.
fn own_lines(script: &str) -> String {
    let own = |line: &&str| line.starts_with('#') && !line.starts_with("# ") || line.contains("qcb_host");
    script.lines().filter(own).collect::<Vec<_>>().join("\n")
}

#[test]
fn slurm_on_several_nodes() {
    insta::assert_snapshot!(rendered("slurm"));
}

#[test]
fn each_adapter_on_several_nodes() {
    let scripts = ["slurm", "pbs", "torque", "lsf", "sge"].map(|name| (name, own_lines(&rendered(name))));
    let text: String = scripts.iter().map(|(name, script)| format!("== {name}\n{script}\n\n")).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn each_adapter_with_a_rank_on_every_core_of_whole_nodes() {
    let directives = |adapter| {
        let scheduler = scheduler(adapter);
        let mut request = request("/spool/main/qcb-x", 1);
        let JobResources { nodes, tasks, cores, sharing, .. } = &mut request.resources;
        (*nodes, *tasks, *cores, *sharing) = (3, 48, 1, NodeSharing::Exclusive);
        own_lines(&shown(&scheduler, &request, &script_input(&scheduler, &request)))
    };
    let scripts = ["slurm", "pbs", "torque", "lsf", "sge"].map(|name| (name, directives(name)));
    let text: String = scripts.iter().map(|(name, script)| format!("== {name}\n{script}\n\n")).collect();
    insta::assert_snapshot!(text);
}

/// A job of three nodes; the shell program `runner` stands in for each node's runner, `$2` is its directory.
struct Job {
    directory: tempfile::TempDir,
}

impl Job {
    fn new(runner: &str) -> Job {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for node in ["0/node-1", "0/node-2"] {
            std::fs::create_dir_all(path.join(node)).unwrap();
        }
        let program = path.join("qcbatch");
        std::fs::write(&program, format!("#!/bin/bash\n{runner}\n")).unwrap();
        make_executable(&program);
        let mut input = script_input(&scheduler("pbs"), &request(path.to_str().unwrap(), 1));
        input.program = program;
        // A launcher that brings nothing of the environment along, as pbsdsh does.
        let (hosts, command) = ("echo here there yonder", "env -i PATH=/usr/bin:/bin QCB_HOST=\"$qcb_host\"");
        input.launch = Some(Launch { hosts: hosts.into(), command: command.into() });
        let script = render(&input, &TemplateSet::load(&[]).unwrap()).unwrap();
        std::fs::write(path.join("job.sh"), script).unwrap();
        Job { directory }
    }

    fn nodes(&self) -> [PathBuf; 3] {
        ["0", "0/node-1", "0/node-2"].map(|node| self.directory.path().join(node))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("/bin/bash");
        command.arg(self.directory.path().join("job.sh"));
        command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("PBS_JOBID", "7.srv")]);
        command
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn end(node: &Path) -> EndRecord {
    serde_json::from_str(&text(&node.join("end.json"))).unwrap()
}

const END: &str = r#"echo '{"job_id":101,"reason":"done","exit_code":0,"results":2,"results_bytes":9,"detail":null}' > "$2/end.json""#;

#[test]
fn each_node_gets_a_runner_in_its_own_directory() {
    let job =
        Job::new(&format!(r#"echo "$QCBATCH_SCHEDULER_JOB_ID ${{QCB_HOST:-first}}" > "$2/seen"; {END}"#));
    assert_eq!(job.command().status().unwrap().code(), Some(0));
    let seen = job.nodes().map(|node| text(&node.join("seen")));
    assert_eq!(seen, ["7.srv first\n", "7.srv there\n", "7.srv yonder\n"]);
    assert!(job.nodes().iter().all(|node| end(node).reason == EndReason::Done));
}

#[test]
fn a_node_whose_runner_died_gets_an_end_record_and_the_job_waits_for_the_others() {
    let runner = format!(r#"case $2 in *node-1) kill -9 $$ ;; *node-2) sleep 1; {END} ;; *) {END} ;; esac"#);
    let job = Job::new(&runner);
    assert_eq!(job.command().status().unwrap().code(), Some(137));
    let reasons = job.nodes().map(|node| end(&node).reason);
    assert_eq!(reasons, [EndReason::Done, EndReason::Failed, EndReason::Done]);
}

#[test]
fn a_node_that_no_host_was_given_for_gets_an_end_record() {
    let job = Job::new(END);
    let script = job.directory.path().join("job.sh");
    std::fs::write(&script, text(&script).replace("echo here there yonder", "echo here there")).unwrap();
    job.command().status().unwrap();
    let reasons = job.nodes().map(|node| end(&node).reason);
    assert_eq!(reasons, [EndReason::Done, EndReason::Done, EndReason::Failed]);
}

#[test]
fn signals_are_told_to_the_runners_of_further_nodes() {
    let told = r#"[ -e "$2/signals" ] || [ -e "$2/../signals" ]"#;
    let wait = format!(r#"touch "$2/up"; until {told}; do sleep 0.1; done"#);
    let job = Job::new(&format!("{wait}; {END}"));
    let mut script = job.command().spawn().unwrap();
    while !job.nodes().iter().all(|node| node.join("up").exists()) {
        sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(script.id()).unwrap()), Signal::SIGUSR2).unwrap();
    assert_eq!(script.wait().unwrap().code(), Some(0));
    assert_eq!(text(&job.nodes()[0].join("signals")), "USR2\n");
    assert!(job.nodes().iter().all(|node| end(node).reason == EndReason::Done));
}
