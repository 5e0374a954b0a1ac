//! Which placeholders each part of an adapter may use. Pure.

use super::messages::Verb;
use super::template::Placeholder;
use super::values::ValueKind;

const fn always(name: &'static str, kind: ValueKind) -> Placeholder {
    Placeholder { name, kind, always: true }
}

const fn sometimes(name: &'static str, kind: ValueKind) -> Placeholder {
    Placeholder { name, kind, always: false }
}

/// Known wherever a command is written.
const EVERYWHERE: [Placeholder; 4] = [
    always("user", ValueKind::Plain),
    always("program", ValueKind::Plain),
    always("state_directory", ValueKind::Plain),
    always("machine_cores", ValueKind::Plain),
];

const SUBMIT: [Placeholder; 29] = [
    always("tag", ValueKind::Plain),
    always("script", ValueKind::Plain),
    always("directory", ValueKind::Plain),
    always("log", ValueKind::Plain),
    sometimes("array_size", ValueKind::Plain),
    sometimes("array_first", ValueKind::Plain),
    sometimes("array_last", ValueKind::Plain),
    always("warning", ValueKind::Span),
    sometimes("warning_minutes", ValueKind::Plain),
    always("walltime", ValueKind::Span),
    always("nodes", ValueKind::Plain),
    always("tasks", ValueKind::Plain),
    always("tasks_per_node", ValueKind::Plain),
    always("cores", ValueKind::Plain),
    always("cores_per_node", ValueKind::Plain),
    always("cores_total", ValueKind::Plain),
    sometimes("parallel_cores", ValueKind::Plain),
    sometimes("memory", ValueKind::Bytes),
    sometimes("memory_per_core", ValueKind::Bytes),
    sometimes("several_nodes", ValueKind::Plain),
    sometimes("gpus", ValueKind::Plain),
    sometimes("gpu_type", ValueKind::Plain),
    sometimes("queue", ValueKind::Plain),
    sometimes("account", ValueKind::Plain),
    sometimes("qos", ValueKind::Plain),
    sometimes("constraint", ValueKind::Plain),
    sometimes("reservation", ValueKind::Plain),
    sometimes("exclusive", ValueKind::Plain),
    sometimes("extra", ValueKind::List),
];

const FIND: [Placeholder; 2] = [always("tag", ValueKind::Plain), always("since", ValueKind::Moment)];
/// Only with `[poll_ids]`.
const POLL: [Placeholder; 1] = [sometimes("ids", ValueKind::List)];
const IDS: [Placeholder; 1] = [always("ids", ValueKind::List)];
const BOOKS: [Placeholder; 2] = [always("ids", ValueKind::List), always("columns", ValueKind::List)];

/// What the command of `verb` may use.
pub fn of_verb(verb: Verb) -> Vec<Placeholder> {
    let own: &[Placeholder] = match verb {
        Verb::Submit => &SUBMIT,
        Verb::FindByTag => &FIND,
        Verb::PostMortem => &BOOKS,
        Verb::Cancel | Verb::Hold | Verb::Release => &IDS,
        Verb::Poll => &POLL,
        Verb::Probe | Verb::PollIds | Verb::Limits | Verb::Queues | Verb::Alive => &[],
    };
    own.iter().chain(&EVERYWHERE).copied().collect()
}

/// Fields that a row of `verb` must have, and those it may have beside any used in rules.
pub fn fields_of_verb(verb: Verb) -> (&'static [&'static str], &'static [&'static str]) {
    match verb {
        Verb::Submit => (&["id"], &[]),
        Verb::FindByTag => (&["id"], &["submitted", "tag"]),
        Verb::PollIds => (&["id"], &[]),
        Verb::Poll => {
            let more =
                &["index", "owner", "tag", "hold", "reason", "exit", "started", "expected_start", "hostname"];
            (&["id", "state"], more)
        }
        Verb::PostMortem => (
            &["id", "state"],
            &["index", "reason", "exit", "started", "ended", "submitted", "hostname", "max_memory"],
        ),
        Verb::Limits => (&[], &["submitted_max", "running_max"]),
        Verb::Probe | Verb::Cancel | Verb::Hold | Verb::Release | Verb::Queues | Verb::Alive => (&[], &[]),
    }
}
