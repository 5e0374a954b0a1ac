//! Makes the typed configuration from settings that are complete, expanded and checked.
//! Pure: secrets are read before and handed in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::layer::{Layer, Values};
use super::secret::Secret;
use super::settings::*;
use super::value::Value;
use crate::model::ids::PoolName;
use crate::model::resources::{Filling, JobResources, NodeSharing, SetupErrors};

/// Typed looks at filled values. The schema decides which key has which type, so a mismatch is a slip in this file.
struct View<'v>(&'v Values);

const FILLED: &str = "the values are filled, and tests resolve the defaults and every word of every choice";

impl View<'_> {
    fn find<T>(&self, path: &str, pick: impl Fn(&Value) -> Option<T>) -> Option<T> {
        self.0.get(path).and_then(|setting| pick(&setting.value))
    }

    fn optional_text(&self, path: &str) -> Option<String> {
        self.find(path, |value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
    }

    fn text(&self, path: &str) -> String {
        self.optional_text(path).expect(FILLED)
    }

    fn optional_path(&self, path: &str) -> Option<PathBuf> {
        self.optional_text(path).map(PathBuf::from)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.text(path).into()
    }

    fn paths(&self, path: &str) -> Vec<PathBuf> {
        self.list(path).into_iter().map(PathBuf::from).collect()
    }

    fn choice<T: Copy>(&self, path: &str, words: &[(&str, T)]) -> T {
        let text = self.text(path);
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).expect(FILLED)
    }

    fn optional_count(&self, path: &str) -> Option<u32> {
        self.find(
            path,
            |value| if let Value::Integer(number) = value { u32::try_from(*number).ok() } else { None },
        )
    }

    fn count(&self, path: &str) -> u32 {
        self.optional_count(path).expect(FILLED)
    }

    fn duration(&self, path: &str) -> Duration {
        self.find(path, |value| if let Value::Duration(duration) = value { Some(*duration) } else { None })
            .expect(FILLED)
    }

    fn optional_bytes(&self, path: &str) -> Option<u64> {
        self.find(path, |value| if let Value::Size(bytes) = value { Some(*bytes) } else { None })
    }

    fn list(&self, path: &str) -> Vec<String> {
        self.find(path, |value| if let Value::List(items) = value { Some(items.clone()) } else { None })
            .expect(FILLED)
    }

    fn table(&self, path: &str) -> BTreeMap<String, String> {
        self.find(path, |value| if let Value::Table(table) = value { Some(table.clone()) } else { None })
            .expect(FILLED)
    }
}

const TLS_MODES: &[(&str, TlsMode)] = &[
    ("disable", TlsMode::Disable),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-full", TlsMode::VerifyFull),
];

const SHARED_FILESYSTEMS: &[(&str, SharedFilesystem)] =
    &[("refuse", SharedFilesystem::Refuse), ("allow", SharedFilesystem::Allow)];

const PRIORITIES: &[(&str, ComputePriority)] =
    &[("low", ComputePriority::Low), ("normal", ComputePriority::Normal), ("high", ComputePriority::High)];

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const FILLINGS: &[(&str, Filling)] = &[("fill", Filling::Fill), ("spread", Filling::Spread)];

const SETUP_ERRORS: &[(&str, SetupErrors)] =
    &[("fatal", SetupErrors::Fatal), ("ignored", SetupErrors::Ignored)];

const SHARINGS: &[(&str, NodeSharing)] =
    &[("shared", NodeSharing::Shared), ("exclusive", NodeSharing::Exclusive)];

/// The configuration that `filled` means.
pub(super) fn resolve(filled: &Layer, url: Option<Secret>) -> Config {
    let view = View(&filled.values);
    Config {
        site: SiteConfig {
            name: view.text("site.name"),
            state: view.path("site.state"),
            adapter_directories: view.paths("site.adapter_directories"),
            template_directories: view.paths("site.template_directories"),
        },
        database: DatabaseConfig {
            url,
            pool_size: view.count("database.pool_size"),
            bin_dir: view.optional_path("database.bin_dir"),
            server_user: view.optional_text("database.server_user"),
            shared_filesystem: view.choice("database.shared_filesystem", SHARED_FILESYSTEMS),
            tls: TlsConfig {
                mode: view.choice("database.tls.mode", TLS_MODES),
                root_certificate: view.optional_path("database.tls.root_certificate"),
            },
        },
        spool: SpoolConfig { path: view.path("spool.path"), keep: view.duration("spool.keep") },
        daemon: DaemonConfig {
            tick: view.duration("daemon.tick"),
            poll_interval: view.duration("daemon.poll_interval"),
            lease: view.duration("daemon.lease"),
            socket: view.path("daemon.socket"),
            log: view.text("daemon.log"),
            log_format: view.choice("daemon.log_format", LOG_FORMATS),
            log_file: view.optional_path("daemon.log_file"),
        },
        scheduler: SchedulerConfig {
            timeout: view.duration("scheduler.timeout"),
            search_path: view.paths("scheduler.search_path"),
            pass_environment: view.list("scheduler.pass_environment"),
        },
        intake: IntakeConfig {
            wait: view.duration("intake.wait"),
            life: view.duration("intake.life"),
            document_bytes: view.optional_bytes("intake.document_bytes").expect(FILLED),
            document_elements: view.count("intake.document_elements"),
        },
        inbox: InboxConfig {
            path: view.path("inbox.path"),
            scan_interval: view.duration("inbox.scan_interval"),
        },
        defaults: DefaultsConfig {
            pool: view.optional_text("defaults.pool").map(PoolName),
            compute_tag: view.text("defaults.compute_tag"),
            compute_priority: view.choice("defaults.compute_priority", PRIORITIES),
            cores: view.count("defaults.cores"),
            memory_bytes: view.optional_bytes("defaults.memory").expect(FILLED),
            walltime: view.duration("defaults.walltime"),
        },
        retry: RetryConfig {
            tries: view.count("retry.tries"),
            losses: view.count("retry.losses"),
            delay: view.duration("retry.delay"),
        },
        worker: WorkerConfig {
            python: view.text("worker.python"),
            native_programs: view.list("worker.native_programs"),
            recycle_after: view.count("worker.recycle_after"),
            recycle_growth_bytes: view.optional_bytes("worker.recycle_growth").expect(FILLED),
            result_bytes: view.optional_bytes("worker.result_bytes").expect(FILLED),
            heartbeat: view.duration("worker.heartbeat"),
        },
        pools: filled.pools.iter().map(|pool| resolve_pool(&View(&pool.values))).collect(),
    }
}

fn resolve_pool(view: &View<'_>) -> PoolConfig {
    let nodes = view.count("pool.nodes");
    PoolConfig {
        name: PoolName(view.text("pool.name")),
        adapter: view.text("pool.adapter"),
        programs: view.list("pool.programs"),
        compute_tags: view.list("pool.compute_tags"),
        cores: view.optional_count("pool.cores"),
        resources: JobResources {
            nodes,
            // Every node has a runner, and so a task of the scheduler's at least.
            tasks: view.count("pool.tasks").next_multiple_of(nodes.max(1)),
            cores: view.optional_count("pool.cores").unwrap_or(1),
            memory_bytes: view.optional_bytes("pool.memory"),
            gpus: view.count("pool.gpus"),
            gpu_type: view.optional_text("pool.gpu_type"),
            walltime: view.duration("pool.walltime"),
            queue: view.optional_text("pool.queue"),
            account: view.optional_text("pool.account"),
            qos: view.optional_text("pool.qos"),
            constraint: view.optional_text("pool.constraint"),
            reservation: view.optional_text("pool.reservation"),
            sharing: view.choice("pool.sharing", SHARINGS),
            extra: view.list("pool.extra"),
        },
        tasks_per_job: view.optional_count("pool.tasks_per_job"),
        max_jobs: view.count("pool.max_jobs"),
        filling: view.choice("pool.filling", FILLINGS),
        idle: view.duration("pool.idle"),
        max_array: view.count("pool.max_array"),
        task_nodes: view.count("pool.task_nodes"),
        mpiexec: view.optional_text("pool.mpiexec"),
        setup: view.list("pool.setup"),
        setup_errors: view.choice("pool.setup_errors", SETUP_ERRORS),
        environment: view.table("pool.environment"),
        worker_python: view.text("pool.worker_python"),
        scratch: view.optional_path("pool.scratch"),
        template: view.text("pool.template"),
        poll_interval: view.duration("pool.poll_interval"),
        grace: view.duration("pool.grace"),
        evidence_grace: view.duration("pool.evidence_grace"),
        warning: view.duration("pool.warning"),
    }
}
