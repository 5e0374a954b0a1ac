//! What a scenario runs on: one adapter with its scheduler, real or simulated, and the little that differs between them.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use qcbatch::model::ids::{SchedulerJobId, Tag};
use qcbatch::model::job::JobOutcome;
use qcbatch::model::resources::JobResources;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{
    Adapter, ExitStatus, JobSighting, PollAnswer, PostMortemAnswer, Scheduler, SchedulerState, Settings,
    SubmitAnswer, SubmitRequest,
};
use serde_json::Value;

use crate::harness::gridengine::{GridEngine, GridEngineOptions};
use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Slurm, SlurmOptions, Within};

/// Cores of the only node of every ground but the live ones.
pub const CORES: u32 = 8;

/// A scheduler that the user has, or says to have.
pub enum Live {
    /// Its commands are there.
    Here(Box<Ground>),
    /// These of its commands are not on PATH.
    Absent(Vec<String>),
}

/// A scheduler under test.
pub struct Ground {
    /// Speaks to it.
    pub scheduler: Scheduler,
    /// The queue for jobs, where one must be named.
    queue: Option<String>,
    account: Option<String>,
    /// Cores that fill all there is, where a scenario may do that.
    pub cores: Option<u32>,
    /// How long a step may take.
    patience: Duration,
    simulator: Option<Simulator>,
    /// What must live as long.
    _real: Option<Box<dyn Send + Sync>>,
    /// Where submissions go: `directory`, or a place that a live scheduler's nodes see.
    submitted_from: PathBuf,
    _directory: PrivateDir,
    submissions: AtomicU32,
}

impl Ground {
    /// A simulated scheduler, probed as the daemon does before anything else.
    pub fn simulated(dialect: Dialect) -> Ground {
        let simulator = Simulator::new(dialect);
        let bin = simulator.bin();
        let ground = Ground { simulator: Some(simulator), ..Ground::new(dialect.adapter(), &bin, None) };
        super::run(async {
            ground.scheduler.probe().await.unwrap();
        });
        ground
    }

    /// A simulated scheduler whose submit command is waited for a few seconds only.
    pub fn impatient(dialect: Dialect) -> Ground {
        let site = PrivateDir::new();
        let file = site.join(&format!("{}.toml", dialect.adapter()));
        fs::write(file, "[calls]\nsubmit_timeout = \"3s\"\n").unwrap();
        let simulator = Simulator::new(dialect);
        let adapter = load(dialect.adapter(), &[site.path().to_owned()]);
        let bin = simulator.bin();
        Ground { simulator: Some(simulator), ..Ground::with(adapter, &bin, None) }
    }

    /// A private, real Slurm.
    pub fn real_slurm() -> Ground {
        Ground::real_slurm_with(SlurmOptions::default())
    }

    /// The same with other settings.
    pub fn real_slurm_with(options: SlurmOptions) -> Ground {
        let slurm = Slurm::start_with(options);
        let (name, conf) = slurm.env();
        let environment = vec![(name, conf.display().to_string())];
        Ground::real("slurm", Some(Box::new(slurm)), &environment)
    }

    /// A private, real Grid Engine.
    pub fn real_gridengine() -> Ground {
        let cell = GridEngine::start(&GridEngineOptions { slots: CORES, ..GridEngineOptions::default() });
        let environment: Vec<_> = cell.env().collect();
        Ground::real("sge", Some(Box::new(cell)), &environment)
    }

    /// A scheduler of the tests' own, whose commands find it by `environment`: the engine lets no such variable through.
    fn real(adapter: &str, real: Option<Box<dyn Send + Sync>>, environment: &[(&str, String)]) -> Ground {
        let bin = PrivateDir::new();
        let variables: String = environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let plain = Ground::new(adapter, bin.path(), Some("main"));
        for program in plain.scheduler.needed_programs() {
            let text = format!("#!/bin/sh\n{variables}exec {} \"$@\"\n", which(&program.name).display());
            fs::write(bin.join(&program.name), text).unwrap();
            fs::set_permissions(bin.join(&program.name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Ground { _real: real, submitted_from: bin.path().to_owned(), _directory: bin, ..plain }
    }

    /// Its programs that are not on PATH.
    fn missing_programs(&self) -> Vec<String> {
        let programs = self.scheduler.needed_programs().into_iter();
        programs.filter(|one| one.path.is_none()).map(|one| one.name).collect()
    }

    /// A scheduler that is there already, as the variables of `live.rs` describe it; the commands that are missing, when it is not.
    pub fn live(name: &str) -> Result<Live, String> {
        let setting = |what: &str| {
            let upper = name.to_uppercase().replace(['-', '.'], "_");
            std::env::var(format!("QCBATCH_TEST_LIVE_{upper}_{what}")).ok()
        };
        let sites: Vec<PathBuf> =
            std::env::var_os("QCBATCH_TEST_LIVE_ADAPTERS").map(PathBuf::from).into_iter().collect();
        let adapter = Adapter::load(name, &sites).map_err(|error| error.to_string())?;
        let ground = Ground::with(adapter, Path::new("/nonexistent"), None);
        let missing = ground.missing_programs();
        if !missing.is_empty() {
            return Ok(Live::Absent(missing));
        }
        let number = |what: &str| {
            setting(what)
                .map(|text| text.parse::<u32>().map_err(|error| format!("{what}: {error}")))
                .transpose()
        };
        let shared = std::env::var_os("QCBATCH_TEST_LIVE_DIRECTORY")
            .or_else(|| std::env::var_os("HOME"))
            .ok_or("neither QCBATCH_TEST_LIVE_DIRECTORY nor HOME is set")?;
        let own = tempfile::Builder::new().prefix("qcbatch-live-").tempdir_in(&shared);
        let own = own.map_err(|error| format!("{}: {error}", shared.display()))?;
        Ok(Live::Here(Box::new(Ground {
            queue: setting("QUEUE"),
            account: setting("ACCOUNT"),
            cores: number("CORES")?,
            patience: Duration::from_secs(60) * number("MINUTES")?.unwrap_or(30),
            submitted_from: own.path().to_owned(),
            _real: Some(Box::new(own)),
            ..ground
        })))
    }

    fn new(adapter: &str, bin: &Path, queue: Option<&'static str>) -> Ground {
        Ground::with(load(adapter, &[]), bin, queue)
    }

    fn with(adapter: Adapter, bin: &Path, queue: Option<&'static str>) -> Ground {
        let mut settings = Settings::of_this_process("/nonexistent".into(), "/nonexistent".into(), CORES);
        settings.search_first(&[bin.to_owned()]);
        let directory = PrivateDir::new();
        Ground {
            scheduler: Scheduler::new(adapter, settings),
            queue: queue.map(str::to_owned),
            account: None,
            cores: Some(CORES),
            patience: Within::AMoment.duration(),
            simulator: None,
            _real: None,
            submitted_from: directory.path().to_owned(),
            _directory: directory,
            submissions: AtomicU32::new(0),
        }
    }

    /// The simulator; only scenarios of trouble ask for it.
    pub fn simulator(&self) -> &Simulator {
        self.simulator.as_ref().expect("trouble is made on the simulator only")
    }

    /// Replaces what goes wrong in the simulator.
    pub fn mischief(&self, wanted: &Value) {
        self.simulator().mischief(wanted);
    }

    /// Does something to a submission of one job in the simulator.
    pub fn control(&self, verb: &str, id: &SchedulerJobId, arguments: &[&str]) {
        let digits: String = id.0.chars().take_while(char::is_ascii_digit).collect();
        self.simulator().control(&[&[verb, &digits], arguments].concat());
    }

    /// A directory that no other submission has, with `job.sh` that does `body`.
    pub fn request(&self, array_size: u32, body: &str) -> SubmitRequest {
        self.request_with(array_size, body, |_| {})
    }

    /// The same with other resources.
    pub fn request_with(
        &self,
        array_size: u32,
        body: &str,
        change: impl FnOnce(&mut JobResources),
    ) -> SubmitRequest {
        let number = self.submissions.fetch_add(1, Ordering::Relaxed);
        let directory = self.submitted_from.join(format!("submission-{number}"));
        fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
        let mut resources = JobResources::of_cores(1, Duration::from_secs(60));
        resources.queue.clone_from(&self.queue);
        resources.account.clone_from(&self.account);
        change(&mut resources);
        let request = SubmitRequest {
            tag: Tag::new(now, u128::from(std::process::id()) << 64 | u128::from(number)),
            script: directory.join("job.sh"),
            log: self.scheduler.log_path(&directory, array_size),
            directory,
            array_size,
            resources,
            warning: Duration::from_secs(30),
        };
        self.write_script(&request, body);
        request
    }

    /// Writes the job's script, with the directives of `request`.
    pub fn write_script(&self, request: &SubmitRequest, body: &str) {
        let directives = self.scheduler.directives(request).unwrap();
        let script = [
            &["#!/bin/bash".to_owned()][..],
            &directives,
            &self.scheduler.script_facts().lines,
            &[format!("cd '{}'", request.directory.display()), body.to_owned(), String::new()],
        ]
        .concat()
        .join("\n");
        fs::write(&request.script, script).unwrap();
        fs::set_permissions(&request.script, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// Submits; it must be accepted.
    #[track_caller]
    pub fn accepted(&self, answer: SubmitAnswer) -> SchedulerJobId {
        match answer {
            SubmitAnswer::Accepted { scheduler_job_id } => scheduler_job_id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Submits a single job that does `body`.
    pub async fn submit(&self, body: &str) -> SchedulerJobId {
        let request = self.request(1, body);
        self.accepted(self.scheduler.submit(&request, &WithoutLease).await)
    }

    /// The listing, which must be valid.
    pub async fn listing(&self) -> std::collections::HashMap<SchedulerJobId, JobSighting> {
        match self.scheduler.poll().await {
            PollAnswer::Valid { jobs, .. } => jobs,
            PollAnswer::Invalid { message } => panic!("the listing is invalid: {message}{}", self.log()),
        }
    }

    /// The listing once the job is in it and `wanted` holds for its sight.
    pub async fn until(
        &self,
        id: &SchedulerJobId,
        what: &str,
        wanted: impl Fn(&JobSighting) -> bool,
    ) -> JobSighting {
        let started = Instant::now();
        loop {
            let mut jobs = self.listing().await;
            if let Some(job) = jobs.remove(id).filter(&wanted) {
                return job;
            }
            assert!(started.elapsed() < self.patience, "{id} never was {what}: {jobs:?}{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the job runs.
    pub async fn running(&self, id: &SchedulerJobId) -> JobSighting {
        self.until(id, "running", |job| job.state == SchedulerState::Running).await
    }

    /// How the job ended: from the listing, or from the books once it is in neither queue nor listing.
    pub async fn end(&self, id: &SchedulerJobId) -> (JobOutcome, ExitStatus) {
        let started = Instant::now();
        let mut books = PostMortemAnswer::Unavailable;
        loop {
            let jobs = self.listing().await;
            let listed = jobs.get(id).cloned();
            if listed.as_ref().is_none_or(|job| ended(&job.state).is_some()) {
                books = self.scheduler.post_mortem(std::slice::from_ref(id)).await;
                if let PostMortemAnswer::Known(known) = &books
                    && let Some(job) = known.get(id)
                    && let Some(outcome) = job.outcome()
                {
                    return (outcome, job.exit);
                }
                if books == PostMortemAnswer::Unavailable
                    && let Some(job) = &listed
                    && let Some(outcome) = ended(&job.state)
                {
                    return (outcome, job.exit);
                }
            }
            assert!(
                started.elapsed() < self.patience,
                "{id} never ended: {listed:?}, {books:?}{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a cancelled job is over: as such, or, where the books have only jobs that ran, without a trace.
    pub async fn cancelled(&self, id: &SchedulerJobId) {
        let started = Instant::now();
        loop {
            let listed = self.listing().await.get(id).map(|job| job.state.clone());
            let books = self.scheduler.post_mortem(std::slice::from_ref(id)).await;
            let told = match &books {
                PostMortemAnswer::Known(known) => known.get(id).and_then(|job| job.outcome()),
                _ => None,
            };
            let outcome = told.or_else(|| listed.as_ref().and_then(ended));
            if let Some(outcome) = outcome {
                return assert_eq!(outcome, JobOutcome::Cancelled, "{id}");
            }
            if listed.is_none() && matches!(books, PostMortemAnswer::Known(_)) {
                return;
            }
            let waited = started.elapsed();
            assert!(waited < self.patience, "{id} stays: {listed:?}, {books:?}{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A job that takes the whole node until it is cancelled.
    pub async fn fill(&self) -> SchedulerJobId {
        let request = self.request_with(1, "sleep 60", |resources| resources.cores = self.cores.unwrap_or(1));
        let id = self.accepted(self.scheduler.submit(&request, &WithoutLease).await);
        self.running(&id).await;
        id
    }

    /// The server's complaints.
    fn log(&self) -> String {
        self.simulator.as_ref().map(|simulator| format!("\n{}", simulator.log())).unwrap_or_default()
    }
}

/// The outcome when it is over.
pub fn ended(state: &SchedulerState) -> Option<JobOutcome> {
    match state {
        SchedulerState::Ended { outcome, .. } => Some(*outcome),
        _ => None,
    }
}

fn load(name: &str, sites: &[PathBuf]) -> Adapter {
    Adapter::load(name, sites).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn which(program: &str) -> PathBuf {
    let path = crate::harness::slurm::search_path();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is installed (make test-setup)"))
}
