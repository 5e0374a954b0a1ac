//! What the daemon's loops and the jobs would do to waiting tasks, through the store's own writer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use qcbatch::model::failure::{FailureClass, RetryDecision, TaskTally};
use qcbatch::model::ids::{JobId, PoolName, SchedulerJobId, Tag};
use qcbatch::model::job::SubmissionState;
use qcbatch::model::resources::{JobResources, TaskResources};
use qcbatch::model::task::{Placement, TaskOutcome, TaskProvenance, TaskReport};
use qcbatch::spool::Spool;
use qcbatch::store::queue::CandidateFilter;
use qcbatch::store::staging::StagedTask;
use qcbatch::store::submission::{PlannedJob, PlannedSubmission, SubmissionNote};
use serde_json::json;

use crate::fixture::{SITE, Server};

/// A job that runs one task.
pub struct Ran {
    pub job: JobId,
    pub array_index: u32,
    tag: Tag,
    pub task: StagedTask,
}

/// The id that the scheduler gives an element of the array.
pub fn scheduler_id(array_index: u32) -> SchedulerJobId {
    SchedulerJobId(format!("4711_{array_index}"))
}

impl Server {
    /// Hands every waiting task out in a job of its own; all of them in one array, accepted and running.
    pub fn run_waiting(&self) -> Vec<Ran> {
        self.block_on(async {
            let filter = CandidateFilter {
                pool: local(),
                programs: None,
                compute_tags: vec!["*".to_owned()],
                most: TaskResources::default(),
                defaults: TaskResources::default(),
            };
            let tasks = self.store.candidates(&filter, 100).await.unwrap();
            let jobs = tasks
                .iter()
                .map(|task| PlannedJob { placement: Placement::Shared, tasks: vec![task.task_id] })
                .collect();
            let tag = Tag::new(1_700_000_000_000, rand::random());
            let planned = PlannedSubmission {
                pool: local(),
                cluster: "local".to_owned(),
                tag: tag.clone(),
                resources: resources(),
                jobs,
            };
            let submission = self.writer.plan_submission(&planned).await.unwrap().unwrap();
            let (from, to) = (SubmissionState::Planned, SubmissionState::Submitting);
            let note = SubmissionNote::default();
            assert!(self.writer.move_submission(submission, from, to, note).await.unwrap());
            let open = self.store.open_submissions(SITE).await.unwrap();
            let elements = (0..open[0].array_size).map(|index| (index, scheduler_id(index))).collect();
            let array = SchedulerJobId("4711".to_owned());
            assert!(self.writer.accept_submission(submission, to, &array, elements).await.unwrap());
            let orders = self.store.orders(submission, None, 1000).await.unwrap();
            let ids: Vec<JobId> = orders.iter().map(|job| job.job_id).collect();
            self.writer.start_jobs(&ids).await.unwrap();
            (0..)
                .zip(orders)
                .map(|(array_index, mut job)| Ran {
                    job: job.job_id,
                    array_index,
                    tag: tag.clone(),
                    task: job.orders.remove(0),
                })
                .collect()
        })
    }

    /// Where the job's files are.
    pub fn job_directory(&self, ran: &Ran) -> PathBuf {
        let spool = Spool::new(self.directory.join("state/spool"));
        spool.submission(&local(), &ran.tag).job(ran.array_index).path().to_owned()
    }

    /// Stores a result for the job's task.
    pub fn store_good(&self, ran: &Ran) {
        let result = json!({
            "schema_name": "qcschema_output", "schema_version": 1, "success": true, "driver": "energy",
            "model": {"method": "pm7", "basis": null}, "keywords": {},
            "molecule": {"symbols": ["H", "H"], "geometry": [0.0, 0.0, 0.0, 0.0, 0.0, 1.4]},
            "return_result": -0.09, "properties": {"return_energy": -0.09},
            "provenance": {"creator": "MOPAC", "version": "22.0"},
        });
        let result = serde_json::value::to_raw_value(&result).unwrap();
        self.ingest(ran, TaskOutcome::Complete { result });
    }

    /// Stores a failure of the job's task that is not tried again.
    pub fn store_failure(&self, ran: &Ran, class: FailureClass) {
        let (error_type, message) = ("random_error".to_owned(), "boom".to_owned());
        self.ingest(ran, TaskOutcome::Error { class, error_type, message });
    }

    fn ingest(&self, ran: &Ran, outcome: TaskOutcome) {
        let report = TaskReport {
            issue: ran.task.issue,
            task_id: ran.task.task_id,
            record_id: ran.task.record_id,
            attempt: ran.task.attempt,
            outcome,
            stdout: Some("a program's words\n".to_owned()),
            stderr: None,
            native_files: BTreeMap::from([("mopac.out".to_owned(), "native".to_owned())]),
            provenance: TaskProvenance {
                hostname: "node1".to_owned(),
                job_id: ran.job,
                scheduler_job_id: None,
                cores: 2,
                nodes: 1,
                memory_bytes: 1 << 30,
                wall_seconds: 1.5,
                cpu_seconds: 2.5,
                started_on: Some(1_700_000_000.0 + f64::from(ran.array_index)),
                peak_memory_bytes: None,
                program: Some("mopac".to_owned()),
                program_version: Some("22.0".to_owned()),
                qcengine_version: None,
            },
        };
        let never = |_: &TaskTally, _: FailureClass| RetryDecision::Fail;
        self.block_on(self.writer.ingest(ran.job, 0, 100, vec![report], &never)).unwrap();
        self.stored.send_modify(|count| *count += 1);
    }
}

fn local() -> PoolName {
    PoolName("local".to_owned())
}

fn resources() -> JobResources {
    let memory_bytes = Some(1 << 30);
    JobResources { memory_bytes, ..JobResources::of_cores(2, Duration::from_secs(3600)) }
}
