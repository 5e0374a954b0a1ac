//! Every report in every mode, tables at three widths.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, json};

use super::jobs::JobList;
use crate::cli::screen::{OutputMode, Progress, Report, Screen};
use crate::cli::table::Colour;
use crate::model::calculation::Driver;
use crate::model::failure::FailureClass;
use crate::model::ids::{JobId, PoolName, RecordId, SchedulerJobId, SubmissionId};
use crate::model::job::{JobOutcome, JobState, SubmissionState};
use crate::model::record::{RecordStatus, RecordType};
use crate::model::view::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn screen(width: Option<usize>) -> Screen {
    Screen {
        mode: OutputMode::Table,
        width,
        colour: Colour::Off,
        now: at("2026-11-22T12:00:00Z"),
        zone: TimeZone::UTC,
        progress: Progress::Hidden,
    }
}

fn at_widths(report: &impl Report) -> String {
    [Some(60), Some(80), Some(120), None]
        .map(|width| {
            let name = width.map_or("piped".to_owned(), |width| width.to_string());
            format!("[{name}]\n{}", report.table(&screen(width)))
        })
        .join("\n")
}

fn water() -> RecordLine {
    RecordLine {
        id: RecordId(12),
        record_type: RecordType::Singlepoint,
        status: RecordStatus::Complete,
        program: "psi4".to_owned(),
        driver: Driver::Energy,
        method: "hf".to_owned(),
        basis: "sto-3g".to_owned(),
        formula: "H2O".to_owned(),
        compute_tag: "*".to_owned(),
        return_energy: Some(-74.963_110_123_4),
        wall_seconds: Some(3.2),
        pool: Some(PoolName("local".to_owned())),
        created_on: at("2026-11-22T11:58:30Z"),
        modified_on: at("2026-11-22T11:59:00Z"),
    }
}

fn optimization() -> RecordLine {
    RecordLine {
        id: RecordId(10_013),
        record_type: RecordType::Optimization,
        status: RecordStatus::Error,
        program: "mopac".to_owned(),
        driver: Driver::Deferred,
        method: "wb97x-d3bj".to_owned(),
        basis: "def2-tzvppd-jkfit".to_owned(),
        formula: "C10H14N2O8".to_owned(),
        compute_tag: "weekly-screening".to_owned(),
        return_energy: None,
        wall_seconds: Some(86_500.0),
        pool: Some(PoolName("epyc-highmem".to_owned())),
        created_on: at("2026-11-20T11:58:30Z"),
        modified_on: at("2026-11-22T11:59:00Z"),
    }
}

pub(crate) fn job() -> JobLine {
    JobLine {
        id: JobId(7),
        submission_id: SubmissionId(3),
        tag: "qcb-01kar0vx00000000000000001a".parse().unwrap(),
        submission_state: SubmissionState::Accepted,
        pool: PoolName("epyc-highmem".to_owned()),
        scheduler_job_id: Some(SchedulerJobId("4711_3".to_owned())),
        state: JobState::Running,
        outcome: None,
        reason: None,
        exit_code: None,
        hostname: Some("node0042.cluster".to_owned()),
        tasks: 200,
        open_tasks: 17,
        queued_on: Some(at("2026-11-22T11:00:00Z")),
        started_on: Some(at("2026-11-22T11:30:00Z")),
        ended_on: None,
    }
}

#[test]
fn lists() {
    let page = RecordPage { records: vec![optimization(), water()], next: Some(RecordId(12)) };
    insta::assert_snapshot!("list_tables", at_widths(&page));
    insta::assert_json_snapshot!("list_json", page);
    assert_eq!(page.quiet(), "10013\n12\n");
    let nothing = RecordPage { records: Vec::new(), next: None };
    assert_eq!(nothing.table(&screen(None)), "no records\n");
}

#[test]
fn jobs() {
    let planned = JobLine {
        id: JobId(8),
        state: JobState::Planned,
        submission_state: SubmissionState::Unknown,
        scheduler_job_id: None,
        hostname: None,
        started_on: None,
        open_tasks: 200,
        ..job()
    };
    let ended = JobLine {
        id: JobId(6),
        state: JobState::Ended,
        outcome: Some(JobOutcome::NodeFailure),
        reason: Some("NodeFail\u{7}".to_owned()),
        ended_on: Some(at("2026-11-22T11:45:10Z")),
        ..job()
    };
    let list = JobList(vec![planned, job(), ended]);
    insta::assert_snapshot!("jobs_tables", at_widths(&list));
    insta::assert_json_snapshot!("jobs_json", list);
    assert_eq!(list.quiet(), "8\n7\n6\n");
}

#[test]
fn status() {
    let pool = PoolSummary {
        obstacles: vec![],
        name: PoolName("epyc-highmem".to_owned()),
        adapter: "slurm".to_owned(),
        scheduler: SchedulerSummary {
            product: None,
            version: Some("22.05.8".to_owned()),
            cluster: Some("epyc".to_owned()),
            variants: [("poll (squeue)".to_owned(), "usual".to_owned())].into(),
        },
        jobs: [
            (JobState::Planned, 2),
            (JobState::Queued, 3),
            (JobState::Running, 12),
            (JobState::Blocked, 1),
        ]
        .into(),
        paused: Some("sbatch: error: Batch job submission failed: Invalid account".to_owned()),
        polled_on: Some(at("2026-11-22T11:59:40Z")),
        limits: "walltime 2 h, arrays of 100".to_owned(),
    };
    let idle = PoolSummary {
        obstacles: vec![],
        name: PoolName("local".to_owned()),
        adapter: "local".to_owned(),
        scheduler: SchedulerSummary::default(),
        jobs: [].into(),
        paused: None,
        polled_on: None,
        limits: String::new(),
    };
    let summary = StatusSummary {
        reports_aside: 3,
        waiting: vec![],
        site: "default".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 4242,
        hostname: "login1".to_owned(),
        started_on: at("2026-11-22T09:57:00Z"),
        database_away: None,
        records: [(RecordStatus::Waiting, 3), (RecordStatus::Complete, 1200)].into(),
        pools: vec![pool, idle],
        troubles: vec!["spool /scratch/qcb: 98 % full".to_owned()],
    };
    insta::assert_snapshot!("status_tables", at_widths(&summary));
    insta::assert_json_snapshot!("status_json", summary);
    assert_eq!(summary.quiet(), "spool /scratch/qcb: 98 % full\n");
    let away =
        StatusSummary { records: [].into(), database_away: Some("cannot connect".to_owned()), ..summary };
    let table = away.table(&screen(None));
    assert!(table.contains("records: not known, the database is away\n"), "{table}");
    assert!(away.quiet().starts_with("database: cannot connect; the daemon goes on once it answers\n"));
}

#[test]
fn show_a_complete_record() {
    let detail = RecordDetail {
        line: water(),
        specification: json!({"program": "psi4", "driver": "energy", "method": "hf", "basis": "sto-3g",
            "keywords": {"scf_type": "pk"}, "protocols": {}}),
        molecule: json!({"symbols": ["O", "H", "H"], "molecular_charge": 0.0, "molecular_multiplicity": 1}),
        final_molecule: None,
        properties: Some(
            json!({"return_energy": -74.9631, "scf_iterations": 8, "scf_dipole_moment": [0, 0, 1.7]}),
        ),
        energies: None,
        trajectory: Vec::new(),
        extras: Map::new(),
        history: vec![AttemptLine {
            history_id: 5,
            attempt: 0,
            status: RecordStatus::Complete,
            failure: None,
            error_type: None,
            job_id: Some(JobId(7)),
            hostname: Some("node0042".to_owned()),
            cores: Some(2),
            memory_bytes: Some(2 << 30),
            wall_seconds: Some(3.2),
            cpu_seconds: Some(5.1),
            peak_memory_bytes: Some(300 << 20),
            started_on: None,
            program: Some("Psi4".to_owned()),
            program_version: Some("1.3.2".to_owned()),
            through: Some("QCEngine 0.29.0".to_owned()),
            modified_on: at("2026-11-22T11:59:00Z"),
            outputs: vec!["stdout".to_owned()],
        }],
        task: None,
        events: vec![EventLine {
            at: at("2026-11-22T11:58:31Z"),
            kind: "submitted".to_owned(),
            message: "job 7 of pool local".to_owned(),
        }],
        native_files: vec!["psi4.grad".to_owned()],
    };
    insta::assert_snapshot!("show_complete", detail.table(&screen(Some(80))));
    insta::assert_json_snapshot!("show_json", detail);
    assert_eq!(detail.quiet(), "complete\n");
}

#[test]
fn show_why_a_record_waits() {
    let failed = AttemptLine {
        history_id: 5,
        attempt: 0,
        status: RecordStatus::Error,
        failure: Some(FailureClass::Memory),
        error_type: Some("oom".to_owned()),
        job_id: None,
        hostname: None,
        cores: None,
        memory_bytes: None,
        wall_seconds: None,
        cpu_seconds: None,
        peak_memory_bytes: None,
        started_on: None,
        program: None,
        program_version: None,
        through: None,
        modified_on: at("2026-11-22T11:59:00Z"),
        outputs: Vec::new(),
    };
    let detail = RecordDetail {
        line: RecordLine { status: RecordStatus::Waiting, wall_seconds: None, ..optimization() },
        specification: json!({"keywords": {}}),
        molecule: json!({}),
        final_molecule: None,
        properties: None,
        energies: Some(vec![-1.0, -1.1]),
        trajectory: vec![RecordId(3), RecordId(4)],
        extras: Map::new(),
        history: vec![failed],
        task: Some(TaskLine {
            required_programs: vec!["geometric".to_owned(), "mopac".to_owned()],
            compute_priority: 2,
            pool: Some(PoolName("epyc-highmem".to_owned())),
            cores: Some(1),
            memory_bytes: Some(3 << 30),
            walltime_seconds: Some(7200),
            gpus: Some(2),
            nodes: Some(4),
            tries: 1,
            losses: 2,
            job: Some(JobLine {
                state: JobState::Blocked,
                reason: Some("BadConstraints".to_owned()),
                ..job()
            }),
            waiting_reason: Some("no pool has mopac".to_owned()),
            not_before: Some(at("2026-11-22T12:05:00Z")),
        }),
        events: Vec::new(),
        native_files: Vec::new(),
    };
    insta::assert_snapshot!("show_waiting", detail.table(&screen(Some(80))));
}
