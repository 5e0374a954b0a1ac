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
        let mut server = with_reaped(self.postmaster);
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if parent(pid) == Some(self.postmaster) {
                server += of_session(pid);
            }
        }
        let ours = with_reaped(std::process::id());
        Spent { ours: ours + self.other.map(with_reaped).unwrap_or_default(), server }
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

/// Nanoseconds on a processor, of a process with one thread.
fn of_session(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// A process, all threads it ever had, and the processes that it has seen end.
fn with_reaped(pid: u32) -> Duration {
    let Some(fields) = fields(pid) else { return Duration::ZERO };
    // utime, stime, cutime, cstime in ticks of 10 ms (proc(5)).
    Duration::from_millis(fields.iter().skip(11).take(4).sum::<u64>() * 10)
}
