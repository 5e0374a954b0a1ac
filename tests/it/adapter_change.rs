//! A pool's adapter is changed in the configuration while work of it is at the scheduler that it had before: what went there
//! is asked for there, and nothing is submitted a second time.

use serde_json::{Value, json};

use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, stored, wait_until};

/// A daemon whose pool goes through Slurm, then through LSF; another pool keeps Slurm configured, and runs nothing.
struct Site {
    daemon: Daemon,
    database: Database,
    before: Simulator,
    after: Simulator,
}

impl Site {
    fn start(mischief: &Value) -> Site {
        let (before, after) = (Simulator::new(Dialect::Slurm), Simulator::new(Dialect::Lsf));
        before.mischief(mischief);
        let database = Database::fresh();
        let daemon = Daemon::start(&config(&database, &before, &after, "slurm"));
        Site { daemon, database, before, after }
    }

    fn change_adapter(&mut self) {
        self.daemon.stop();
        self.daemon.configure(&config(&self.database, &self.before, &self.after, "lsf"));
        self.daemon.start_again();
    }

    #[track_caller]
    fn wait_submission(&self, state: &str) {
        wait_until(
            state,
            Within::Minutes,
            || {
                (
                    self.database.sql("select state from submission order by id limit 1"),
                    self.daemon.log_tail(),
                )
            },
            |(found, _)| found == state,
        );
    }
}

fn config(database: &Database, before: &Simulator, after: &Simulator, adapter: &str) -> DaemonConfig {
    let pool = "cores = 1\ntasks_per_job = 100\ngrace = \"5s\"\nidle = \"3s\"";
    DaemonConfig::on(database)
        .with_pool(&format!("name = \"cluster\"\nadapter = \"{adapter}\"\n{pool}"))
        .with_pool(&format!("name = \"rest\"\nadapter = \"slurm\"\ncompute_tags = [\"nobody\"]\n{pool}"))
        .with_env("PATH", &format!("{}:{}", before.bin().display(), after.path()))
}

#[test]
fn live_jobs_are_followed_where_they_are() {
    let mut site = Site::start(&json!({"starts_nothing": true}));
    site.daemon.submit(&inputs::water_mopac(), &[]);
    site.wait_submission("accepted");
    site.change_adapter();
    // Longer than the grace time of a job that is missing.
    let polls = site.before.calls("squeue") + 6;
    wait_until(
        "the former scheduler is polled",
        Within::Minutes,
        || (site.before.calls("squeue"), site.daemon.log_tail()),
        |(calls, _)| *calls >= polls,
    );
    assert_eq!(site.database.sql("select state from job"), "queued", "{}", site.daemon.log_tail());
    site.before.mischief(&json!({}));
    stored::wait_each_complete_once(&site.daemon, &site.database, 1);
    assert_eq!((site.before.jobs().len(), site.after.jobs().len()), (1, 0));
}

#[test]
fn an_unclear_submission_is_looked_up_where_it_went() {
    // Torn lists answer no look-up: it stays unclear.
    let mut site = Site::start(&json!({"answer_lost": 1, "torn": true, "starts_nothing": true}));
    site.daemon.submit(&inputs::water_mopac(), &[]);
    site.wait_submission("unknown");
    site.change_adapter();
    site.before.mischief(&json!({"starts_nothing": true}));
    site.wait_submission("accepted");
    site.before.mischief(&json!({}));
    stored::wait_each_complete_once(&site.daemon, &site.database, 1);
    assert_eq!((site.before.jobs().len(), site.after.jobs().len()), (1, 0));
}

#[test]
fn what_was_never_submitted_is_planned_anew() {
    let mut site = Site::start(&json!({"refuses": true, "refusal": "busy"}));
    site.daemon.submit(&inputs::water_mopac(), &[]);
    wait_until(
        "the submission was refused",
        Within::Minutes,
        || (site.database.sql("select state, calls > 0 from submission"), site.daemon.log_tail()),
        |(found, _)| found == "planned|t",
    );
    site.change_adapter();
    stored::wait_each_complete_once(&site.daemon, &site.database, 1);
    assert_eq!((site.before.jobs().len(), site.after.jobs().len()), (0, 1));
    assert_eq!(
        site.database.sql("select state, cluster from submission order by id"),
        "withdrawn|slurm\naccepted|lsf"
    );
}
