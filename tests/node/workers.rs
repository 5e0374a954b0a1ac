//! Workers that die, hang, do not start, or run programs that talk out of turn.

use nix::sys::signal::{Signal, kill};
use qcbatch::model::failure::FailureClass;
use qcbatch::model::task::EndReason;

use crate::fixture::*;

#[test]
fn a_killed_worker_takes_only_its_task_with_it() {
    let job = Job::new(Generation::V1)
        .manifest(|manifest| manifest.cores = 1)
        .task(pm7())
        .task(endless())
        .task(pm7())
        .staged();
    let runner = job.start();
    let psi4 = runner.wait_for_psi4();
    let worker = parent(psi4).unwrap();
    kill(worker, Signal::SIGKILL).unwrap();
    assert_eq!(runner.wait(), 0);
    let reports = job.by_task();
    assert_eq!(reports.len(), 3);
    let (class, error_type, message) = error_of(&reports[&1]);
    assert_eq!((class, error_type.as_str()), (FailureClass::Memory, "worker_died"));
    assert!(message.contains("SIGKILL"), "{message}");
    result_of(&reports[&0]);
    result_of(&reports[&2]);
    assert!(!lives(psi4), "the program outlived its worker");
    assert_eq!(job.scratch_directories(), 0);
    assert_eq!(job.end().reason, EndReason::Done);
}

#[test]
fn a_task_that_does_not_end_is_killed_at_its_limit_with_all_it_started() {
    let job = Job::new(Generation::V1)
        .manifest(|manifest| manifest.cores = 1)
        .task(endless())
        .limit(15)
        .task(pm7())
        .staged();
    let runner = job.start();
    let psi4 = runner.wait_for_psi4();
    wait_for_cpu(psi4);
    // A stopped program heeds no TERM: only the KILL that follows ends it.
    kill(psi4, Signal::SIGSTOP).unwrap();
    assert_eq!(runner.wait(), 0);
    let reports = job.by_task();
    let (class, error_type, message) = error_of(&reports[&0]);
    assert_eq!((class, error_type.as_str()), (FailureClass::Walltime, "timeout"));
    assert!(message.contains("its limit is 15 s"), "{message}");
    assert!(reports[&0].provenance.wall_seconds >= 15.0);
    assert!(reports[&0].provenance.cpu_seconds > 0.0);
    result_of(&reports[&1]);
    assert!(!lives(psi4));
    assert_eq!(job.scratch_directories(), 0);
}

#[test]
fn what_a_hanging_program_had_printed_is_kept() {
    // QCEngine's own way of running programs, of which it asks others for their version before.
    let code = "import os, sys, runpy, qcengine\n\
        def hang(*_, **__):\n    \
            qcengine.util.execute(['sh', '-c', 'echo version; echo words >&2'])\n    \
            qcengine.util.execute(['sh', '-c', 'yes half | head -n 1000; sleep 600'])\n\
        qcengine.compute = hang; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')\n";
    for generation in [Generation::V1, Generation::V2] {
        let job = Job::new(generation)
            .task(pm7())
            .limit(5)
            .manifest(|manifest| {
                manifest.worker_command.splice(1..1, ["-c".into(), code.into()]);
            })
            .staged();
        assert_eq!(job.run(), 0);
        let report = &job.by_task()[&0];
        assert_eq!(error_of(report).1, "timeout");
        let printed = report.stdout.as_deref().unwrap();
        assert!(printed.starts_with("half\nhalf\n") && printed.len() > 4000, "{printed}");
        assert_eq!(job.scratch_directories(), 0);
    }
}

#[test]
fn without_a_worker_the_job_fails_and_its_tasks_go_back() {
    let job = Job::new(Generation::V1)
        .task(pm7())
        .manifest(|manifest| manifest.worker_command = vec!["/no/such/python".into(), "worker.py".into()])
        .staged();
    assert_eq!(job.run(), 70);
    let end = job.end();
    assert_eq!((end.reason, end.results, end.exit_code), (EndReason::Failed, 0, 70));
    let detail = end.detail.unwrap();
    assert!(
        detail
            .starts_with("the Python worker did not start: /no/such/python cannot be executed: No such file"),
        "{detail}"
    );
    assert!(detail.contains("[worker] python"), "{detail}");
    assert!(job.reports().is_empty());
}

#[test]
fn a_python_without_qcengine_is_told_in_one_sentence_with_what_to_install() {
    // Without its site-packages, with one of them that is broken, and one that is no Python.
    let broken = tempfile::tempdir().unwrap();
    std::fs::create_dir(broken.path().join("qcengine")).unwrap();
    std::fs::write(broken.path().join("qcengine/__init__.py"), "import nosuchpackage.deep\n").unwrap();
    let path = format!("PYTHONPATH={}", broken.path().display());
    let python = Generation::V1.python();
    let python = python.display();
    let cases: [(&[&str], String); 3] = [
        (
            &["-S"],
            format!(
                "QCEngine is not installed in {python}; install it with `{python} -m pip install qcengine`"
            ),
        ),
        (
            &["env", &path],
            format!(
                "QCEngine in {python} lacks the Python package `nosuchpackage`; install it with `{python} -m pip install nosuchpackage`"
            ),
        ),
        (
            &["sh", "-c", "echo one >&2; echo the reason >&2; exit 3"],
            "sh ended with exit code 3 before it had imported QCEngine: the reason".into(),
        ),
    ];
    for (words, sentence) in cases {
        let job = Job::new(Generation::V1)
            .task(pm7())
            .manifest(|manifest| {
                let place = usize::from(words[0] == "-S");
                manifest.worker_command.splice(place..place, words.iter().map(|word| (*word).to_owned()));
            })
            .staged();
        assert_eq!(job.run(), 70);
        let detail = job.end().detail.unwrap();
        let advice = " (`[worker] python` and a pool's `worker_python` name the interpreter)";
        assert_eq!(detail, format!("the Python worker did not start: {sentence}{advice}"));
    }
}

#[test]
fn a_word_on_progress_that_does_not_read_costs_no_result() {
    let script = r#"echo '{"ready": {"qcengine_version": "1"}}'
        while read -r order; do
            echo '{"progress":{"geometry": "nowhere"}}'
            echo '{"result": {"return_result": 1.5}, "error": null, "stdout": null, "stderr": null, "native_files": {},
                "cpu_seconds": 0.0, "program": null, "program_version": null}' | tr -d '\n'; echo
        done"#;
    let job = Job::new(Generation::V1)
        .task(pm7())
        .manifest(|manifest| manifest.worker_command = ["sh", "-c", script].map(str::to_owned).to_vec())
        .staged();
    assert_eq!(job.run(), 0);
    assert_eq!(result_of(&job.by_task()[&0])["return_result"], 1.5);
}

#[test]
fn programs_that_write_to_descriptor_1_or_read_descriptor_0_disturb_nobody() {
    // The program's standard output and input are those of the worker where QCEngine does not redirect them.
    let noisy =
        "import os, sys; os.write(1, b'{\"result\": 1}\\n'); assert os.read(0, 1) == b''; print('noise')\n";
    let worker = "import os,sys; sys.argv.pop(0); import runpy; import qcengine; compute = qcengine.compute\n\
        def loud(*a, **k):\n    exec(NOISE)\n    os.system('echo from a program; cat >/dev/null')\n    return compute(*a, **k)\n\
        qcengine.compute = loud; runpy.run_path(sys.argv[0], run_name='__main__')\n";
    let code = format!("NOISE = {noisy:?}\n{worker}");
    let job = Job::new(Generation::V2)
        .tasks(2, &pm7())
        .manifest(|manifest| {
            manifest.worker_command.insert(1, "-c".into());
            manifest.worker_command.insert(2, code);
        })
        .staged();
    assert_eq!(job.run(), 0);
    for (_, report) in job.by_task() {
        result_of(&report);
        assert!(report.stderr.unwrap().contains("from a program"));
    }
    let written = std::fs::read_to_string(job.directory.worker_stderr()).unwrap();
    assert!(written.contains("noise"));
}

#[test]
fn an_idle_worker_that_dies_costs_no_task() {
    // The last task needs both cores, so the first one's worker is idle while the second one computes.
    let job = Job::new(Generation::V1).task(pm7()).task(endless()).limit(15).task(pm7()).cores(2).staged();
    let runner = job.start();
    job.wait_for_reports(1);
    let busy = parent(runner.wait_for_psi4());
    let idle =
        runner.descendants("python").into_iter().find(|pid| Some(*pid) != busy && parent(*pid) != busy);
    kill(idle.unwrap(), Signal::SIGKILL).unwrap();
    assert_eq!(runner.wait(), 0);
    let reports = job.by_task();
    assert_eq!(reports.len(), 3);
    assert_eq!(error_of(&reports[&1]).0, FailureClass::Walltime);
    result_of(&reports[&2]);
    assert_eq!(reports[&2].provenance.cores, 2);
}

#[test]
fn a_worker_that_has_done_its_share_is_replaced() {
    let starts = tempfile::NamedTempFile::new().unwrap();
    let note = format!("echo started >> {}; exec \"$0\" \"$@\"", starts.path().display());
    let job = Job::new(Generation::V1)
        .tasks(5, &pm7())
        .manifest(|manifest| {
            manifest.cores = 1;
            manifest.recycle_after = 2;
            manifest.worker_command.splice(0..0, ["/bin/sh".into(), "-c".into(), note]);
        })
        .staged();
    assert_eq!(job.run(), 0);
    assert_eq!(job.by_task().len(), 5);
    assert_eq!(std::fs::read_to_string(starts.path()).unwrap().lines().count(), 3);
}
