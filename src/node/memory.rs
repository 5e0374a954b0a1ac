//! Memory that programs hold, and the limit at which they are stopped. Reads `/proc` only.
//!
//! What counts is resident and private: Psi4 and others reserve far more address space than they ever touch, so a limit
//! on address space would kill healthy programs.

use std::fs;
use std::time::Duration;

use nix::unistd::Pid;

/// Programs that end sooner are not looked at.
pub const FIRST_LOOK: Duration = Duration::from_millis(400);
/// Programs hold somewhat more than the memory that they were told to plan with: code, libraries, buffers.
const LEEWAY_BYTES: u64 = 512 << 20;
/// The page of most processors, should the system not tell.
const USUAL_PAGE_BYTES: u64 = 4096;

/// What a task with so much memory may hold before it is stopped: a quarter more, at least half a GiB more.
pub fn limit_of(memory_bytes: u64) -> u64 {
    memory_bytes.saturating_add(LEEWAY_BYTES.max(memory_bytes / 4))
}

/// Private resident memory of a process and all its living descendants.
pub fn of_tree(root: Pid) -> u64 {
    let mut sum = 0;
    let mut waiting = vec![root.as_raw()];
    while let Some(pid) = waiting.pop() {
        sum += private_bytes(pid).unwrap_or(0);
        // Each thread has its own list of the children that it started.
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    sum
}

/// Resident memory of this process.
pub fn of_this_process() -> u64 {
    read_statm("self").map_or(0, |(resident, _)| resident)
}

/// Resident memory of one process.
pub fn of_process(pid: Pid) -> u64 {
    read_statm(&pid.to_string()).map_or(0, |(resident, _)| resident)
}

fn private_bytes(pid: i32) -> Option<u64> {
    let (resident, shared) = read_statm(&pid.to_string())?;
    Some(resident.saturating_sub(shared))
}

/// Resident and shared bytes, fields 2 and 3 of `/proc/PID/statm` (proc(5)).
fn read_statm(pid: &str) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    Some((pages.next()? * page_bytes(), pages.next()? * page_bytes()))
}

fn page_bytes() -> u64 {
    let told = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    told.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(USUAL_PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_holds_is_counted_and_what_it_only_reserved_is_not() {
        // Python touches 64 MiB and reserves 1 GiB; the shell above it holds next to nothing.
        let script = "import mmap,sys; held=b'x'*(64<<20); reserved=mmap.mmap(-1, 1<<30); print(1, flush=True); sys.stdin.read()";
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", "python3 -c \"$0\"; true", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let held = of_tree(Pid::from_raw(shell.id() as i32));
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!((64 << 20..512 << 20).contains(&held), "{held}");
        assert!(of_this_process() > 1 << 20);
    }

    #[test]
    fn small_tasks_have_leeway_in_bytes_and_large_ones_in_parts() {
        assert_eq!(limit_of(1 << 30), (1 << 30) + (512 << 20));
        assert_eq!(limit_of(16 << 30), 20 << 30);
    }
}
