//! One program in a process group of its own: its output read, its time and memory watched, its end and that of all
//! it started made sure. Blocks the thread that calls it.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use wait4::Wait4;

use crate::node::cgroup::Cgroup;

/// How often limits are looked at while a program runs.
const TICK: Duration = Duration::from_millis(500);
/// How long a group has between TERM and KILL.
const KILL_GRACE: Duration = Duration::from_secs(2);
/// What is kept of each stream; a program that prints without end must not fill the node's memory.
const MOST_OUTPUT: usize = 64 << 20;
/// How often the end of a program that closed its output is looked for without sleeping, then the longest sleep.
const YIELDS: u32 = 50;
const LONGEST_NAP: Duration = Duration::from_millis(20);

/// How a program ended and what it left.
#[derive(Debug)]
pub struct Ended<Why> {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// User and system time of it and of its children that it waited for.
    pub cpu_seconds: f64,
    /// The most memory that one of its processes held.
    pub peak_memory_bytes: u64,
    /// Why it was killed, if it was.
    pub killed: Option<Why>,
}

/// What the watch says of a running program.
#[derive(Debug)]
pub enum Watch<Why> {
    /// It goes on; ask again then at the latest.
    Until(Instant),
    /// Kill it.
    Kill(Why),
}

/// Runs `command` to its end. Where it is a member of `cgroup`, all other members end with it. `watch` is asked at least every half second.
pub fn run<Why>(
    mut command: Command,
    cgroup: Option<&Cgroup>,
    mut watch: impl FnMut(Pid, Instant) -> Watch<Why>,
) -> io::Result<Ended<Why>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let group = Pid::from_raw(child.id().cast_signed());
    let mut streams = [Stream::new(child.stdout.take()), Stream::new(child.stderr.take())];
    let mut killing: Option<(Why, Instant)> = None;
    let mut naps = Naps::default();
    loop {
        let now = Instant::now();
        let next = match &killing {
            Some((_, kill_at)) if now >= *kill_at => {
                let _ = killpg(group, Signal::SIGKILL);
                now + TICK
            }
            Some((_, kill_at)) => *kill_at,
            None => match watch(group, now) {
                Watch::Until(next) => next.min(now + TICK),
                Watch::Kill(why) => {
                    let _ = killpg(group, Signal::SIGTERM);
                    killing = Some((why, now + KILL_GRACE));
                    now + KILL_GRACE
                }
            },
        };
        if streams.iter().any(Stream::is_open) {
            if read_some(&mut streams, next)? {
                continue;
            }
        } else if !has_ended(group) {
            naps.nap(next);
            continue;
        }
        if has_ended(group) {
            break;
        }
    }
    if let Some(cgroup) = cgroup {
        cgroup.kill();
    }
    bury(child, group, streams, killing.map(|(why, _)| why))
}

/// Reads what there is, or waits until `until`. Says whether there was something.
fn read_some(streams: &mut [Stream; 2], until: Instant) -> io::Result<bool> {
    let wait = until.saturating_duration_since(Instant::now()).as_millis() + 1;
    let timeout = PollTimeout::from(u16::try_from(wait).unwrap_or(u16::MAX));
    let ready = {
        let mut polled: Vec<PollFd<'_>> = streams
            .iter()
            .filter_map(|stream| stream.pipe.as_ref())
            .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut polled, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = polled.iter().map(|polled| polled.any().unwrap_or(false));
        [0, 1].map(|index: usize| streams[index].is_open() && ready.next().unwrap_or(false))
    };
    for (stream, ready) in streams.iter_mut().zip(ready) {
        if ready {
            stream.read();
        }
    }
    Ok(true)
}

/// Whether the group's first process has ended. It is not reaped, so that its number stays its own.
fn has_ended(group: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(group), flags), Ok(WaitStatus::StillAlive))
}

/// Nobody of the group is left alive, then its first process is reaped.
fn bury<Why>(
    child: Child,
    group: Pid,
    mut streams: [Stream; 2],
    killed: Option<Why>,
) -> io::Result<Ended<Why>> {
    let _ = killpg(group, Signal::SIGKILL);
    // What a process that the program left behind held open ends now.
    let limit = Instant::now() + KILL_GRACE;
    while streams.iter().any(Stream::is_open) && Instant::now() < limit {
        read_some(&mut streams, limit)?;
    }
    let used = child.wait4()?;
    let [stdout, stderr] = streams.map(Stream::into_text);
    Ok(Ended {
        status: used.status,
        stdout,
        stderr,
        cpu_seconds: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        peak_memory_bytes: used.rusage.maxrss,
        killed,
    })
}

/// Waits for something that happens within microseconds, or not for a long time.
#[derive(Default)]
struct Naps {
    count: u32,
}

impl Naps {
    fn nap(&mut self, until: Instant) {
        self.count += 1;
        if self.count <= YIELDS {
            return thread::yield_now();
        }
        let nap = Duration::from_micros(50) * (1 << (self.count - YIELDS).min(9));
        thread::sleep(nap.min(LONGEST_NAP).min(until.saturating_duration_since(Instant::now())));
    }
}

trait Pipe: Read + AsFd + Send {}
impl<T: Read + AsFd + Send> Pipe for T {}

struct Stream {
    pipe: Option<Box<dyn Pipe>>,
    bytes: Vec<u8>,
    left_out: u64,
}

impl Stream {
    fn new(pipe: Option<impl Pipe + 'static>) -> Stream {
        Stream { pipe: pipe.map(|pipe| Box::new(pipe) as Box<dyn Pipe>), bytes: Vec::new(), left_out: 0 }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads once: `poll` said that it does not block.
    fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        let read = self.pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(&mut buffer));
        match read {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                let kept = count.min(MOST_OUTPUT - self.bytes.len());
                self.bytes.extend_from_slice(&buffer[..kept]);
                self.left_out += (count - kept) as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.pipe = None,
        }
    }

    fn into_text(self) -> String {
        let mut text = String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        if self.left_out > 0 {
            text.push_str(&format!("\n[qcbatch: {} bytes more were left out]\n", self.left_out));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn unwatched(_: Pid, now: Instant) -> Watch<()> {
        Watch::Until(now + Duration::from_secs(60))
    }

    #[test]
    fn output_status_and_time_come_back() {
        let ended = run(shell("echo out; echo err >&2; exit 3"), None, unwatched).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!((ended.status.code(), ended.killed), (Some(3), None));
        assert!(ended.peak_memory_bytes > 100 << 10);
    }

    #[test]
    fn output_beyond_the_limit_is_left_out_and_said_so() {
        let ended = run(shell("head -c 70000000 /dev/zero"), None, unwatched).unwrap();
        let note = format!("[qcbatch: {} bytes more were left out]", 70_000_000 - MOST_OUTPUT);
        assert!(ended.stdout[MOST_OUTPUT..].contains(&note));
    }

    #[test]
    fn a_program_that_heeds_no_term_is_killed_with_all_it_started_and_its_output_kept() {
        let script = "trap '' TERM; echo $$; (trap '' TERM; while :; do sleep 1; done) & echo $!; wait; wait";
        let started = Instant::now();
        let ended = run(shell(script), None, |_, now| {
            if started.elapsed() > Duration::from_millis(300) {
                Watch::Kill("time")
            } else {
                Watch::Until(now)
            }
        })
        .unwrap();
        assert_eq!(ended.killed, Some("time"));
        let pids: Vec<i32> = ended.stdout.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(pids.len(), 2);
        let gone = |pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        assert!(pids.into_iter().all(gone));
    }

    #[test]
    fn what_a_program_left_behind_does_not_keep_the_slot() {
        let started = Instant::now();
        let ended = run(shell("sleep 60 & echo done"), None, unwatched).unwrap();
        assert_eq!(ended.stdout, "done\n");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_program_that_closes_its_output_is_waited_for() {
        let ended = run(shell("exec >&- 2>&-; sleep 0.3; exit 4"), None, unwatched).unwrap();
        assert_eq!(ended.status.code(), Some(4));
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(run(Command::new("/no/such/program"), None, unwatched).is_err());
    }
}
