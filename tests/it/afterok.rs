//! The script of README: a batch job that starts when a calculation is complete, and does not when it failed.

use std::fs;
use std::process::Command;

use crate::harness::{Daemon, DaemonConfig, Database, Slurm, Within, inputs, wait_until};

/// Runs `sbatch --dependency=afterok:$(qcbatch submit --now --parsable in.json) next.sh` in a directory with these two files.
fn run_script(slurm: &Slurm, daemon: &mut Daemon, input: &serde_json::Value) -> std::path::PathBuf {
    let input = daemon.write_input(input);
    let directory = input.with_extension("d");
    fs::create_dir(&directory).unwrap();
    fs::rename(&input, directory.join("in.json")).unwrap();
    fs::write(directory.join("next.sh"), "#!/bin/sh\n#SBATCH --time=2 --output=/dev/null\necho ran > ran\n")
        .unwrap();
    let script = "set -eu\nsbatch --dependency=afterok:$(qcbatch submit --now --parsable in.json) next.sh\n";
    let output = Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(&directory)
        .env("PATH", daemon.path_with_qcbatch())
        .env("QCBATCH_SOCKET", daemon.socket())
        .env(slurm.env().0, slurm.env().1)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}\n{}", daemon.log_tail());
    directory.join("ran")
}

#[test]
fn the_next_script_runs_after_a_complete_calculation() {
    let slurm = Slurm::start();
    let mut daemon = Daemon::start(
        &DaemonConfig::on(&Database::fresh()).with_slurm_pool(&slurm, "cores = 1\nmemory = \"4GiB\""),
    );
    let ran = run_script(&slurm, &mut daemon, &inputs::water_mopac());
    wait_until("next.sh has run", Within::Minutes, || (ran.exists(), slurm.jobs()), |(ran, _)| *ran);
    daemon.wait_complete(1);
}

#[test]
fn the_next_script_never_runs_after_a_failed_calculation() {
    let slurm = Slurm::start();
    let mut daemon = Daemon::start(
        &DaemonConfig::on(&Database::fresh()).with_slurm_pool(&slurm, "cores = 1\nmemory = \"4GiB\""),
    );
    let wrong = inputs::energy("psi4", "no_such_method", Some("sto-3g"), inputs::water());
    let ran = run_script(&slurm, &mut daemon, &wrong);
    wait_until(
        "Slurm says that the dependency can never be met",
        Within::Minutes,
        || slurm.ask("squeue", &["-h", "-o", "%r"]),
        |reasons| reasons.contains("DependencyNeverSatisfied"),
    );
    assert!(!ran.exists());
}
