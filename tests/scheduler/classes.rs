//! What Slurm's messages mean: texts recorded from Slurm 22.05.8 where marked, from its sources and reports otherwise.

use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{FindAnswer, PollAnswer, PostMortemAnswer, Refusal, SubmitAnswer};

use crate::support::{Recorded, request, tag};

async fn submit(stdout: &str, stderr: &str, code: i32) -> SubmitAnswer {
    let recorded = Recorded::new().answers("sbatch", stdout, stderr, code);
    recorded.scheduler("slurm").submit(&request("/tmp", 1), &WithoutLease).await
}

const FAILED: &str = "sbatch: error: Batch job submission failed: ";

#[tokio::test]
async fn refusals_of_sbatch() {
    use Refusal::{Limit, Permanent, Transient};
    // Recorded, rc 1 or 255.
    let local = [
        (255, "sbatch: error: Invalid --time specification\n"),
        (255, "sbatch: error: Invalid --mem specification\n"),
        (255, "sbatch: error: Invalid --exclusive specification\n"),
        (255, "sbatch: unrecognized option '--nonsense'\nTry \"sbatch --help\" for more information\n"),
        (1, "sbatch: error: Unable to open file missing.sh\n"),
        (1, "sbatch: error: Invalid generic resource (gres) specification\n"),
        (
            1,
            "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\nsbatch: error: instead of expected UNIX line breaks (\\n).\n",
        ),
        (
            1,
            "sbatch: error: This does not look like a batch script.  The first\nsbatch: error: line must start with #! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh\n",
        ),
    ];
    for (code, stderr) in local {
        let answer = submit("", stderr, code).await;
        assert!(matches!(answer, SubmitAnswer::Refused { kind: Permanent, .. }), "{stderr}: {answer:?}");
    }
    let remote = [
        // Recorded.
        (Permanent, "Invalid partition name specified"),
        // Larger than MaxArraySize: smaller ones are taken.
        (Limit, "Invalid job array specification"),
        (Permanent, "Invalid feature specification"),
        (Permanent, "Requested reservation is invalid"),
        (Permanent, "Pathname of a file, directory or other parameter too long"),
        // From slurm_errno.c.
        (Permanent, "Invalid account or account/partition combination specified"),
        (Permanent, "Invalid qos specification"),
        (Permanent, "Requested time limit is invalid (missing or exceeds some limit)"),
        (Permanent, "Requested node configuration is not available"),
        (Permanent, "Access/permission denied"),
        (Permanent, "User's group not permitted to use this partition"),
        (Permanent, "Memory specification can not be satisfied"),
        (Permanent, "Job dependency problem"),
        (Transient, "I/O error writing script/environment to file"),
        (Transient, "Resource temporarily unavailable"),
        (Transient, "Unable to contact slurm controller (connect failure)"),
        (Transient, "Slurm backup controller in standby mode"),
        (Transient, "Invalid authentication credential"),
        (Limit, "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"),
    ];
    for (kind, text) in remote {
        let answer = submit("", &format!("{FAILED}{text}\n"), 1).await;
        assert!(
            matches!(&answer, SubmitAnswer::Refused { kind: found, .. } if *found == kind),
            "{text}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn the_first_of_two_lines_tells_a_limit_from_a_violation() {
    let policy = format!(
        "{FAILED}Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n"
    );
    for (kind, word) in [
        (Refusal::Limit, "AssocMaxSubmitJobLimit"),
        (Refusal::Limit, "QOSMaxSubmitJobPerUserLimit"),
        (Refusal::Limit, "AssocGrpSubmitJobsLimit"),
        (Refusal::Permanent, "AssocMaxWallDurationPerJobLimit"),
        (Refusal::Permanent, "QOSMaxCpuPerJobLimit"),
    ] {
        let answer = submit("", &format!("sbatch: error: {word}\n{policy}"), 1).await;
        assert!(
            matches!(&answer, SubmitAnswer::Refused { kind: found, .. } if *found == kind),
            "{word}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn doubt_is_never_refusal() {
    for (stdout, text, code) in [
        // Recorded with the controller stopped: the job ran all the same.
        ("", "Socket timed out on send/recv operation", 1),
        ("", "Zero Bytes were transmitted or received", 1),
        ("", "Message receive failure", 1),
        ("", "Something nobody has seen yet", 1),
        ("4711\n", "Socket timed out on send/recv operation", 1),
    ] {
        let answer = submit(stdout, &format!("{FAILED}{text}\n"), code).await;
        assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{text}: {answer:?}");
    }
    for stdout in ["", "Welcome to the cluster\n", "no id 12\n", "47x1\n", "4711"] {
        let answer = submit(stdout, "", 0).await;
        assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{stdout}: {answer:?}");
    }
    let killed = Recorded::new().program("sbatch", "echo 4711; kill -9 $$");
    let answer = killed.scheduler("slurm").submit(&request("/tmp", 1), &WithoutLease).await;
    assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{answer:?}");
}

#[tokio::test]
async fn ids_are_found_behind_banners_and_warnings() {
    for (stdout, stderr) in [
        ("4711\n", ""),
        ("4711;cluster2\n", ""),
        (
            "*** Account chem42: 12 h left ***\n13 nodes are down\n4711\n",
            "sbatch: lua: your project is fine\n",
        ),
    ] {
        let SubmitAnswer::Accepted { scheduler_job_id } = submit(stdout, stderr, 0).await else {
            panic!("{stdout}")
        };
        assert_eq!(scheduler_job_id.0, "4711");
    }
}

#[tokio::test]
async fn a_client_that_is_not_there_surely_did_nothing() {
    let answer = Recorded::new()
        .program("other", "")
        .scheduler_without_system_path()
        .submit(&request("/tmp", 1), &WithoutLease)
        .await;
    assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Transient, .. }), "{answer:?}");
}

/// SGE says "has been submitted" with exit code 1.
#[tokio::test]
async fn accepted_although_the_exit_code_says_otherwise() {
    let recorded = Recorded::new().answers(
        "sbatch",
        "",
        "Unable to run job: warning: alice's job is not allowed to run in any queue\nYour job 17 (\"t\") has been submitted\n",
        1,
    );
    let text = "extends = \"slurm\"\n[messages.accepted]\nclass = \"accepted\"\npattern = 'has been submitted'\n[submit]\nread = { from = \"both\", lines = '^Your job (?<id>\\d+) ', unmatched = \"skip\" }\n";
    let scheduler = recorded.scheduler_of("sge", text);
    let answer = scheduler.submit(&request("/tmp", 1), &WithoutLease).await;
    assert!(
        matches!(&answer, SubmitAnswer::Accepted { scheduler_job_id } if scheduler_job_id.0 == "17"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_poll_in_doubt_is_invalid() {
    let row = "1|1|1|N/A|RUNNING|1795309051|1795309651|0:02|None\n";
    for (stdout, stderr, code) in [
        ("", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 1),
        ("", "slurm_load_jobs error: Socket timed out on send/recv operation\n", 1),
        ("", "slurm_load_jobs error: Invalid job id specified\n", 1),
        (row, "", 1),
        (row, "squeue: error: something odd\n", 0),
        ("1|1|1|N/A|RUNNING|17953", "", 0),
        ("1|1|1|N/A|RUNNING|17953\n", "", 0),
        ("name with newline\n", "", 0),
        ("|1|1|N/A|RUNNING|1795309051|1795309651|0:02|None\n", "", 0),
    ] {
        let recorded = Recorded::new().answers("squeue", stdout, stderr, code);
        let answer = recorded.scheduler("slurm").poll().await;
        assert!(matches!(answer, PollAnswer::Invalid { .. }), "{stdout}{stderr}: {answer:?}");
    }
    for (stdout, stderr) in [("", ""), (row, "squeue: warning: PRIORITY is an old word\n")] {
        let recorded = Recorded::new().answers("squeue", stdout, stderr, 0);
        let answer = recorded.scheduler("slurm").poll().await;
        assert!(matches!(answer, PollAnswer::Valid { .. }), "{stdout}{stderr}: {answer:?}");
        let argv = recorded.argv("squeue");
        assert!(argv.contains(&"--me".to_owned()) && !argv.contains(&"-j".to_owned()), "{argv:?}");
    }
}

async fn find(squeue: (&str, &str, i32), sacct: (&str, &str, i32)) -> FindAnswer {
    let recorded = Recorded::new()
        .answers("squeue", squeue.0, squeue.1, squeue.2)
        .answers("sacct", sacct.0, sacct.1, sacct.2);
    recorded.scheduler("slurm").find_by_tag(&tag(), "2026-11-22T01:02:03Z".parse().unwrap()).await
}

#[tokio::test]
async fn a_tag_is_unknown_only_when_everybody_says_so() {
    let known = |ids: &[&str]| {
        FindAnswer::Known(ids.iter().map(|id| qcbatch::model::ids::SchedulerJobId((*id).into())).collect())
    };
    let none = ("", "", 0);
    let away = ("", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 1);
    let disabled = ("", "Slurm accounting storage is disabled\n", 1);
    let database_away = ("", "sacct: error: Problem talking to the database: Connection refused\n", 1);
    assert_eq!(find(none, none).await, FindAnswer::NotKnown);
    assert_eq!(find(none, disabled).await, FindAnswer::NotKnown);
    assert!(matches!(find(away, none).await, FindAnswer::Unanswered { .. }));
    assert!(matches!(find(none, database_away).await, FindAnswer::Unanswered { .. }));
    assert!(matches!(find(away, disabled).await, FindAnswer::Unanswered { .. }));
    assert_eq!(find(("12|1795309051\n12|1795309051\n", "", 0), none).await, known(&["12"]));
    assert_eq!(find(none, ("12|1795309051\n9|1795309060\n", "", 0)).await, known(&["12", "9"]));
    assert_eq!(find(("12|N/A\n9|1795309060\n", "", 0), none).await, known(&["9", "12"]));
    assert_eq!(find(away, ("12_0|1795309051\n12_[1-3]|1795309051\n", "", 0)).await, known(&["12"]));
    assert_eq!(find(("12|1795309051\n", "", 0), database_away).await, known(&["12"]));
}

#[tokio::test]
async fn books_that_are_not_kept_are_no_books_that_do_not_answer() {
    let ids = [qcbatch::model::ids::SchedulerJobId("1".into())];
    let disabled = Recorded::new().answers("sacct", "", "Slurm accounting storage is disabled\n", 1);
    assert_eq!(disabled.scheduler("slurm").post_mortem(&ids).await, PostMortemAnswer::Unavailable);
    let away = Recorded::new().answers("sacct", "", "sacct: error: Problem talking to the database\n", 1);
    assert!(matches!(away.scheduler("slurm").post_mortem(&ids).await, PostMortemAnswer::Unanswered { .. }));
}

#[tokio::test]
async fn ids_that_are_gone_are_no_failure_to_cancel() {
    let ids: Vec<_> = (0..450).map(|id| qcbatch::model::ids::SchedulerJobId(id.to_string())).collect();
    let count = "echo x >> \"$0.calls\"; echo 'scancel: error: Kill job error on job id 5: Invalid job id specified' >&2; exit 1";
    let gone = Recorded::new().program("scancel", count);
    gone.scheduler("slurm").cancel(&ids, &WithoutLease).await.unwrap();
    assert_eq!(gone.calls("scancel"), 3);
    let denied = Recorded::new().answers(
        "scancel",
        "",
        "scancel: error: Kill job error on job id 5: Access/permission denied\n",
        1,
    );
    assert!(denied.scheduler("slurm").cancel(&ids[..1], &WithoutLease).await.is_err());
    // Recorded: told of a job in a partition it can never run in, and done.
    let text = "Requested partition configuration not available now for job 9\nslurm_suspend error: Requested partition configuration not available now\n";
    let held = Recorded::new().answers("scontrol", "", text, 1);
    held.scheduler("slurm").hold(&ids[..2], &WithoutLease).await.unwrap();
    assert_eq!(held.argv("scontrol"), ["hold", "0,1"]);
}
