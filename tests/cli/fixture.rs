//! A server of the local API in this process, on a database of its own, without any of the daemon's loops.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use qcbatch::api::local::{ApiState, LocalSocket, SchedulerMeter, serve};
use qcbatch::api::wire::{DaemonStatus, PreviewedSubmission};
use qcbatch::config::{Config, LoadOptions, Machine, Override};
use qcbatch::model::ids::PoolName;
use qcbatch::model::resources::TaskResources;
use qcbatch::model::view::PoolSummary;
use qcbatch::plan::fit::Offer;
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};
use qcbatch::store::{DatabaseTarget, Store, TlsMode, Writer};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::harness::Database;
use crate::harness::private_dir::PrivateDir;

/// The built program.
pub const QCBATCH: &str = env!("CARGO_BIN_EXE_qcbatch");

/// The site that it serves.
pub const SITE: &str = "default";

/// A running server and what belongs to it.
pub struct Server {
    pub directory: PrivateDir,
    pub database: Database,
    pub store: Store,
    pub writer: Writer,
    pub stored: watch::Sender<u64>,
    stopping: CancellationToken,
    serving: Option<tokio::task::JoinHandle<()>>,
    runtime: Runtime,
}

impl Server {
    pub fn start() -> Server {
        let directory = PrivateDir::new();
        let database = Database::fresh();
        let runtime = Runtime::new().unwrap();
        let (stored, stored_receiver) = watch::channel(0);
        let stopping = CancellationToken::new();
        let config = config(&directory);
        let (store, writer, serving) = runtime.block_on(async {
            let store = open(&database).await;
            let holder = LeaseHolder::this_process().unwrap();
            let ttl = Duration::from_secs(3600);
            let LeaseAnswer::Held { fence, .. } =
                store.acquire(SITE, &holder, ttl, TakeOver::WhenExpired).await.unwrap()
            else {
                panic!("nobody else uses this database");
            };
            let writer = store.writer(SITE, fence);
            let state = Arc::new(ApiState {
                writer: writer.clone(),
                store: store.clone(),
                config: Arc::new(config),
                status: Arc::new(status),
                cancelled_on: Arc::new(tokio::sync::watch::Sender::new(None)),
                wake: Arc::new(Notify::new()),
                stored: stored_receiver,
                offers: Arc::new(offers),
                scheduler_meter: Arc::new(|pool| {
                    (pool.0 == "local").then(|| SchedulerMeter {
                        calls: [("poll".to_owned(), 3)].into(),
                        poll_interval: Duration::from_secs(2),
                    })
                }),
                preview: Arc::new(|calculations, _| {
                    Ok(vec![PreviewedSubmission {
                        pool: PoolName("local".to_owned()),
                        argv: vec!["submit".to_owned(), "a b".to_owned()],
                        script: "#!/bin/sh\n".to_owned(),
                        jobs: 1,
                        tasks: calculations.len() as u32,
                    }])
                }),
                resume: Arc::new(|_| None),
                nodes: Arc::new(Vec::new),
                clear_nodes: Arc::new(|_| Vec::new()),
                scheduler_logs: Arc::new(|_, _| vec!["scheduler.log".to_owned()]),
                stopping: stopping.clone(),
            });
            let socket = LocalSocket::bind(&directory.join("state/qcbatch.sock")).unwrap();
            (store, writer, tokio::spawn(async move { serve(socket, state).await.unwrap() }))
        });
        Server { directory, database, store, writer, stored, stopping, serving: Some(serving), runtime }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("state/qcbatch.sock")
    }

    /// Runs `qcbatch --socket … ARGUMENTS`.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(QCBATCH);
        command.arg("--socket").arg(self.socket()).args(arguments);
        command.env("HOME", self.directory.path()).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
        command
    }

    /// Runs it and gives its standard output; it must succeed.
    #[track_caller]
    pub fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a file into the private directory.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs something of the library beside the server.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Asks the server to stop and waits until it has.
    pub fn stop(&mut self) {
        self.stopping.cancel();
        if let Some(serving) = self.serving.take() {
            self.runtime.block_on(serving).unwrap();
        }
    }
}

fn config(directory: &PrivateDir) -> Config {
    let machine = Machine {
        cores: 2,
        hostname: "here".to_owned(),
        home: directory.path().to_owned(),
        user: "tester".to_owned(),
    };
    let mut options = LoadOptions::of_process(machine);
    options.environment.clear();
    options.system_file = directory.join("none.toml");
    let state = format!("site.state={}", directory.join("state").display());
    options.overrides.push(Override::parse(&state).unwrap());
    Config::load(&options).unwrap().config
}

async fn open(database: &Database) -> Store {
    let target = DatabaseTarget::parse(&database.url(), Some(TlsMode::Disable), None).unwrap();
    let store = Store::connect(&target, 4).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// One pool, with the programs of the tests.
fn offers() -> Vec<Offer> {
    vec![Offer {
        pool: PoolName("local".to_owned()),
        programs: ["mopac", "psi4", "geometric"].map(str::to_owned).to_vec(),
        compute_tags: vec!["*".to_owned()],
        most: TaskResources {
            cores: Some(4),
            memory_bytes: Some(8 << 30),
            walltime_seconds: Some(14_400),
            gpus: Some(0),
            nodes: Some(1),
        },
    }]
}

fn status() -> DaemonStatus {
    DaemonStatus {
        site: SITE.to_owned(),
        version: "0.0.0".to_owned(),
        pid: 7,
        hostname: "here".to_owned(),
        started_on: "2026-11-22T09:00:00Z".parse().unwrap(),
        pools: vec![PoolSummary {
            obstacles: vec![],
            name: PoolName("local".to_owned()),
            adapter: "local".to_owned(),
            scheduler: Default::default(),
            jobs: [].into(),
            paused: None,
            without_python: None,
            polled_on: None,
            limits: String::new(),
        }],
        troubles: Vec::new(),
    }
}

/// What a program wrote to standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
