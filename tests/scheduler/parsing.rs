//! Listings and books: recorded from Slurm 22.05.8, documented forms of other versions, and anything at all.

use std::collections::HashMap;

use jiff::Timestamp;
use proptest::prelude::*;
use qcbatch::model::ids::SchedulerJobId;
use qcbatch::model::job::JobOutcome;
use qcbatch::scheduler::adapter::reading::Reading;
use qcbatch::scheduler::{
    Adapter, ExitStatus, JobSighting, PollAnswer, PostMortemAnswer, SchedulerState, Sureness, built_in_names,
};

use crate::support::Recorded;

/// Recorded: single jobs, an array with `%2`, held, not to start, never to start, failed in several ways.
const LISTING: &str = "\
3|3|3|N/A|FAILED|1795309051|1795309051|0:00|NonZeroExitCode
5|5|5|N/A|FAILED|1795309051|1795309051|0:00|JobLaunchFailure
2_2|2|2|2|PENDING|N/A|N/A|0:00|JobArrayTaskLimit
6|6|6|N/A|PENDING|N/A|N/A|0:00|PartitionTimeLimit
8|8|8|N/A|PENDING|1795312649|1795316249|0:00|BeginTime
7|7|7|N/A|PENDING|N/A|N/A|0:00|JobHeldUser
2_3|2|2|3|COMPLETING|1795309077|1795309085|0:08|None
1|1|1|N/A|RUNNING|1795309051|1795309651|0:02|None
2_0|13|2|0|RUNNING|1795309051|1795309651|1-02:03:04|None
9|9|9|N/A|PENDING|N/A|N/A|0:00|ReqNodeNotAvail, UnavailableNodes:n[1-3] | more
11|11|11|N/A|TELEPORTING|INVALID|NOT_SET|INVALID|None
";

async fn listed(stdout: &str) -> (HashMap<SchedulerJobId, JobSighting>, usize) {
    let recorded = Recorded::new().answers("squeue", stdout, "", 0);
    match recorded.scheduler("slurm").poll().await {
        PollAnswer::Valid { jobs, listed_all_users_jobs } => (jobs, listed_all_users_jobs),
        invalid => panic!("{invalid:?}"),
    }
}

fn id(text: &str) -> SchedulerJobId {
    SchedulerJobId(text.to_owned())
}

#[tokio::test]
async fn a_recorded_listing() {
    let (jobs, not_ended) = listed(LISTING).await;
    assert_eq!((jobs.len(), not_ended), (11, 9));
    let state = |text| jobs[&id(text)].state.clone();
    let ended = |outcome| SchedulerState::Ended { outcome, sure: Sureness::Now };
    assert_eq!(state("3"), ended(JobOutcome::Failed));
    assert_eq!(state("5"), ended(JobOutcome::NodeFailure));
    assert_eq!(state("2_2"), SchedulerState::Queued);
    assert_eq!(state("6"), SchedulerState::Blocked);
    assert_eq!(state("8"), SchedulerState::Queued);
    assert_eq!(state("7"), SchedulerState::Blocked);
    assert_eq!(state("2_3"), SchedulerState::Ending);
    assert_eq!(state("1"), SchedulerState::Running);
    assert_eq!(state("9"), SchedulerState::Queued);
    assert_eq!(state("11"), SchedulerState::Unrecognised("TELEPORTING".into()));
    let begin = Timestamp::from_second(1_795_312_649).unwrap();
    assert_eq!((jobs[&id("8")].started_on, jobs[&id("8")].expected_start_on), (None, Some(begin)));
    let started = Timestamp::from_second(1_795_309_051).unwrap();
    assert_eq!((jobs[&id("1")].started_on, jobs[&id("1")].expected_start_on), (Some(started), None));
    assert_eq!(jobs[&id("1")].reason, None);
    assert_eq!(jobs[&id("9")].reason.as_deref(), Some("ReqNodeNotAvail, UnavailableNodes:n[1-3] | more"));
}

#[tokio::test]
async fn an_id_listed_twice_is_the_job_that_lives() {
    let old = "4|4|4|N/A|NODE_FAIL|1795309051|1795309060|0:09|None\n";
    let new = "4|4|4|N/A|PENDING|N/A|N/A|0:00|BeginTime\n";
    for listing in [format!("{old}{new}"), format!("{new}{old}")] {
        assert_eq!(listed(&listing).await.0[&id("4")].state, SchedulerState::Queued);
    }
}

#[tokio::test]
async fn several_clusters_put_a_line_before_their_rows() {
    let (jobs, _) = listed(&format!("CLUSTER: big\n{LISTING}")).await;
    assert_eq!(jobs.len(), 11);
}

/// As sacct(1) describes: a requeued job twice, steps, an array element, a decorated state.
const BOOKS: &str = "\
31|31|NODE_FAIL|1:0|0:0|1795300000|1795300010|1795300020|10|60|1G||00:00:01|10|cpu=1||n1|None
31|31|COMPLETED|0:0|0:0|1795300100|1795300200|1795300300|100|60|1G||00:00:01|10|cpu=1||n2|None
31.batch|31.batch|COMPLETED|0:0||1795300200|1795300200|1795300300|100|||12345K|00:00:01|10|cpu=1||n2|
31.extern|31.extern|COMPLETED|0:0||1795300200|1795300200|1795300300|100|||1024K|00:00:01|10|cpu=1||n2|
40_2|42|FAILED|1:0|0:0|1795300100|1795300200|1795300300|100|60|1G||00:00:01|10|cpu=1||n1|NonZeroExitCode
40_2.batch|42.batch|OUT_OF_MEMORY|0:125||1795300200|1795300200|1795300300|100|||2.50G|00:00:01|10|cpu=1||n1|
50|50|CANCELLED by 1001|0:15|0:0|1795300100|1795300200|1795300300|100|60|1G||00:00:01|10|cpu=1||n1|None
51|51|FAILED|0:53|0:0|1795300100|1795300200|1795300200|0|60|1G||00:00:00|0|cpu=1||n1|JobLaunchFailure
52|52|TIMEOUT|0:0|0:0|1795300100|1795300200|1795300277|77|1|1G||00:00:00|0|cpu=1||n1|None
53|53|PENDING|0:0|0:0|1795300100|Unknown|Unknown|0|60|1G||00:00:00|0|||None assigned|Priority
99|99|COMPLETED|0:0|0:0|1795300100|1795300200|1795300277|77|1|1G||00:00:00|0|cpu=1||n1|None
";

#[tokio::test]
async fn the_books_of_slurm() {
    let recorded = Recorded::new().answers("sacct", BOOKS, "", 0);
    let asked: Vec<_> = ["31", "40_2", "50", "51", "52", "53", "60"].map(id).into();
    let PostMortemAnswer::Known(jobs) = recorded.scheduler("slurm").post_mortem(&asked).await else {
        panic!()
    };
    assert_eq!(recorded.argv("sacct")[4], "31,40_2,50,51,52,53,60");
    assert_eq!(jobs.len(), 6);
    let outcome = |text| jobs[&id(text)].outcome();
    assert_eq!(outcome("31"), Some(JobOutcome::Completed));
    assert_eq!(jobs[&id("31")].max_memory_bytes, Some(12345 * 1024));
    assert_eq!(jobs[&id("31")].hostname.as_deref(), Some("n2"));
    assert_eq!(outcome("40_2"), Some(JobOutcome::Memory));
    assert_eq!(outcome("50"), Some(JobOutcome::Cancelled));
    assert_eq!(jobs[&id("50")].exit, ExitStatus { code: Some(0), signal: Some(15) });
    assert_eq!(outcome("51"), Some(JobOutcome::NodeFailure));
    assert_eq!(outcome("52"), Some(JobOutcome::Walltime));
    assert_eq!((outcome("53"), jobs[&id("53")].hostname.as_deref()), (None, None));
}

/// 22.05 answers `Invalid field requested` to columns it has not: only those it lists are asked for.
#[tokio::test]
async fn only_columns_that_there_are_are_asked_for() {
    let scontrol = r#"case "$1" in
--version) echo "slurm-wlm 22.05.8";;
*) printf 'Configuration data as of now\nAccountingStorageType = accounting_storage/slurmdbd\nMaxArraySize            = 1001\nMessageTimeout          = 100 sec\nMinJobAge               = 300 sec\nClusterName = big\nSLURM_VERSION = 22.05.8\n\nSlurmctld(primary) at vm is UP\n';;
esac"#;
    let sacct = r#"case "$1" in
--helpformat) printf 'Account             AdminComment        JobID               JobIDRaw\nState               ExitCode            Submit              Reason\n\n';;
*) printf '%s\n' "$@" > "$0.argv"; echo '7|7|COMPLETED|0:0|1795300100|None';;
esac"#;
    let recorded = Recorded::new().program("scontrol", scontrol).program("sacct", sacct);
    let scheduler = recorded.scheduler("slurm");
    let learned = scheduler.probe().await.unwrap();
    assert_eq!(learned.version.as_ref().map(ToString::to_string).as_deref(), Some("22.05.8"));
    assert_eq!((learned.array_size_max, learned.cluster.as_deref()), (Some(1000), Some("big")));
    assert_eq!(learned.message_timeout.map(|time| time.as_secs()), Some(100));
    assert!(learned.has("accounting"));
    let PostMortemAnswer::Known(jobs) = scheduler.post_mortem(&[id("7")]).await else { panic!() };
    assert_eq!(jobs[&id("7")].outcome(), Some(JobOutcome::Completed));
    assert_eq!(recorded.argv("sacct")[6], "JobID,JobIDRaw,State,ExitCode,Submit,Reason");
    let error = scheduler.directives(&crate::support::request("/x", 1001)).unwrap_err();
    assert!(error.to_string().contains("at most 1000"), "{error}");
}

#[tokio::test]
async fn old_clients_get_the_states_by_name() {
    for (version, by_name) in [("21.08.8", true), ("22.05.8", false), ("25.11.1", false)] {
        let scontrol = format!(
            "case \"$1\" in --version) echo 'slurm {version}';; *) echo 'SLURM_VERSION = {version}';; esac"
        );
        let recorded = Recorded::new().program("scontrol", &scontrol).answers("squeue", "", "", 0);
        let scheduler = recorded.scheduler("slurm");
        scheduler.probe().await.unwrap();
        scheduler.poll().await;
        let argv = recorded.argv("squeue");
        assert_eq!(argv.iter().any(|word| word.starts_with("PENDING,")), by_name, "{version}: {argv:?}");
        assert_eq!(argv.contains(&"all".to_owned()), !by_name);
    }
}

fn reading(read: &str) -> Reading {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("extends = \"local\"\n[poll]\nargv = [\"x\"]\n{read}\n");
    std::fs::write(directory.path().join("other.toml"), text).unwrap();
    let adapter =
        Adapter::load("other", &[directory.path().to_owned()]).unwrap_or_else(|error| panic!("{error}"));
    adapter.poll.0.last().unwrap().read.clone().unwrap()
}

/// Shapes from openpbs.md and lsf.md that later adapters need.
#[test]
fn forms_that_other_schedulers_answer_in() {
    let seen = |reading: &Reading, stdout: &str| {
        let rows = reading.rows(stdout, "", &[]).unwrap();
        rows.iter()
            .map(|row| format!("{}={}", row.get("id").unwrap_or("?"), row.get("state").unwrap_or("?")))
            .collect::<Vec<_>>()
    };
    let dsv = reading(
        "[poll.read]\nfields = { id = \"id\", state = \"job_state\", exit = \"Exit_status\" }\nrecords = { separator = \"=\", field_separator = \"\\u001f\", start = '^Job Id: (?<id>.+)$' }",
    );
    let line = "Job Id: 1.pbs\u{1f}Job_Name=x=y\u{1f}job_state=F\u{1f}Exit_status=-29\n";
    assert_eq!(
        seen(&dsv, &format!("{line}{}", line.replace("1.pbs", "2[3].pbs"))),
        ["1.pbs=F", "2[3].pbs=F"]
    );
    let full = reading(
        "[poll.read]\nunmatched = \"skip\"\nfields = { id = \"id\", state = \"job_state\" }\nrecords = { separator = \" = \", continuation = '^\\t', start = '^Job Id: (?<id>.+)$' }",
    );
    assert_eq!(
        seen(
            &full,
            "Job Id: 1.pbs\n    Job_Name = a\n\tb\n    job_state = R\n\nJob Id: 2.pbs\n    job_state = Q\n"
        ),
        ["1.pbs=R", "2.pbs=Q"]
    );
    let pbs = reading(
        "[poll.read]\nfields = { state = \"job_state\", exit = [\"Exit_status\", \"/x/y\"] }\njson = { rows = \"/Jobs\", rows_may_be_absent = true, key = \"id\" }",
    );
    assert_eq!(
        seen(&pbs, "{\"timestamp\":1,\n\"Jobs\":{\"1.s\":{\"job_state\":\"F\",\"Exit_status\":3}}}"),
        ["1.s=F"]
    );
    assert_eq!(seen(&pbs, "{\"timestamp\":1}"), Vec::<String>::new());
    let lsf =
        reading("[poll.read]\nfields = { id = \"JOBID\", state = \"STAT\" }\njson = { rows = \"/RECORDS\" }");
    let json = "Cannot connect to LSF. Please wait ...\n{\"JOBS\":1,\"RECORDS\":[{\"JOBID\":\"33\",\"STAT\":\"RUN\",\"EXIT_CODE\":\"\"}]}";
    assert_eq!(seen(&lsf, json), ["33=RUN"]);
    assert!(lsf.rows("{\"JOBS\":0}", "", &[]).is_err());
    let columns =
        reading("[poll.read]\ncolumns = { separator = \"|\", names = [\"id\", \"state\", \"reason\"] }");
    assert_eq!(seen(&columns, "33|PEND|a|b\n34|RUN|\n"), ["33=PEND", "34=RUN"]);
    assert!(columns.rows("33\n", "", &[]).is_err());
}

proptest! {
    #[test]
    fn no_answer_makes_a_parser_panic(
        stdout in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            "([0-9_|A-Z:N/A\\-]{0,30}\n){0,5}".prop_map(String::into_bytes),
            "([a-zA-Z_]{1,10} ?= ?.{0,10}\n){0,5}".prop_map(String::into_bytes),
        ],
        stderr in "\\PC{0,40}",
    ) {
        READINGS.with(|readings| {
            let text = String::from_utf8_lossy(&stdout);
            for (adapter, reading) in readings {
                if let Ok(rows) = reading.rows(&text, &stderr, &["JobID".into(), "State".into()]) {
                    for row in &rows {
                        adapter.states.state(row);
                        adapter.states.exit(row);
                    }
                }
            }
        });
    }
}

thread_local! {
    static READINGS: Vec<(Adapter, Reading)> = readings();
}

fn readings() -> Vec<(Adapter, Reading)> {
    let mut readings = Vec::new();
    for name in built_in_names() {
        let adapter = Adapter::load(name, &[]).unwrap();
        let calls =
            adapter.find_by_tag.iter().chain([&adapter.submit, &adapter.poll]).chain(&adapter.post_mortem);
        let calls = calls.chain(adapter.probe.iter().map(|probe| &probe.call)).chain(&adapter.limits);
        let all: Vec<Reading> = calls.flat_map(|call| &call.0).filter_map(|call| call.read.clone()).collect();
        readings.extend(all.into_iter().map(|reading| (adapter.clone(), reading)));
    }
    readings
}
