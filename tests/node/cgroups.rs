//! Control groups of the real kernel, in a machine of their own: hosts differ in what of them they have.
//!
//! One test starts the machine, in which the others run; it sees the host's files and has a kernel with cgroup v2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use qcbatch::model::failure::FailureClass;
use serde_json::json;

use crate::fixture::*;

#[test]
fn in_a_machine_with_control_groups() {
    let own_machine = Path::new(env!("CARGO_MANIFEST_DIR")).join(".machine");
    let machine = std::env::var_os("QCBATCH_TEST_MACHINE").map_or(own_machine, PathBuf::from);
    if machine.as_os_str().is_empty() {
        eprintln!("left out: no kernel for a machine with control groups is known here");
        return;
    }
    assert!(machine.join("kernel").exists(), "no machine at `{}`: run `make test-setup`", machine.display());
    // Not below /run, which the machine has for itself.
    let script = tempfile::Builder::new().suffix(".sh").tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let own = std::env::current_exe().unwrap();
    let python = Generation::V2.python();
    let text = format!(
        "export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin TMPDIR=/run QCBATCH_TEST_PYTHON_V2='{}'\n\
         exec '{}' --ignored --test-threads=1 --color=never cgroups::inside::\n",
        python.display(),
        own.display()
    );
    fs::write(script.path(), text).unwrap();
    // Emulated, not accelerated: it is short, and where /dev/kvm exists it need not work.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk_share = format!("local,path={},mount_tag=disk,security_model=none", disk.path().display());
    let output = Command::new("timeout")
        .args(["--kill-after=10", "900", "qemu-system-x86_64"])
        .args("-accel tcg -cpu max -smp 2 -m 3072 -nodefaults -display none -no-reboot".split(' '))
        .args(["-serial", "stdio", "-kernel"])
        .arg(machine.join("kernel"))
        .arg("-initrd")
        .arg(machine.join("initrd.gz"))
        .args(["-append", &format!("console=ttyS0 loglevel=1 panic=-1 run={}", script.path().display())])
        .args(["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"])
        .args(["-virtfs", &disk_share])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("test result: ok. 7 passed") && told.contains("machine: exit 0"), "{told}");
}

/// A control group below the hierarchy's root, removed with all in it when dropped.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Group {
        let root = Path::new("/sys/fs/cgroup");
        fs::write(root.join("cgroup.subtree_control"), "+memory").unwrap();
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        Group(folder)
    }

    /// As systemd does with `Delegate=yes`.
    fn handed_over(name: &str) -> Group {
        let group = Group::new(name);
        rustix::fs::setxattr(&group.0, "trusted.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        group
    }

    fn parts(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().flatten();
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    fn slots(&self) -> usize {
        self.parts().iter().filter(|name| name.starts_with("qcbatch-slot-")).count()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        for part in self.parts() {
            until("an empty group", || fs::remove_dir(self.0.join(&part)).ok());
        }
        until("an empty group", || fs::remove_dir(&self.0).ok());
    }
}

/// What `sh` runs for each request of a worker in its place; `$task` is the task's number.
fn worker(for_each: &str) -> Vec<String> {
    let script = format!(
        r#"echo '{{"ready":{{"qcengine_version":"0"}}}}'
while read -r request; do task=${{request#*\"mine\":}}; task=${{task%%[!0-9]*}}
{for_each}
echo '{{"result":{{}},"error":null,"stdout":null,"stderr":null,"native_files":{{}},"cpu_seconds":0}}'; done"#
    );
    vec!["/bin/sh".into(), "-c".into(), script]
}

/// A folder that is not in memory.
const DISK: &str = "/run/disk";

/// What `memory::limit_of` allows a task of 64 MiB.
const LIMIT_BYTES: u64 = (64 + 512) << 20;

mod inside {
    use super::*;

    #[test]
    #[ignore = "runs in the machine"]
    fn a_task_that_takes_more_than_its_memory_is_killed_by_the_kernel_and_alone() {
        let group = Group::handed_over("hungry");
        let job = Job::new(Generation::V2)
            .tasks(3, &pm7())
            .each(|order| order.memory_bytes = 64 << 20)
            .manifest(|manifest| {
                manifest.cores = 1;
                manifest.scratch = Some(DISK.into());
                // Held by a process of another session, which is nobody's child.
                let hungry = "(setsid tail /dev/zero &); while [ \"$task\" = 1 ]; do sleep 1; done";
                manifest.worker_command = worker(&format!("if [ \"$task\" = 1 ]; then {hungry}; fi"));
            })
            .staged();
        assert_eq!(job.start_in(&group.0, &[]).wait(), 0);
        let reports = job.by_task();
        let (class, error_type, message) = error_of(&reports[&1]);
        assert_eq!((class, error_type.as_str()), (FailureClass::Memory, "memory_limit"), "{message}");
        assert_eq!(reports[&1].provenance.peak_memory_bytes, Some(LIMIT_BYTES));
        result_of(&reports[&0]);
        result_of(&reports[&2]);
        assert_eq!(group.slots(), 0);
    }

    #[test]
    #[ignore = "runs in the machine"]
    fn a_task_killed_for_the_memory_of_the_whole_job_is_not_blamed_for_its_own() {
        let group = Group::handed_over("small");
        fs::write(group.0.join("memory.max"), (LIMIT_BYTES / 2).to_string()).unwrap();
        let job = Job::new(Generation::V2)
            .task(pm7())
            .each(|order| order.memory_bytes = 64 << 20)
            .manifest(|manifest| {
                manifest.scratch = Some(DISK.into());
                manifest.worker_command = worker("tail /dev/zero");
            })
            .staged();
        assert_eq!(job.start_in(&group.0, &[]).wait(), 0);
        let (class, error_type, message) = error_of(&job.by_task()[&0]);
        assert_eq!((class, error_type.as_str()), (FailureClass::Memory, "worker_died"), "{message}");
    }

    #[test]
    #[ignore = "runs in the machine"]
    fn where_scratch_is_in_memory_its_files_are_not_counted() {
        let group = Group::handed_over("tmpfs");
        let job = Job::new(Generation::V2)
            .task(pm7())
            .each(|order| order.memory_bytes = 64 << 20)
            .manifest(|manifest| {
                let fill = "head -c 700M /dev/zero >/run/filled; rm /run/filled";
                manifest.worker_command = worker(fill);
            })
            .staged();
        assert_eq!(job.start_in(&group.0, &[]).wait(), 0);
        result_of(&job.by_task()[&0]);
    }

    #[test]
    #[ignore = "runs in the machine"]
    fn a_program_that_the_runner_starts_itself_keeps_what_it_had_written() {
        let group = Group::handed_over("native");
        let programs = tempfile::tempdir().unwrap();
        let mopac = programs.path().join("mopac");
        // The first thing that it does is to start another process, which is to be where it is itself.
        fs::write(&mopac, "#!/bin/busybox sh\nsetsid tail /dev/zero &\necho before\nwait; sleep 600\n")
            .unwrap();
        fs::set_permissions(&mopac, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let job = Job::new(Generation::V2)
            .task(pm7())
            .each(|order| order.memory_bytes = 64 << 20)
            .manifest(|manifest| {
                manifest.scratch = Some(DISK.into());
                manifest.native_programs = vec!["mopac".into()];
            })
            .staged();
        let path = format!("{}:/usr/bin:/bin", programs.path().display());
        assert_eq!(job.start_in(&group.0, &[("PATH", &path)]).wait(), 0);
        let report = &job.by_task()[&0];
        assert_eq!(error_of(report).1, "memory_limit");
        assert_eq!(report.stdout.as_deref(), Some("before\n"));
        until("no slot to be left", || (group.slots() == 0).then_some(()));
    }

    #[test]
    #[ignore = "runs in the machine"]
    fn nothing_that_a_task_started_outlives_its_worker_and_qcengine_works_as_ever() {
        let group = Group::handed_over("leftover");
        let job = Job::new(Generation::V2)
            .task(pm7())
            .manifest(|manifest| {
                manifest.cores = 1;
                manifest.worker_command = worker(
                    "below=/sys/fs/cgroup$(sed -n s/0:://p /proc/self/cgroup)/below; mkdir $below
                    (echo 0 >$below/cgroup.procs; exec setsid sleep 4242) </dev/null >/dev/null 2>&1 &",
                );
            })
            .staged();
        assert_eq!(job.start_in(&group.0, &[]).wait(), 0);
        result_of(&job.by_task()[&0]);
        assert_eq!((sleepers(), group.slots()), (vec![], 0));
        // The next job is started by a member of what the first one made.
        let real = Job::new(Generation::V2).task(pm7()).staged();
        assert_eq!(real.start_in(&group.0.join("qcbatch-runners"), &[]).wait(), 0);
        let log = fs::read_to_string(real.directory.runner_log()).unwrap();
        assert!(log.contains("tasks have control groups of their own"), "{log}");
        assert_eq!(result_of(&real.by_task()[&0])["success"], true);
        assert_eq!(group.parts(), ["qcbatch-runners"]);
    }

    #[test]
    #[ignore = "runs in the machine"]
    fn a_killed_runner_leaves_no_process_and_no_group() {
        let group = Group::handed_over("killed");
        let job = Job::new(Generation::V2)
            .task(pm7())
            .manifest(|manifest| {
                manifest.worker_command = worker("setsid sleep 4242 </dev/null >/dev/null 2>&1 & sleep 600");
            })
            .staged();
        let runner = job.start_in(&group.0, &[]);
        until("the sleeper", || (!sleepers().is_empty() && group.slots() == 1).then_some(()));
        runner.signal(Signal::SIGKILL);
        runner.wait();
        until("nothing to be left", || (sleepers().is_empty() && group.slots() == 0).then_some(()));
    }

    #[test]
    #[ignore = "runs in the machine"]
    fn a_group_that_nobody_handed_over_is_left_alone() {
        let group = Group::new("foreign");
        let job = Job::new(Generation::V2).task(synthetic("true", json!({}))).staged();
        assert_eq!(job.start_in(&group.0, &[]).wait(), 0);
        result_of(&job.by_task()[&0]);
        assert_eq!(group.parts(), [] as [String; 0]);
        assert_eq!(fs::read_to_string(group.0.join("cgroup.subtree_control")).unwrap(), "");
    }

    /// Processes that sleep as only these tests' do.
    fn sleepers() -> Vec<Pid> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let sleeps =
            |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x004242\0");
        pids.filter(sleeps).map(Pid::from_raw).collect()
    }
}
