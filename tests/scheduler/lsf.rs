//! IBM Spectrum LSF and what its relatives make of a submission. Answers have the form of public examples; none was
//! recorded by us. Scripts are shown whole.

use qcbatch::model::resources::NodeSharing;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{Scheduler, SubmitRequest};

use crate::scripts::{script_input, shown};
use crate::support::{Recorded, request};
use crate::volclava::{Recording, table};

const LSF_10_1: &str = "IBM Spectrum LSF Standard 10.1.0.9, Oct 16 2019\nCopyright International Business Machines Corp. 1992, 2016.\n\nMy cluster name is chem\nMy master name is m1\n";
const LSF_9_1: &str =
    "Platform LSF Standard 9.1.3.0, Jul 04 2014\n\nMy cluster name is chem\nMy master name is m1\n";
const OPENLAVA: &str = "openlava project 4.0, Jun 1 2017\n\nMy cluster name is chem\nMy master name is m1\n";

async fn probed(lsid: &str, bparams: &str, badmin: &str) -> Scheduler {
    let recorded = Recorded::new().answers("lsid", lsid, "", 0).answers("bparams", bparams, "", 0);
    let recorded = recorded.answers("badmin", badmin, "", 0);
    let scheduler = recorded.scheduler("lsf");
    scheduler.probe().await.unwrap();
    scheduler
}

#[tokio::test]
async fn every_form_of_public_examples_is_read() {
    insta::assert_snapshot!(table("lsf", LSF_10_1).await);
}

/// Before 10.1.0.2 there is no JSON: columns that we name.
#[tokio::test]
async fn named_columns_are_read() {
    insta::assert_snapshot!(table("lsf-9.1", LSF_9_1).await);
}

/// F1: the library did not hear the answer; the job may be there.
#[tokio::test]
async fn an_answer_that_was_not_heard_is_no_refusal() {
    for why in ["Communication time out", "Failed in sending/receiving a message: Connection reset by peer"] {
        let text = format!("Failed in an LSF library call: {why}. Job not submitted.\n");
        let recorded = Recorded::new().answers("lsid", LSF_10_1, "", 0).answers("bsub", "", &text, 255);
        let scheduler = recorded.scheduler("lsf");
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("job.sh"), "#!/bin/bash\n").unwrap();
        let answer = scheduler.submit(&request(directory.path().to_str().unwrap(), 1), &WithoutLease).await;
        assert!(matches!(answer, qcbatch::scheduler::SubmitAnswer::Unclear { .. }), "{why}: {answer:?}");
    }
}

/// The same empty list means "no jobs" or "nobody there", and only standard error tells which.
#[tokio::test]
async fn an_empty_list_of_a_server_that_is_down_is_no_answer() {
    for (name, expected) in [
        ("empty_bjobs_json", "0 not over: "),
        ("limdown_json", "no answer"),
        ("mbddown_bjobs_json_ntries1", "no answer"),
    ] {
        assert_eq!(Recording::named("volclava-json", name).told(LSF_10_1).await, expected, "{name}");
    }
}

/// Peers F1: an answer with rc 0 and nothing in it must not make all jobs vanish.
#[tokio::test]
async fn nothing_at_all_is_no_answer() {
    for lsid in [LSF_10_1, LSF_9_1, OPENLAVA] {
        let recorded = Recorded::new().answers("lsid", lsid, "", 0).answers("bjobs", "", "", 0);
        let scheduler = recorded.scheduler("lsf");
        scheduler.probe().await.unwrap();
        let poll = scheduler.poll().await;
        assert!(matches!(poll, qcbatch::scheduler::PollAnswer::Invalid { .. }), "{lsid}: {poll:?}");
    }
}

#[tokio::test]
async fn lsf_single() {
    let scheduler = probed(LSF_10_1, "", "").await;
    let request = request("/spool/main/qcb-x", 1);
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

#[tokio::test]
async fn lsf_array_with_everything() {
    let scheduler = probed(LSF_10_1, "    RESOURCE_RESERVE_PER_TASK = Y\n", "").await;
    let mut request = request("/spool/my pool/it's", 3);
    everything(&mut request);
    request.log = scheduler.log_path(&request.directory, 3);
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

fn everything(request: &mut SubmitRequest) {
    let resources = &mut request.resources;
    resources.gpus = 2;
    resources.gpu_type = Some("TeslaA100".into());
    resources.queue = Some("gpu".into());
    resources.account = Some("chem42".into());
    resources.qos = Some("gold".into());
    resources.constraint = Some("avx2&&type==any".into());
    resources.reservation = Some("chem.7".into());
    resources.sharing = NodeSharing::Exclusive;
    resources.extra = vec!["-app molpro".into()];
}

/// Warnings are told in minutes: that of a job of one minute would come as the job begins.
#[tokio::test]
async fn a_job_of_a_minute_is_not_warned_as_it_begins() {
    let scheduler = probed(LSF_10_1, "", "").await;
    let mut request = request("/spool/x", 1);
    for (walltime, warning, expected) in
        [(60, 15, None), (120, 61, None), (121, 61, Some("#BSUB -wt 2")), (3600, 15, Some("#BSUB -wt 1"))]
    {
        request.resources.walltime = std::time::Duration::from_secs(walltime);
        request.warning = std::time::Duration::from_secs(warning);
        let lines = scheduler.directives(&request).unwrap();
        let of_warning: Vec<&str> =
            lines.iter().map(String::as_str).filter(|line| line.starts_with("#BSUB -w")).collect();
        let wanted: Vec<&str> = expected.map(|line| vec!["#BSUB -wa USR2", line]).unwrap_or_default();
        assert_eq!(of_warning, wanted, "{walltime} {warning}");
    }
}

/// Units and resource strings of one job (4 cores, 8 GiB and a byte) by what the probe found.
#[tokio::test]
async fn memory_is_asked_for_in_the_units_of_each() {
    let unit =
        |unit: &str| format!("MBATCHD configuration at Thu Jan  1 00:00:00\n LSF_UNIT_FOR_LIMITS = {unit}\n");
    let volclava = OPENLAVA.replace("openlava", "volclava");
    let cases = [
        (LSF_10_1, "", unit("GB"), vec!["-M 8193MB", "-R \"rusage[mem=8193MB]\""]),
        (
            LSF_10_1,
            "RESOURCE_RESERVE_PER_TASK = Y\n",
            String::new(),
            vec!["-M 8193MB", "-R \"rusage[mem=2049MB]\""],
        ),
        (LSF_9_1, "", String::new(), vec!["-M 8388609", "-R \"rusage[mem=8193]\""]),
        (
            LSF_9_1,
            "RESOURCE_RESERVE_PER_TASK = N\n",
            unit("KB"),
            vec!["-M 8388609", "-R \"rusage[mem=8388609]\""],
        ),
        (LSF_9_1, "", unit("MB"), vec!["-M 8193", "-R \"rusage[mem=8193]\""]),
        (LSF_9_1, "RESOURCE_RESERVE_PER_SLOT = Y\n", unit("GB"), vec!["-M 9", "-R \"rusage[mem=3]\""]),
    ];
    for (lsid, bparams, badmin, expected) in cases {
        let scheduler = probed(lsid, bparams, &badmin).await;
        let lines = scheduler.directives(&request("/spool/x", 1)).unwrap();
        let of_memory: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("#BSUB "))
            .filter(|line| line.starts_with("-M") || line.contains("rusage"))
            .collect();
        assert_eq!(of_memory, expected, "{lsid} {bparams} {badmin}");
        assert!(lines.contains(&"#BSUB -R \"span[hosts=1]\"".to_owned()), "{lines:?}");
    }
    // One -R only, no options that openlava takes for others.
    for (lsid, limit) in [(OPENLAVA, "-M 8388609"), (volclava.as_str(), "-M 8193")] {
        let lines = probed(lsid, "", "").await.directives(&request("/spool/x", 1)).unwrap();
        let expected = [
            "-J qcb-01jd000000000000000000000a",
            "-W 1:01",
            "-n 4",
            "-R \"span[hosts=1] rusage[mem=8193]\"",
            limit,
        ];
        assert_eq!(lines, expected.map(|line| format!("#BSUB {line}")));
    }
}

#[tokio::test]
async fn several_nodes_are_filled_evenly() {
    let mut request = request("/spool/x", 1);
    (request.resources.nodes, request.resources.tasks) = (2, 4);
    for (lsid, expected) in
        [(LSF_10_1, "#BSUB -R \"span[ptile=8]\""), (OPENLAVA, "#BSUB -R \"span[ptile=8] rusage[mem=8193]\"")]
    {
        let lines = probed(lsid, "", "").await.directives(&request).unwrap();
        assert!(
            lines.contains(&expected.to_owned()) && lines.contains(&"#BSUB -n 16".to_owned()),
            "{lines:?}"
        );
        assert!(!lines.iter().any(|line| line.contains("hosts=1")), "{lines:?}");
    }
}

/// Words of the documentation that no recording shows.
#[tokio::test]
async fn reasons_and_states_of_the_documentation() {
    use qcbatch::model::job::JobOutcome::{
        Cancelled, Failed, Lost, Memory, NodeFailure, Preempted, Walltime,
    };
    use qcbatch::scheduler::adapter::reading::Row;
    use qcbatch::scheduler::{Adapter, SchedulerState, Sureness};

    let states = Adapter::load("lsf", &[]).unwrap().states;
    let state = |word: &str, reason: &str, exit: &str| {
        let mut row = Row::default();
        for (field, text) in [("state", word), ("reason", reason), ("exit", exit)] {
            row.set(field, text);
        }
        states.state(&row).unwrap()
    };
    let unknown = |word: &str| SchedulerState::Unrecognised(word.to_owned());
    for (word, expected) in [
        ("PEND", SchedulerState::Queued),
        ("PROV", SchedulerState::Queued),
        ("WAIT", SchedulerState::Queued),
        ("PSUSP", SchedulerState::Blocked),
        ("RUN", SchedulerState::Running),
        ("USUSP", SchedulerState::Suspended),
        ("SSUSP", SchedulerState::Suspended),
        ("UNKWN", unknown("UNKWN")),
        ("ZOMBI", unknown("ZOMBI")),
        ("NEWWORD", unknown("NEWWORD")),
    ] {
        assert_eq!(state(word, "", ""), expected, "{word}");
    }
    for (reason, outcome) in [
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", Walltime),
        ("TERM_CPULIMIT: job killed after reaching LSF CPU usage limit", Walltime),
        ("TERM_DEADLINE: job killed after deadline expires", Walltime),
        ("TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", Memory),
        ("TERM_SWAP: job killed after reaching LSF swap usage limit", Memory),
        ("TERM_OWNER: job killed by owner", Cancelled),
        ("TERM_ADMIN: job killed by root or LSF administrator", Cancelled),
        ("TERM_FORCE_OWNER: job killed by owner without time for cleanup", Cancelled),
        ("TERM_FORCE_ADMIN: job killed by root or LSF administrator without time for cleanup", Cancelled),
        ("TERM_ORPHAN_SYSTEM: orphaned job killed by LSF", Cancelled),
        ("TERM_PREEMPT: job killed after preemption", Preempted),
        ("TERM_WINDOW: job killed after queue run window closed", Preempted),
        ("TERM_LOAD: job killed after load exceeds threshold", Preempted),
        ("TERM_CWD_NOTEXIST: current working directory is not accessible", NodeFailure),
        ("TERM_REMOVE_HUNG_JOB: job removed from LSF", NodeFailure),
        ("TERM_ZOMBIE: job exited while LSF is not available", NodeFailure),
        ("TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF", Failed),
        ("TERM_PROCESSLIMIT: job killed after reaching LSF process limit", Failed),
        ("TERM_OTHER: job killed for other reasons", Failed),
        ("TERM_OWNERSHIP", Failed),
    ] {
        let ended = |outcome| SchedulerState::Ended { outcome, sure: Sureness::Now };
        assert_eq!(state("EXIT", reason, "130"), ended(outcome), "{reason}");
        assert_eq!(state("EXIT", "", "140"), ended(Walltime));
        assert_eq!(state("EXIT", "", "130"), ended(Failed));
        assert_eq!(state("EXIT", "", ""), ended(Lost));
    }
}
