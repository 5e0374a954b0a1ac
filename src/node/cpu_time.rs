//! Processor time of a worker's process group, for tasks whose worker cannot tell it any more. Reads `/proc` only.

use std::fs;

use nix::unistd::Pid;

/// Linux tells times in `/proc` in hundredths of a second (`USER_HZ`) on every architecture it runs on here.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of one process and its finished children.
#[derive(Clone, Copy, PartialEq, Debug)]
struct ProcessTime {
    group: i32,
    seconds: f64,
}

/// Seconds that all living processes of `group` and their finished children have used so far.
pub fn of_group(group: Pid) -> f64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0.0 };
    entries
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
        })
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .filter(|time| time.group == group.as_raw())
        .map(|time| time.seconds)
        .sum()
}

/// Seconds that one process and its finished children have used so far.
pub fn of_process(pid: Pid) -> f64 {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| parse(&stat))
        .map_or(0.0, |time| time.seconds)
}

/// Reads a line of `/proc/PID/stat` (proc(5)): fields 5 (group) and 14 to 17 (user, system, and the children's).
fn parse(stat: &str) -> Option<ProcessTime> {
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let group = fields.get(2)?.parse().ok()?;
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ProcessTime { group, seconds: ticks / TICKS_PER_SECOND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_program_is_called() {
        let stat = "71 (a) b (c) S 1 70 69 0 -1 4194560 1 2 3 4 150 25 100 25 20 0 1 0 5 6";
        assert_eq!(parse(stat), Some(ProcessTime { group: 70, seconds: 3.0 }));
        assert_eq!(parse("71 (a"), None);
        assert_eq!(parse("71 (a) S 1"), None);
    }
}
