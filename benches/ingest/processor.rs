//! Processor time of this process, of what it ran, and of all processes of a PostgreSQL server, from /proc.

use std::path::Path;
use std::time::Duration;

/// Where to look.
pub struct Processor {
    postmaster: u32,
    /// A process of ours beside this one.
    other: Option<u32>,
}

/// Processor time so far.
#[derive(Clone, Copy)]
pub struct Spent {
    pub ours: Duration,
    pub server: Duration,
}

impl std::ops::Sub for Spent {
    type Output = Spent;

    fn sub(self, before: Spent) -> Spent {
        Spent {
            ours: self.ours.saturating_sub(before.ours),
            server: self.server.saturating_sub(before.server),
        }
    }
}

impl Processor {
    /// The server of the cluster in `data`.
    pub fn of_server(data: &Path) -> Processor {
        let mark = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
        Processor { postmaster: mark.lines().next().unwrap().trim().parse().unwrap(), other: None }
    }

    /// The same with a further process of ours.
    pub fn and(self, pid: u32) -> Processor {
        Processor { other: Some(pid), ..self }
    }

    pub fn now(&self) -> Spent {
        let mut server = own_and_reaped(self.postmaster);
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if parent(pid) == Some(self.postmaster) {
                server += of_threads(pid);
            }
        }
        let ours = of_threads(std::process::id()) + reaped(std::process::id());
        Spent { ours: ours + self.other.map(of_threads).unwrap_or_default(), server }
    }

    /// Prints what `rows` took since `before`.
    pub fn say(&self, what: &str, rows: usize, time: Duration, before: Spent) {
        let spent = self.now() - before;
        super::say(&line(what, rows, time, spent.ours, spent.server));
    }
}

/// One line of figures.
pub fn line(what: &str, rows: usize, time: Duration, ours: Duration, server: Duration) -> String {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
    format!(
        "  {what}: {:.0} rows/s, {:.1} us each; processor time of each {:.1} us = {:.1} ours + {:.1} PostgreSQL",
        rows as f64 / time.as_secs_f64(),
        each(time),
        each(ours + server),
        each(ours),
        each(server)
    )
}

fn fields(pid: u32) -> Option<Vec<u64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit(')').next()?;
    Some(after_name.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect())
}

fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1).and_then(|parent| u32::try_from(*parent).ok())
}

/// Nanoseconds on a processor, of every thread that lives.
fn of_threads(pid: u32) -> Duration {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Processes that a process has started and seen end: the command line's.
fn reaped(pid: u32) -> Duration {
    let Some(fields) = fields(pid) else { return Duration::ZERO };
    Duration::from_millis(fields.iter().skip(13).take(2).sum::<u64>() * 10)
}

/// The postmaster itself and the processes that it has seen end.
fn own_and_reaped(pid: u32) -> Duration {
    let Some(fields) = fields(pid) else { return Duration::ZERO };
    // utime, stime, cutime, cstime in ticks of 10 ms (proc(5)).
    Duration::from_millis(fields.iter().skip(11).take(4).sum::<u64>() * 10)
}
