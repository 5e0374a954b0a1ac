//! A database of one test, the daemon's writer on it, and the things that tests put in and look at.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use qcbatch::model::calculation::{
    Calculation, Driver, OptimizationSpecification, QcSpecification, Specification,
};
use qcbatch::model::chunk::ChunkNeed;
use qcbatch::model::failure::{FailureClass, RetryDecision, TaskTally};
use qcbatch::model::ids::{Fence, JobId, PoolName, RecordId, SchedulerJobId, SubmissionId, Tag, TaskId};
use qcbatch::model::job::{JobOutcome, SubmissionState};
use qcbatch::model::molecule::Molecule;
use qcbatch::model::resources::{JobResources, TaskResources};
use qcbatch::model::task::{Placement, Progress, TaskOutcome, TaskProvenance, TaskReport};
use qcbatch::store::chunk::{PlannedChunk, UnclaimedChunk};
use qcbatch::store::ingest::IngestOutcome;
use qcbatch::store::intake::{AddedRecord, NewRecord, Reuse};
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};
use qcbatch::store::queue::{Candidate, CandidateFilter};
use qcbatch::store::release::{Charge, Charged, JobEnd};
use qcbatch::store::staging::StagedTask;
use qcbatch::store::submission::{Certainty, PlannedJob, PlannedSubmission, SubmissionNote};
use qcbatch::store::{Store, Writer};
use serde_json::{Map, Value, json};

use crate::fixture::Server;

pub const SITE: &str = "test";

pub struct World {
    pub server: Server,
    pub store: Store,
    pub writer: Writer,
}

impl World {
    pub async fn new() -> World {
        let (server, store) = Server::migrated().await;
        let fence = take_lease(&store).await;
        let writer = store.writer(SITE, fence);
        World { server, store, writer }
    }

    /// A plain connection to the store's database.
    pub async fn conn(&self) -> AsyncPgConnection {
        self.server.connect("qcbatch").await
    }

    pub async fn add(&self, records: Vec<NewRecord>) -> Vec<AddedRecord> {
        let mut intake = self.writer.begin_intake().await.unwrap();
        let added = intake.add(records).await.unwrap();
        intake.commit().await.unwrap();
        added
    }

    /// Records of `n` different molecules.
    pub async fn add_waters(&self, n: u32) -> Vec<RecordId> {
        self.add((0..n).map(water_record).collect()).await.iter().map(|added| added.record_id).collect()
    }

    pub async fn candidates(&self, limit: usize) -> Vec<Candidate> {
        self.store.candidates(&any_pool("alpha"), limit).await.unwrap()
    }

    /// Hands every waiting task out in jobs of `per_job`, submits and starts them. Jobs in order, with their tasks.
    pub async fn run_all(&self, per_job: usize) -> Vec<(JobId, Vec<StagedTask>)> {
        let tasks: Vec<TaskId> = self.candidates(10_000).await.iter().map(|task| task.task_id).collect();
        let jobs: Vec<Vec<TaskId>> = tasks.chunks(per_job).map(<[TaskId]>::to_vec).collect();
        let submission = self.writer.plan_submission(&planned(jobs)).await.unwrap().unwrap();
        self.accept(submission).await;
        let orders = self.store.orders(submission, None, 1000).await.unwrap();
        let ids: Vec<JobId> = orders.iter().map(|job| job.job_id).collect();
        self.writer.start_jobs(&ids).await.unwrap();
        orders.into_iter().map(|job| (job.job_id, job.orders)).collect()
    }

    pub async fn accept(&self, id: SubmissionId) {
        let (planned, submitting) = (SubmissionState::Planned, SubmissionState::Submitting);
        let writer = &self.writer;
        assert!(writer.move_submission(id, planned, submitting, SubmissionNote::default()).await.unwrap());
        let open = self.store.open_submissions(SITE).await.unwrap();
        let size = open.iter().find(|open| open.id == id).unwrap().array_size;
        let elements = (0..size).map(|index| (index, SchedulerJobId(format!("{id}_{index}")))).collect();
        let scheduler_id = SchedulerJobId(id.to_string());
        assert!(
            writer
                .accept_submission(id, submitting, &scheduler_id, elements, Certainty::Clear)
                .await
                .unwrap()
        );
    }

    /// A pilot that runs and has nothing yet.
    pub async fn pilot(&self) -> JobId {
        let submission = self.writer.plan_submission(&planned(vec![vec![]])).await.unwrap().unwrap();
        self.accept(submission).await;
        let job = self.store.orders(submission, None, 1).await.unwrap()[0].job_id;
        self.writer.start_jobs(&[job]).await.unwrap();
        job
    }

    /// A chunk of every waiting task, which jobs may claim, and its tasks.
    pub async fn staged_chunk(&self) -> (UnclaimedChunk, Vec<StagedTask>) {
        let tasks: Vec<TaskId> = self.candidates(100).await.iter().map(|task| task.task_id).collect();
        let need = ChunkNeed { cores: 1, memory_bytes: 1 << 30, gpus: 0, walltime_seconds: 60 };
        let plan = PlannedChunk { compute_priority: 1, need, expected_seconds: 1.0, tasks };
        let pool = PoolName("alpha".to_owned());
        let chunk = self.writer.plan_chunks(&pool, &[plan]).await.unwrap().remove(0);
        self.writer.ready_chunks(&[chunk.name.chunk_id]).await.unwrap();
        let mut orders = self.store.chunk_orders(&[chunk.name.chunk_id]).await.unwrap();
        let orders = orders.remove(&chunk.name.chunk_id).unwrap();
        (chunk, orders)
    }

    pub async fn status_of(&self, id: RecordId) -> String {
        self.text(&format!("SELECT status::text AS value FROM record WHERE id = {id}")).await
    }

    /// Stores reports of a job from its beginning.
    pub async fn ingest(&self, job: JobId, reports: Vec<TaskReport>) {
        let from =
            self.number(&format!("SELECT results_offset AS value FROM job WHERE id = {job}")).await as u64;
        let outcome = self.writer.ingest(job, from, from + 100, reports, &decide).await.unwrap();
        assert!(matches!(outcome, IngestOutcome::Stored(_)), "{outcome:?}");
    }

    pub async fn text(&self, sql: &str) -> String {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            value: String,
        }
        use diesel_async::RunQueryDsl;
        diesel::sql_query(sql).get_result::<Row>(&mut self.conn().await).await.unwrap().value
    }

    pub async fn number(&self, sql: &str) -> i64 {
        crate::fixture::number(&mut self.conn().await, sql).await
    }

    pub async fn execute(&self, sql: &str) {
        crate::fixture::execute(&mut self.conn().await, sql).await;
    }
}

pub async fn take_lease(store: &Store) -> Fence {
    let holder = LeaseHolder::this_process().unwrap();
    match store.acquire(SITE, &holder, Duration::from_secs(60), TakeOver::Now).await.unwrap() {
        LeaseAnswer::Held { fence, .. } => fence,
        held => panic!("{held:?}"),
    }
}

pub fn water(number: u32) -> Molecule {
    let z = 1.0 + f64::from(number) * 1e-3;
    serde_json::from_value(json!({
        "symbols": ["O", "H", "H"],
        "geometry": [0.0, 0.0, 0.2217, 0.0, 1.4309, -z, 0.0, -1.4309, -z],
    }))
    .unwrap()
}

pub fn singlepoint(method: &str) -> Specification {
    Specification::Singlepoint(QcSpecification {
        program: "mopac".to_owned(),
        driver: Driver::Energy,
        method: method.to_owned(),
        basis: String::new(),
        keywords: Map::new(),
        protocols: Map::new(),
    })
}

pub fn optimization() -> Specification {
    let Specification::Singlepoint(mut qc_specification) = singlepoint("pm7") else { unreachable!() };
    qc_specification.driver = Driver::Deferred;
    Specification::Optimization(OptimizationSpecification {
        program: "geometric".to_owned(),
        keywords: Map::new(),
        protocols: Map::new(),
        qc_specification,
    })
}

pub fn record_of(specification: Specification, molecule: Molecule) -> NewRecord {
    NewRecord {
        calculation: Calculation { specification, molecule, extras: Map::new() },
        compute_tag: "*".to_owned(),
        compute_priority: 1,
        pool: None,
        resources: TaskResources::default(),
        placement: Placement::Shared,
        reuse: Reuse::FindExisting,
        owner_user: "chemist".to_owned(),
    }
}

pub fn water_record(number: u32) -> NewRecord {
    record_of(singlepoint("pm7"), water(number))
}

/// What a pool with everything asks for.
pub fn any_pool(name: &str) -> CandidateFilter {
    CandidateFilter {
        pool: PoolName(name.to_owned()),
        programs: None,
        compute_tags: vec!["*".to_owned()],
        most: TaskResources::default(),
        defaults: TaskResources::default(),
    }
}

pub fn resources() -> JobResources {
    let memory_bytes = Some(1 << 30);
    JobResources { memory_bytes, ..JobResources::of_cores(2, Duration::from_secs(3600)) }
}

pub fn new_tag() -> Tag {
    Tag::new(1_700_000_000_000, rand::random())
}

pub fn planned(jobs: Vec<Vec<TaskId>>) -> PlannedSubmission {
    PlannedSubmission {
        pool: PoolName("alpha".to_owned()),
        cluster: "local".to_owned(),
        tag: new_tag(),
        resources: resources(),
        jobs: jobs.into_iter().map(|tasks| PlannedJob { placement: Placement::Shared, tasks }).collect(),
    }
}

/// The end of a job that was killed with its node.
pub fn killed(id: JobId) -> JobEnd {
    JobEnd {
        id,
        outcome: JobOutcome::NodeFailure,
        exit_code: None,
        signal: Some(9),
        reason: None,
        hostname: None,
        charge: Charge::Failure(FailureClass::Infrastructure),
        charged: Charged::All,
        chunks: Vec::new(),
    }
}

fn report(job: JobId, task: &StagedTask, outcome: TaskOutcome) -> TaskReport {
    TaskReport {
        issue: task.issue,
        task_id: task.task_id,
        record_id: task.record_id,
        attempt: task.attempt,
        outcome,
        stdout: Some("a program's words\n".to_owned()),
        stderr: None,
        native_files: BTreeMap::new(),
        provenance: TaskProvenance {
            hostname: "node1".to_owned(),
            job_id: job,
            scheduler_job_id: None,
            cores: 2,
            nodes: 1,
            memory_bytes: 1 << 30,
            wall_seconds: 1.5,
            cpu_seconds: 2.5,
            started_on: None,
            peak_memory_bytes: None,
            program: Some("mopac".to_owned()),
            program_version: Some("22.0".to_owned()),
            qcengine_version: None,
        },
    }
}

pub fn underway(job: JobId, task: &StagedTask, progress: Progress) -> TaskReport {
    report(job, task, TaskOutcome::Progress(progress))
}

pub fn good_with(job: JobId, task: &StagedTask, result: &Value) -> TaskReport {
    let result = serde_json::value::to_raw_value(result).unwrap();
    report(job, task, TaskOutcome::Complete { result })
}

pub fn good(job: JobId, task: &StagedTask) -> TaskReport {
    good_with(job, task, &atomic_result(-0.09))
}

pub fn bad(job: JobId, task: &StagedTask, class: FailureClass) -> TaskReport {
    let (error_type, message) = ("random_error".to_owned(), "first line\nboom\n".to_owned());
    report(job, task, TaskOutcome::Error { class, error_type, message })
}

pub fn atomic_result(energy: f64) -> Value {
    json!({
        "schema_name": "qcschema_output", "schema_version": 1, "success": true, "driver": "energy",
        "model": {"method": "pm7", "basis": null}, "molecule": water(0), "keywords": {},
        "return_result": energy,
        "properties": {"return_energy": energy, "calcinfo_natom": 3, "scf_iterations": null},
        "extras": {"qcvars": {"PM7 HOF": -54.3}, "note": "kept"},
        "provenance": {"creator": "MOPAC", "version": "22.0"},
    })
}

/// An optimization whose points are the molecules 10, 11, …; the last of them is the final one.
pub fn optimization_result(energies: &[f64]) -> Value {
    let points: Vec<Value> = energies
        .iter()
        .zip(10..)
        .map(|(energy, number)| {
            let mut point = atomic_result(*energy);
            point["driver"] = json!("gradient");
            point["return_result"] = json!([0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, -0.1]);
            point["molecule"] = json!(water(number));
            point["stdout"] = json!("point");
            point
        })
        .collect();
    json!({
        "schema_name": "qcschema_optimization_output", "schema_version": 1, "success": true,
        "initial_molecule": water(0), "final_molecule": water(9 + energies.len() as u32),
        "energies": energies, "trajectory": points, "keywords": {"program": "mopac"},
        "input_specification": {"driver": "gradient", "model": {"method": "pm7"}},
        "provenance": {"creator": "geomeTRIC", "version": "1.0"}, "extras": {},
    })
}

/// Three tries, three losses, no delay.
pub fn decide(tally: &TaskTally, class: FailureClass) -> RetryDecision {
    let spent = if class == FailureClass::Infrastructure { tally.losses } else { tally.tries };
    match spent + 1 >= 3 {
        true => RetryDecision::Fail,
        false => RetryDecision::Retry { after: Duration::ZERO },
    }
}
