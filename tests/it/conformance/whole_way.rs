//! The whole way through the daemon on a simulated scheduler: tasks in, results home, whatever the scheduler does meanwhile.

use serde_json::{Value, json};

use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// A simulated scheduler, a database and a daemon between them.
struct Site {
    daemon: Daemon,
    database: Database,
    simulator: Simulator,
}

impl Site {
    fn start(dialect: Dialect, tasks_per_job: u32) -> Site {
        let simulator = Simulator::new(dialect);
        let database = Database::fresh();
        let pool = format!(
            "name = \"cluster\"\nadapter = \"{}\"\ncores = 1\ntasks_per_job = {tasks_per_job}\ngrace = \"5s\"\nidle = \"3s\"\n",
            dialect.adapter()
        );
        let config = DaemonConfig::on(&database).with_pool(&pool).with_env("PATH", &simulator.path());
        Site { daemon: Daemon::start(&config), database, simulator }
    }

    /// Every record complete, with exactly one successful attempt each, by so many jobs in the scheduler's table.
    #[track_caller]
    fn wait_each_complete_once(&self, count: usize, jobs: usize) {
        self.daemon.wait_complete(count);
        let complete = self.database.count("select count(*) from compute_history where status = 'complete'");
        assert_eq!(complete, i64::try_from(count).unwrap(), "results were stored twice");
        assert_eq!(self.simulator.jobs().len(), jobs, "{:?}", self.simulator.jobs());
    }

    /// Waits until the daemon has listed the jobs so many times more.
    #[track_caller]
    fn wait_polls(&self, more: usize) {
        let before = self.list_calls();
        wait_until(
            "the daemon asks for the list again",
            Within::Minutes,
            || (self.list_calls(), self.daemon.log_tail()),
            |(calls, _)| *calls >= before + more,
        );
    }

    fn list_calls(&self) -> usize {
        self.simulator.calls(self.simulator.dialect().list_program())
    }
}

/// F1, F2: the submit command said that it failed; the job ran; it is found and not submitted again.
pub fn lost_answer_is_adopted(dialect: Dialect) {
    let mut site = Site::start(dialect, 100);
    site.simulator.mischief(&json!({"answer_lost": 1}));
    site.daemon.submit(&inputs::water_mopac(), &[]);
    site.wait_each_complete_once(1, 1);
}

/// F20, F21: no, torn, empty and half lists in turn while jobs wait; they are followed to their ends, and never taken for lost.
pub fn bad_lists_change_nothing(dialect: Dialect) {
    let mut site = Site::start(dialect, 1);
    let waits = |mut mischief: Value| {
        mischief["starts_nothing"] = json!(true);
        mischief
    };
    site.simulator.mischief(&waits(json!({})));
    site.daemon.submit(&inputs::many_mopac(4), &[]);
    wait_until(
        "the jobs were seen in the queue",
        Within::Minutes,
        || (site.database.count("select count(*) from job where state = 'queued'"), site.daemon.log_tail()),
        |(queued, _)| *queued == 4,
    );
    site.wait_polls(1);
    for mischief in [json!({"down": 1}), json!({"torn": 1}), json!({"empty": 1}), json!({"half": 1})] {
        site.simulator.mischief(&waits(mischief.clone()));
        // The bad one, and the good one after it.
        site.wait_polls(2);
        let over = site.database.count("select count(*) from job where state = 'ended'");
        assert_eq!(over, 0, "{mischief}: {}", site.daemon.log_tail());
    }
    site.simulator.mischief(&json!({}));
    site.wait_each_complete_once(4, 4);
}

/// F23, F24, F122: the scheduler forgets each job as it ends and keeps no books; the job's own end record settles it.
pub fn evidence_settles_forgotten_jobs(dialect: Dialect) {
    let mut site = Site::start(dialect, 100);
    site.simulator.mischief(&json!({"forget_finished": true, "no_accounting": true}));
    site.daemon.submit(&inputs::water_mopac(), &[]);
    site.wait_each_complete_once(1, 1);
    wait_until(
        "the job is over by its own end record",
        Within::Minutes,
        || (site.database.sql("select outcome::text from job"), site.daemon.log_tail()),
        |(outcome, _)| outcome == "completed",
    );
}
