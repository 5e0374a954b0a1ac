//! Entries of the failure catalogue (docs/failures.md) that are kept by what is asked of a scheduler, and by what is not.
//! Reads adapters; runs only programs of its own.

use qcbatch::model::ids::SchedulerJobId;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::adapter::messages::Verb;
use qcbatch::scheduler::{Adapter, PollAnswer, built_in_names};

use crate::support::{Recorded, request, scheduler};

/// Every command of an adapter, for all versions, as it is written.
fn commands(name: &str) -> Vec<(Verb, Vec<String>)> {
    let adapter = Adapter::load(name, &[]).unwrap();
    let commands = adapter.commands().into_iter();
    let written = |(verb, variants): (Verb, &qcbatch::scheduler::adapter::Variants)| {
        let words = |call: &qcbatch::scheduler::adapter::Call| {
            call.argv.iter().flat_map(|piece| &piece.templates).map(ToString::to_string).collect()
        };
        variants.0.iter().map(|call| (verb, words(call))).collect::<Vec<(Verb, Vec<String>)>>()
    };
    commands.flat_map(written).collect()
}

/// What breaks: listing by id (F22), filters by state (F27), `scontrol show job` (F31), JSON (F33, F34), `sacct --array` (F56).
#[test]
fn f22_f27_f31_f33_f34_f56_slurm_is_never_asked_what_breaks() {
    let commands = commands("slurm");
    assert!(commands.len() > 10, "{commands:?}");
    for (verb, words) in commands {
        let has = |word: &str| words.iter().any(|one| one == word || one.starts_with(&format!("{word}=")));
        assert!(!has("--json") && !has("--yaml"), "{verb:?} {words:?}");
        assert!(!(has("scontrol") && has("show") && has("job")), "{verb:?} {words:?}");
        match words[0].as_str() {
            "sacct" => assert!(!has("-s") && !has("--state") && !has("--array"), "{words:?}"),
            "squeue" => {
                assert!(!has("-j") && !has("--jobs") && !words.concat().contains("{ids"), "{words:?}")
            }
            _ => {}
        }
    }
}

/// F51: a dependency on a job that failed waits for ever, on one that is forgotten it holds at once.
#[test]
fn f51_no_job_is_made_to_depend_on_another() {
    for name in built_in_names() {
        let adapter = Adapter::load(name, &[]).unwrap();
        let pieces = adapter.submit.0.iter().flat_map(|call| &call.argv).chain(&adapter.directives);
        // Joined pieces name resources only.
        for template in pieces.flat_map(|piece| &piece.templates) {
            let text = template.to_string();
            let depends = ["depend", "hold_jid", "-w ", "after"].iter().any(|word| text.contains(word));
            assert!(!depends, "{name}: {text}");
        }
    }
}

/// F17: `bsub job.sh` would run the script as a command and pass over its directives.
#[tokio::test]
async fn f17_lsf_reads_the_script_from_standard_input() {
    let recorded = Recorded::new().program(
        "bsub",
        "printf '%s\\n' \"$@\" > \"${0%/*}/bsub.argv\"; cat > \"${0%/*}/stdin\"; echo 'Job <7> is submitted to default queue <normal>.'",
    );
    let scheduler = recorded.scheduler("lsf");
    let directory = tempfile::tempdir().unwrap();
    let request = request(directory.path().to_str().unwrap(), 1);
    std::fs::write(&request.script, "#!/bin/bash\n#BSUB -n 4\n").unwrap();
    let answer = scheduler.submit(&request, &WithoutLease).await;
    assert!(matches!(answer, qcbatch::scheduler::SubmitAnswer::Accepted { .. }), "{answer:?}");
    assert_eq!(std::fs::read_to_string(recorded.path().join("stdin")).unwrap(), "#!/bin/bash\n#BSUB -n 4\n");
    let script = request.script.display().to_string();
    assert!(!recorded.argv("bsub").contains(&script), "{:?}", recorded.argv("bsub"));
}

/// F73: a request for each id would be as many round trips as jobs; -E sends one.
#[tokio::test]
async fn f73_pbs_is_asked_about_all_jobs_in_one_request() {
    let recorded = Recorded::new().answers("qselect", "1.s\n2.s\n3[].s\n", "", 0).program(
        "qstat",
        "echo \"$*\" >> \"$0.calls\"; for i in 1.s 2.s '3[0].s'; do printf 'Job Id: %s\\037Job_Owner=alice@h\\037job_state=Q\\n\\n' \"$i\"; done",
    );
    let answer = recorded.scheduler("pbs").poll().await;
    let PollAnswer::Valid { jobs, .. } = &answer else { panic!("{answer:?}") };
    assert_eq!(jobs.len(), 3, "{jobs:?}");
    let calls = std::fs::read_to_string(recorded.path().join("qstat.calls")).unwrap();
    let words: Vec<&str> = calls.split_whitespace().collect();
    assert_eq!(recorded.calls("qstat"), 1, "{calls}");
    assert!(words.contains(&"-E") && ["1.s", "2.s", "3[].s"].iter().all(|id| words.contains(id)), "{calls}");
}

/// F85: delivered at the end, output can be lost; written in place, it is there when the job is killed.
#[test]
fn f85_pbs_writes_output_in_place() {
    let argv = scheduler("pbs").submit_argv(&request("/spool/p/qcb-x", 1)).unwrap();
    let has = |option: &str, value: &str| argv.windows(2).any(|pair| pair == [option, value]);
    assert!(has("-k", "oed") && has("-j", "oe") && has("-o", "/spool/p/qcb-x/scheduler.log"), "{argv:?}");
}

/// An action that fails for some jobs stops there: the rest would fail too, and is named.
#[tokio::test]
async fn an_action_stops_at_the_first_real_error_and_names_what_is_left() {
    let recorded = Recorded::new().program(
        "scancel",
        "echo x >> \"$0.calls\"; echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1",
    );
    let scheduler = recorded.scheduler_of("few", "extends = \"slurm\"\n[calls]\nids_per_call = 2\n");
    let ids: Vec<SchedulerJobId> = (1..=9).map(|id| SchedulerJobId(id.to_string())).collect();
    let error = scheduler.cancel(&ids, &WithoutLease).await.unwrap_err().to_string();
    assert!(error.contains("not done for 9 jobs: 1, 2, 3, 4, 5, …"), "{error}");
    assert_eq!(recorded.calls("scancel"), 1);
}

/// Whatever a scheduler calls the log of an array's element, `qcbatch logs -f` knows it.
#[test]
fn the_log_of_an_element_is_known_by_the_name_that_the_scheduler_gives_it() {
    for (name, file) in [
        ("local", "scheduler-3.log"),
        ("slurm", "scheduler-3.log"),
        ("pbs", "scheduler-3.log"),
        ("torque", "scheduler.log-3"),
        ("sge", "scheduler-4.log"),
        ("lsf", "scheduler-4.log"),
    ] {
        assert_eq!(scheduler(name).log_names(3), [file], "{name}");
        assert_eq!(scheduler(name).log_names(0).last().unwrap(), "scheduler.log", "{name}");
    }
}

/// LSF warns from version 7 on; its older relatives do not, nor does PBS: there the job script has a timer of its own.
#[test]
fn scripts_warn_themselves_where_the_scheduler_cannot() {
    // Not probed yet: an old one is assumed.
    let warns: Vec<_> = built_in_names().filter(|name| scheduler(name).warns_itself()).collect();
    assert_eq!(warns, ["lsf", "pbs", "torque"]);
}
