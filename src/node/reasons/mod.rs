//! Why an attempt failed: each program's own words for what went wrong, the sentence that a person reads, and the class that
//! decides what follows. The tables are data, one file for each program; here they are read. Pure.

mod geometric;
mod mopac;
mod nwchem;
mod psi4;
mod qcengine;
mod system;
mod xtb;

use std::sync::OnceLock;

use nix::sys::signal::Signal;
use regex::Regex;

use crate::model::failure::FailureClass;
use crate::node::classify;

/// One way in which a program says what went wrong.
#[derive(Debug)]
pub struct Row {
    /// Its words, a regular expression in which `^` and `$` are those of lines.
    pub words: &'static str,
    /// The sentence for a person; `$1` is what the first group matched.
    pub says: &'static str,
    /// What follows.
    pub class: FailureClass,
    /// How the words are known.
    pub known: Known,
}

/// How it is known that a program says this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Its output is recorded below `tests/node/recorded`.
    Recorded,
    /// It stands in the source or the manual of this version, and is listed in `docs/programs.md`.
    Source(&'static str),
}

/// The rows of one program.
struct Table {
    /// As specifications call it; empty where the rows are of no program.
    program: &'static str,
    rows: &'static [Row],
    compiled: OnceLock<Vec<Option<Regex>>>,
}

impl Table {
    const fn new(program: &'static str, rows: &'static [Row]) -> Table {
        Table { program, rows, compiled: OnceLock::new() }
    }
}

/// What the operating system, the loader and the shell say through any program. They decide before all others: what a
/// program says after a failed write is seldom the reason.
static SYSTEM: Table = Table::new("", system::ROWS);
static PROGRAMS: [Table; 5] = [
    Table::new("geometric", geometric::ROWS),
    Table::new("mopac", mopac::ROWS),
    Table::new("nwchem", nwchem::ROWS),
    Table::new("psi4", psi4::ROWS),
    Table::new("xtb", xtb::ROWS),
];
static ON_THE_WAY: Table = Table::new("", system::SAID_ON_THE_WAY);
static QCENGINE: Table = Table::new("qcengine", qcengine::ROWS);
/// Words that mean the same in programs that have no table here.
static ANY: Table = Table::new("", system::OF_ANY_PROGRAM);

/// How much of each text is searched, from its end.
const SEARCHED_BYTES: usize = 1 << 20;
/// The longest sentence.
const LONGEST_SENTENCE: usize = 300;

/// How the process ended that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    /// In Python's way, where a signal is a negative number.
    pub fn of_python(code: i32) -> Ending {
        if code < 0 { Ending::Signal(-code) } else { Ending::Code(code) }
    }
}

/// What is known of an attempt that failed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Failed<'a> {
    /// The programs that had a part in it, as specifications call them, the innermost first.
    pub programs: &'a [&'a str],
    /// QCEngine's `error_type`.
    pub error_type: &'a str,
    /// QCEngine's message, or the native program's.
    pub message: &'a str,
    /// What the program printed.
    pub stdout: Option<&'a str>,
    /// What it wrote to standard error.
    pub stderr: Option<&'a str>,
    /// How the program ended, where that is known.
    pub ending: Option<Ending>,
}

/// What is made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// One sentence for a person.
    pub says: String,
    /// What follows.
    pub class: FailureClass,
    /// The words of the row that decided, if one did.
    pub row: Option<&'static str>,
}

/// The real reason of a failure: the first row that fits; else how the program ended; else the last line that says
/// something.
pub fn judge(failed: &Failed<'_>) -> Verdict {
    if let Some(verdict) = by_tables(failed) {
        return verdict;
    }
    let words = last_words(failed);
    let known = failed.ending.and_then(by_ending);
    let class = match &known {
        Some((_, class)) => *class,
        None => classify::of_error_type(failed.error_type),
    };
    let ended = match (known, failed.ending) {
        (Some((ended, _)), _) => Some(ended),
        (None, Some(Ending::Code(code))) if code != 0 && says_nothing(failed.message) => {
            Some(format!("the program ended with exit code {code}"))
        }
        (None, _) => None,
    };
    // What a harness says of a program that was killed is what it stumbled over.
    let was_killed = matches!(failed.ending, Some(Ending::Signal(_)));
    let says = match (ended, if was_killed { "" } else { words.as_str() }) {
        (None, "") => "the program failed and did not say why".to_owned(),
        (None, words) => words.to_owned(),
        (Some(ended), "") => ended,
        (Some(ended), words) => format!("{ended}: {words}"),
    };
    Verdict { says: sentence(&says), class, row: None }
}

/// The first row that fits, if there is one. What was killed from outside said nothing of its end before.
pub fn by_tables(failed: &Failed<'_>) -> Option<Verdict> {
    if let Some(Ending::Signal(number)) = failed.ending
        && classify::is_from_outside(Signal::try_from(number).ok())
    {
        return None;
    }
    let (stdout, stderr) = (failed.stdout.unwrap_or_default(), failed.stderr.unwrap_or_default());
    let texts = [failed.message, stderr, stdout].map(end_of);
    let told = &texts[..2];
    let of_programs = || {
        let table = |name: &&str| PROGRAMS.iter().find(|table| table.program == *name);
        failed.programs.iter().filter_map(table).find_map(|table| table.find(&texts))
    };
    let of_any = || match classify::of_known_error_type(failed.error_type) {
        Some(_) => None,
        None => ON_THE_WAY.find(told).or_else(|| ANY.find(told)),
    };
    SYSTEM.find(told).or_else(of_programs).or_else(|| QCENGINE.find(told)).or_else(of_any)
}

/// A message that begins with the sentence for a person; the whole of what was said follows.
pub fn told(says: &str, message: &str) -> String {
    if message.trim().is_empty() || sentence(message) == says {
        return says.to_owned();
    }
    format!("{says}\n\n{message}")
}

impl Table {
    /// The first row whose words are in one of the texts.
    fn find(&self, texts: &[&str]) -> Option<Verdict> {
        let compile = |row: &Row| Regex::new(&format!("(?m){}", row.words)).ok();
        let compiled = self.compiled.get_or_init(|| self.rows.iter().map(compile).collect());
        self.rows.iter().zip(compiled).find_map(|(row, words)| {
            // Of what is said again and again the last one is the deepest, or the one that counted.
            let found = texts.iter().find_map(|text| words.as_ref()?.captures_iter(text).last())?;
            let mut says = String::new();
            found.expand(row.says, &mut says);
            Some(Verdict { says: sentence(&says), class: row.class, row: Some(row.words) })
        })
    }
}

/// What an exit code or a signal alone says, by the customs of shells and kernels.
fn by_ending(ending: Ending) -> Option<(String, FailureClass)> {
    Some(match ending {
        Ending::Code(126) => {
            ("the program cannot be executed on this node (exit code 126)".into(), FailureClass::Node)
        }
        Ending::Code(127) => (
            "the program, or a library that it needs, was not found on this node (exit code 127)".into(),
            FailureClass::Node,
        ),
        // Shells tell of a child's signal so. Others of these codes are programs' own: NWChem's depend on its errors.
        Ending::Code(code @ (132 | 134..=137 | 139)) => return by_ending(Ending::Signal(code - 128)),
        Ending::Code(_) => return None,
        Ending::Signal(number) => {
            let signal = Signal::try_from(number).ok();
            let name = signal.map_or_else(|| format!("signal {number}"), |signal| signal.to_string());
            let (hint, class) = match (signal, classify::of_signal(signal)) {
                (Some(Signal::SIGKILL), class) => (", which on a node is usually the memory limit", class),
                (Some(Signal::SIGILL), _) => {
                    (": it was built for another processor than this node's", FailureClass::Node)
                }
                (_, class) => ("", class),
            };
            (format!("the program was killed by {name}{hint}"), class)
        }
    })
}

/// Whether a message is one of those that harnesses have for everything that they do not know.
fn says_nothing(message: &str) -> bool {
    const NOTHING: [&str; 4] = [
        "An unknown error occured and no results were captured.",
        "Unknown error, error message is not found, possible segmentation fault!",
        "No STDERR output",
        "ended with exit code",
    ];
    let first = message.lines().next().unwrap_or_default();
    !message.contains(char::is_alphanumeric) || NOTHING.iter().any(|nothing| first.contains(nothing))
}

/// The last line that says something: of the message, or of standard error where the message says nothing.
fn last_words(failed: &Failed<'_>) -> String {
    let of_stderr = failed.stderr.map(last_line).unwrap_or_default();
    let is_told_by_its_end = failed.ending.is_some_and(|ending| ending != Ending::Code(0));
    if says_nothing(failed.message) && (!of_stderr.is_empty() || is_told_by_its_end) {
        return of_stderr.to_owned();
    }
    let message = last_line(failed.message);
    let message = ["QCEngine Unknown Error: ", "QCEngine Input Error: ", "QCEngine Resource Error: "]
        .iter()
        .find_map(|header| message.strip_prefix(header))
        .unwrap_or(message);
    message.to_owned()
}

fn last_line(text: &str) -> &str {
    // QCEngine ends what it says of a failed program with the traceback of an exception, where there was one.
    let says = |line: &&str| {
        line.contains(char::is_alphanumeric)
            && !matches!(*line, "NoneType: None" | "TRACEBACK:" | "STDERR:" | "STDOUT:" | "INPUT:")
    };
    text.lines().map(str::trim).rfind(says).unwrap_or_default()
}

/// On one line, and not too long.
fn sentence(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_SENTENCE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The last part of a text.
fn end_of(text: &str) -> &str {
    let mut start = text.len().saturating_sub(SEARCHED_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests;
