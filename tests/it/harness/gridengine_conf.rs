//! The configuration of a private Grid Engine cell with one executor as text. Nothing here touches the machine.

use std::path::Path;

/// What the master reads before anything else. `root` is the cell's private directory.
pub fn bootstrap(root: &Path, programs: &Path) -> String {
    let (root, programs) = (root.display(), programs.display());
    format!(
        "\
admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {root}/main/common;{root}/spool/qmaster
binary_path {programs}
qmaster_spool_dir {root}/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"
    )
}

/// The cluster's settings: what Debian ships, with a spool of our own, for any user, and books written at once.
pub fn global(shipped: &str, root: &Path) -> String {
    let changed = [
        ("execd_spool_dir", format!("{}/spool/execd", root.display())),
        ("mailer", "/bin/true".to_owned()),
        ("min_uid", "0".to_owned()),
        ("min_gid", "0".to_owned()),
        ("load_report_time", "00:00:02".to_owned()),
        ("administrator_mail", "none".to_owned()),
        (
            "reporting_params",
            "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00"
                .to_owned(),
        ),
    ];
    replaced(shipped, &changed)
}

/// The scheduler's settings: it looks every second.
pub fn scheduling(current: &str) -> String {
    let changed = [
        ("schedule_interval", "0:0:1"),
        ("flush_submit_sec", "1"),
        ("flush_finish_sec", "1"),
        ("job_load_adjustments", "NONE"),
        ("load_adjustment_decay_time", "0:0:0"),
    ];
    replaced(current, &changed.map(|(key, value)| (key, value.to_owned())))
}

fn replaced(text: &str, changed: &[(&str, String)]) -> String {
    text.lines()
        .map(|line| {
            let key = line.split_whitespace().next().unwrap_or_default();
            match changed.iter().find(|(name, _)| *name == key) {
                Some((name, value)) => format!("{name} {value}\n"),
                None => format!("{line}\n"),
            }
        })
        .collect()
}

/// The parallel environment of jobs with more than one slot.
pub const PARALLEL_ENVIRONMENT: &str = "\
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
";

/// The executor: this machine.
pub const EXECUTOR: &str = "\
hostname localhost
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
";

/// The queue `main`; `notify_seconds` stand between a warning and the kill that follows it.
pub fn queue(slots: u32, notify_seconds: u32) -> String {
    let mut text = format!(
        "\
qname main
hostlist localhost
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list smp
rerun FALSE
slots {slots}
tmpdir /tmp
shell /bin/sh
shell_start_mode posix_compliant
notify 00:00:{notify_seconds:02}
initial_state default
s_rt INFINITY
h_rt 24:00:00
"
    );
    for key in [
        "prolog",
        "epilog",
        "starter_method",
        "suspend_method",
        "resume_method",
        "terminate_method",
        "owner_list",
        "user_lists",
        "xuser_lists",
        "subordinate_list",
        "complex_values",
        "projects",
        "xprojects",
        "calendar",
    ] {
        text += &format!("{key} NONE\n");
    }
    for resource in ["cpu", "fsize", "data", "stack", "core", "rss", "vmem"] {
        text += &format!("s_{resource} INFINITY\nh_{resource} INFINITY\n");
    }
    text
}
