//! Requests and schedulers that several tests share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use qcbatch::model::ids::Tag;
use qcbatch::model::resources::JobResources;
use qcbatch::scheduler::{Adapter, Scheduler, Settings, SubmitRequest};

pub const TAG: &str = "qcb-01jd000000000000000000000a";

pub fn tag() -> Tag {
    TAG.parse().unwrap()
}

pub fn resources() -> JobResources {
    let memory_bytes = Some((8 << 30) + 1);
    JobResources { memory_bytes, ..JobResources::of_cores(4, Duration::from_secs(3601)) }
}

pub fn request(directory: &str, array_size: u32) -> SubmitRequest {
    let directory = PathBuf::from(directory);
    SubmitRequest {
        tag: tag(),
        script: directory.join("job.sh"),
        log: directory.join(if array_size > 1 { "scheduler-%a.log" } else { "scheduler.log" }),
        directory,
        array_size,
        resources: resources(),
        warning: Duration::from_secs(180),
        excluded_nodes: Vec::new(),
    }
}

pub fn settings(search_path: &str) -> Settings {
    Settings {
        program: "/opt/qcbatch/bin/qcbatch".into(),
        state_directory: "/state/local".into(),
        machine_cores: 4,
        user: "alice".to_owned(),
        search_path: search_path.into(),
    }
}

pub fn scheduler(name: &str) -> Scheduler {
    Scheduler::new(Adapter::load(name, &[]).unwrap(), settings("/usr/bin:/bin"))
}

/// A directory of programs that answer as recorded: `NAME` prints `stdout`, complains `stderr` and exits with `code`.
pub struct Recorded {
    directory: tempfile::TempDir,
}

impl Recorded {
    pub fn new() -> Recorded {
        Recorded { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn answers(self, name: &str, stdout: &str, stderr: &str, code: i32) -> Recorded {
        let file = |kind: &str| self.directory.path().join(format!("{name}.{kind}"));
        std::fs::write(file("out"), stdout).unwrap();
        std::fs::write(file("err"), stderr).unwrap();
        let (out, err, argv) = (file("out"), file("err"), file("argv"));
        self.program(
            name,
            &format!(
                "printf '%s\\n' \"$@\" > '{}'; cat '{}'; cat '{}' >&2; exit {code}",
                argv.display(),
                out.display(),
                err.display()
            ),
        )
    }

    pub fn program(self, name: &str, script: &str) -> Recorded {
        let path = self.directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        make_executable(&path);
        self
    }

    pub fn argv(&self, name: &str) -> Vec<String> {
        let path = self.directory.path().join(format!("{name}.argv"));
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How often a program that writes a line to `$0.calls` was called.
    pub fn calls(&self, name: &str) -> usize {
        let path = self.directory.path().join(format!("{name}.calls"));
        std::fs::read_to_string(path).unwrap_or_default().lines().count()
    }

    /// A scheduler whose commands are looked for here only.
    pub fn scheduler_without_system_path(&self) -> Scheduler {
        let path = self.directory.path().display().to_string();
        Scheduler::new(Adapter::load("slurm", &[]).unwrap(), settings(&path))
    }

    /// A scheduler with an adapter of its own.
    pub fn scheduler_of(&self, name: &str, adapter: &str) -> Scheduler {
        std::fs::write(self.directory.path().join(format!("{name}.toml")), adapter).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.directory.path().display());
        let adapter = Adapter::load(name, &[self.directory.path().to_owned()]).unwrap();
        Scheduler::new(adapter, settings(&path))
    }

    pub fn scheduler(&self, name: &str) -> Scheduler {
        let path = format!("{}:/usr/bin:/bin", self.directory.path().display());
        Scheduler::new(Adapter::load(name, &[]).unwrap(), settings(&path))
    }
}

pub fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}
