//! Whether a submit command that a former daemon started is still at work on this host. Reads `/proc` only.
//!
//! A killed daemon cannot take its client along. A look-up that comes before such a late client would find nothing and
//! lead to a second submission.

use std::fs;

use super::{Scheduler, SubmitRequest};

impl Scheduler {
    /// Whether no process on this host runs the submit command of `request`, directly or through a wrapper script.
    pub fn client_is_gone(&self, request: &SubmitRequest) -> bool {
        let Ok(argv) = self.submit_argv(request) else { return true };
        let arguments: Vec<Vec<u8>> = argv.into_iter().skip(1).map(String::into_bytes).collect();
        !command_lines().any(|line| runs(&line, &arguments))
    }
}

/// Whether a process's arguments end with these.
fn runs(command_line: &[u8], arguments: &[Vec<u8>]) -> bool {
    let line = command_line.strip_suffix(b"\0").unwrap_or(command_line);
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    !arguments.is_empty()
        && words.len() > arguments.len()
        && words.iter().rev().zip(arguments.iter().rev()).all(|(a, b)| a == b)
}

/// The arguments of every process that we may look at, as `/proc/PID/cmdline` has them (proc(5)).
fn command_lines() -> impl Iterator<Item = Vec<u8>> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_client_is_known_by_its_arguments_also_behind_a_wrapper() {
        let arguments = words("--parsable --job-name=qcb-1 job.sh");
        assert!(runs(b"sbatch\0--parsable\0--job-name=qcb-1\0job.sh\0", &arguments));
        assert!(runs(b"/bin/sh\0/site/sbatch\0--parsable\0--job-name=qcb-1\0job.sh\0", &arguments));
    }

    #[test]
    fn neither_another_submission_nor_the_running_job_is_the_client() {
        let arguments = words("--parsable --job-name=qcb-1 job.sh");
        assert!(!runs(b"sbatch\0--parsable\0--job-name=qcb-2\0job.sh\0", &arguments));
        assert!(!runs(b"qcbatch\0node\0/spool/p/qcb-1/0\0", &arguments));
        assert!(!runs(b"", &arguments));
    }

    #[test]
    fn this_very_process_is_found() {
        let own = fs::read("/proc/self/cmdline").unwrap();
        assert!(command_lines().any(|line| line == own));
    }
}
