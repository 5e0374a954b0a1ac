//! The daemon's clock is minutes or hours away from the database's. The submit command's answer is lost and the scheduler takes
//! the job seconds later: it is adopted, not submitted a second time. The daemon gets that clock by libfaketime.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::gridengine::{self, GridEngine, GridEngineOptions};
use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::slurm::search_path;
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, Within, inputs, wait_until};

/// Seconds after which the first submission is really made. Look-ups are further apart.
const LATE: u32 = 4;

/// The submit command of a scheduler, first on PATH: its first call hands the request to a process that submits it later, and
/// says that nobody answered.
fn late_once(bin: &Path, program: &str, real: &Path) {
    let (wrapper, later, used) = (bin.join(program), bin.join("later.sh"), bin.join("used"));
    let (arguments, input) = (bin.join("arguments"), bin.join("input"));
    // A client that is visible would be waited for: this one shows neither the command nor the tag.
    let text = format!(
        "#!/bin/bash\nsleep {LATE}\nmapfile -d '' -t words <{}\ncd \"$(cat {}.directory)\"\n\
         exec {} \"${{words[@]}}\" <{}\n",
        arguments.display(),
        arguments.display(),
        real.display(),
        input.display()
    );
    fs::write(&later, text).unwrap();
    let text = format!(
        "#!/bin/bash\nif mkdir {} 2>/dev/null; then\n  printf '%s\\0' \"$@\" >{}\n  pwd >{}.directory\n  cat >{}\n  \
         setsid bash {} </dev/null >/dev/null 2>&1 &\n  echo 'nobody answered' >&2\n  exit 99\nfi\nexec {} \"$@\"\n",
        used.display(),
        arguments.display(),
        arguments.display(),
        input.display(),
        later.display(),
        real.display()
    );
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
}

fn adapter(place: &PrivateDir, extends: &str) -> std::path::PathBuf {
    let directory = place.subdirectory("adapters", 0o755);
    let text = format!("extends = \"{extends}\"\n[calls]\nlookup_gap = \"{}s\"\n", 2 * LATE);
    fs::write(directory.join("near.toml"), text).unwrap();
    directory
}

fn config(database: &Database, adapters: &Path, offset: &str) -> DaemonConfig {
    let library = std::env::var("QCBATCH_TEST_FAKETIME").expect("make test finds libfaketime");
    DaemonConfig::on(database)
        .with_adapters(adapters)
        .with_env("LD_PRELOAD", &library)
        .with_env("FAKETIME", offset)
        .with_env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

fn is_adopted(dialect: Dialect, program: &str, offset: &str) {
    let (simulator, place, database) = (Simulator::new(dialect), PrivateDir::new(), Database::fresh());
    let bin = place.subdirectory("bin", 0o755);
    late_once(&bin, program, &simulator.bin().join(program));
    let pool = "name = \"cluster\"\nadapter = \"near\"\ncores = 1\ntasks_per_job = 100\ngrace = \"10s\"\nidle = \"3s\"";
    let config = config(&database, &adapter(&place, dialect.adapter()), offset)
        .with_pool(pool)
        .with_env("PATH", &format!("{}:{}", bin.display(), simulator.path()));
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    daemon.wait_complete(1);
    assert_eq!(simulator.jobs().len(), 1, "{:?}\n{}", simulator.jobs(), daemon.log_tail());
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_slurm() {
    is_adopted(Dialect::Slurm, "sbatch", "+10m");
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_an_hour_behind_slurm() {
    is_adopted(Dialect::Slurm, "sbatch", "-1h");
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_pbs() {
    is_adopted(Dialect::Pbs, "qsub", "+10m");
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_torque() {
    is_adopted(Dialect::Torque, "qsub", "+10m");
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_two_hours_ahead_lsf() {
    is_adopted(Dialect::Lsf, "bsub", "+2h");
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_grid_engine() {
    is_adopted(Dialect::Sge, "qsub", "+10m");
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_on_a_real_slurm() {
    let (slurm, place, database) = (Slurm::start(), PrivateDir::new(), Database::fresh());
    let bin = place.subdirectory("bin", 0o755);
    late_once(&bin, "sbatch", &on_path("sbatch"));
    let (name, value) = slurm.env();
    let pool = "name = \"cluster\"\nadapter = \"near\"\nqueue = \"main\"\ngrace = \"20s\"\nidle = \"3s\"";
    let config = config(&database, &adapter(&place, "slurm"), "+10m")
        .with_pool(pool)
        .with_env(name, &value.display().to_string())
        .with_env("PATH", &format!("{}:{}", bin.display(), search_path()));
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    daemon.wait_complete(1);
    let ours: Vec<_> = slurm.jobs().into_iter().filter(|job| job.name.starts_with("qcb-")).collect();
    assert_eq!(ours.len(), 1, "{ours:?}\n{}", daemon.log_tail());
}

#[test]
fn a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_on_a_real_grid_engine() {
    if !gridengine::installed(
        "a_late_acceptance_is_adopted_with_a_clock_ten_minutes_ahead_on_a_real_grid_engine",
    ) {
        return;
    }
    let (cell, place, database) =
        (GridEngine::start(&GridEngineOptions::default()), PrivateDir::new(), Database::fresh());
    // Its clients are called by whoever is on PATH first, which the engine's own pool settings keep.
    let bin = place.subdirectory("bin", 0o755);
    late_once(&bin, "qsub", &on_path("qsub"));
    let adapters = place.subdirectory("adapters", 0o755);
    fs::write(adapters.join("sge.toml"), format!("[calls]\nlookup_gap = \"{}s\"\n", 2 * LATE)).unwrap();
    let config = config(&database, &adapters, "+10m")
        .with_gridengine_pool(&cell, &adapters, "cores = 1\nmemory = \"4GiB\"\nidle = \"3s\"")
        .with_env("PATH", &format!("{}:{}", bin.display(), search_path()));
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    daemon.wait_complete(1);
    wait_until("no job is left", Within::Minutes, || cell.jobs(), Vec::is_empty);
    assert_eq!(cell.names_in_books().len(), 1, "{}", daemon.log_tail());
}

fn on_path(program: &str) -> std::path::PathBuf {
    std::env::split_paths(&search_path())
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is installed (make test-setup)"))
}
