//! Whether a submit command that a former daemon started is still at work on this host. Reads `/proc` only.
//!
//! A killed daemon cannot take its client along. A look-up that comes before such a late client would find nothing and
//! lead to a second submission. A client is known by program and tag: a newer daemon or adapter writes other options.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use super::{Scheduler, SubmitRequest};

impl Scheduler {
    /// Whether no process on this host runs the submit command of `request`, directly or through a wrapper script. What
    /// cannot be seen is not gone.
    pub fn client_is_gone(&self, request: &SubmitRequest) -> bool {
        let Ok(argv) = self.submit_argv(request) else { return false };
        let Some(program) = argv.first() else { return false };
        none_runs(Path::new("/proc"), file_name(program.as_bytes()), request.tag.as_str().as_bytes())
    }
}

/// Whether no process below `proc` runs `program` for `tag`.
fn none_runs(proc: &Path, program: &[u8], tag: &[u8]) -> bool {
    let Ok(entries) = fs::read_dir(proc) else { return false };
    for entry in entries {
        let Ok(entry) = entry else { return false };
        if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        match fs::read(entry.path().join("cmdline")) {
            Ok(line) if runs(&line, program, tag) => return false,
            Ok(_) => {}
            Err(error) if has_ended(&error) => {}
            // Other people's processes may be hidden from us; one of ours could be the client.
            Err(_) => match fs::metadata(entry.path()) {
                Ok(process) if process.uid() != Uid::effective().as_raw() => {}
                Err(error) if has_ended(&error) => {}
                Ok(_) | Err(_) => return false,
            },
        }
    }
    true
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// Whether a process's arguments name both. The tag within a path is that of the submission's directory: its job has it too.
fn runs(command_line: &[u8], program: &[u8], tag: &[u8]) -> bool {
    let words = || command_line.split(|byte| *byte == 0);
    let tagged = |word: &[u8]| {
        let at = word.windows(tag.len()).position(|part| part == tag);
        at.is_some_and(|at| !word[..at].contains(&b'/'))
    };
    words().any(|word| file_name(word) == program) && words().any(tagged)
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_program_and_tag_whatever_its_options() {
        for line in [
            &b"sbatch\0--parsable\0--job-name=qcb-1\0job.sh\0"[..],
            b"/bin/sh\0/site/sbatch\0--time=5\0--job-name\0qcb-1\0/spool/p/qcb-1/job.sh\0",
            b"sbatch\0-J\0qcb-1[1-3]\0",
        ] {
            assert!(runs(line, b"sbatch", b"qcb-1"), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn neither_another_submission_nor_the_running_job_is_the_client() {
        for line in [
            &b"sbatch\0--parsable\0--job-name=qcb-2\0job.sh\0"[..],
            b"qcbatch\0node\0/spool/p/qcb-1/0\0",
            b"/bin/bash\0/spool/p/qcb-1/job.sh\0",
            b"squeue\0--name=qcb-1\0",
            b"",
        ] {
            assert!(!runs(line, b"sbatch", b"qcb-1"), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_gone() {
        let proc = tempfile::tempdir().unwrap();
        assert!(!none_runs(&proc.path().join("nowhere"), b"sbatch", b"qcb-1"));
        for pid in ["1", "12", "self"] {
            fs::create_dir(proc.path().join(pid)).unwrap();
        }
        // 12 has no arguments any more: it has ended.
        fs::write(proc.path().join("1/cmdline"), "init\0").unwrap();
        assert!(none_runs(proc.path(), b"sbatch", b"qcb-1"));
        // One of ours whose arguments cannot be read.
        fs::create_dir(proc.path().join("12/cmdline")).unwrap();
        assert!(!none_runs(proc.path(), b"sbatch", b"qcb-1"));
    }

    #[test]
    fn a_client_on_this_very_machine_is_found() {
        let mut client = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        // A process that is just being replaced by its program has no arguments for a moment.
        while fs::read(format!("/proc/{}/cmdline", client.id())).unwrap().is_empty() {}
        assert!(!none_runs(Path::new("/proc"), b"sleep", b"600"));
        client.kill().unwrap();
        client.wait().unwrap();
    }
}
