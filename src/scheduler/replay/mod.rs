//! Reads recorded answers exactly as live ones are read, and tells what is made of each line. Starts nothing.

mod coverage;
mod matching;
mod recording;
mod words;

use serde::Serialize;

pub use recording::{Recording, recordings};

use self::matching::Found;
use super::adapter::messages::{MessageClass, Verb};
use super::adapter::reading::{Form, Reading, Row, Stream};
use super::runner::Ran;
use super::{
    Capabilities, ExitStatus, PollAnswer, Refusal, Scheduler, SchedulerState, SubmitAnswer, poll,
    post_mortem, probe,
};

/// What was made of a line or row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// It says something.
    Read,
    /// It is passed over, as the adapter says.
    Ignored,
    /// Nobody can tell what it means.
    NotRead,
}

/// One line, or one row of an answer that has no lines of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReplayedLine {
    /// `out`, `err` or `row`.
    pub stream: &'static str,
    /// Its number, from 1; none for a whole answer.
    pub number: Option<usize>,
    /// The line; of a row what it is about.
    pub text: String,
    /// What was made of it.
    pub heard: Heard,
    /// In our words.
    pub meaning: Vec<String>,
}

/// One recording and how it is read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Replayed {
    /// Its name.
    pub name: String,
    /// The recorded command.
    pub command: String,
    /// The adapter's command that it is; none where there is none like it.
    pub verb: Option<&'static str>,
    /// What is asked with it, and how it differs from the adapter's own.
    pub asked: String,
    /// Each line.
    pub lines: Vec<ReplayedLine>,
    /// What the engine makes of the whole.
    pub answer: String,
    /// Whether it knows what that is.
    pub answer_is_known: bool,
}

impl Replayed {
    /// Whether nothing of it is beyond the adapter.
    pub fn is_read(&self) -> bool {
        self.answer_is_known && self.lines.iter().all(|line| line.heard != Heard::NotRead)
    }
}

impl Scheduler {
    /// Reads a recorded answer.
    ///
    /// As the same scheduler would be asked by the user whose jobs they are: `user`, else whom the command asks about.
    pub fn replay(&self, recording: &Recording, user: Option<&str>) -> Replayed {
        let values = self.values();
        let program = |call: &super::Call| {
            let first = call.argv.first().and_then(|piece| piece.templates.first());
            first.and_then(|template| template.expand(&values)).unwrap_or_default().concat()
        };
        let mut replayed = Replayed {
            name: recording.name.clone(),
            command: recording.command.clone(),
            verb: None,
            asked: "no command of this adapter is like it".to_owned(),
            lines: Vec::new(),
            answer: "not read".to_owned(),
            answer_is_known: false,
        };
        let Some(found) = matching::nearest(&self.inner.adapter, program, &recording.words) else {
            return replayed;
        };
        replayed.asked = asked(&found);
        replayed.verb = Some(found.verb.as_str());
        let own = &self.inner.settings.user;
        let user = user.or(found.user.as_deref()).unwrap_or(own).to_owned();
        let columns = found.columns.clone().unwrap_or_else(|| found.call.columns.clone());
        let known = self.known_as_a_whole(&found, recording);
        let usable = found.call.usable_exit_codes.contains(&recording.code);
        // Nothing but a message that is known has no rows.
        let only_words = known.is_some() && recording.stdout.trim().is_empty() && found.verb != Verb::Submit;
        let rows_count = (usable && !only_words) || known == Some(MessageClass::Accepted);
        if let Some(reading) = found.call.read.as_ref().filter(|_| rows_count) {
            let asked = Asked { found: &found, reading, columns: &columns, user: &user };
            self.read_rows(&mut replayed, &asked, recording);
        } else {
            let lines = recording.stdout.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let code = recording.code;
            replayed
                .lines
                .extend(lines.map(|(at, line)| self.message(("out", at), line, found.verb, code, true)));
        }
        if found.call.read.as_ref().is_none_or(|reading| !rows_count || reading.from == Stream::Stdout) {
            let excused = !rows_count && known.is_some();
            let lines = recording.stderr.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let code = recording.code;
            replayed
                .lines
                .extend(lines.map(|(at, line)| self.message(("err", at), line, found.verb, code, excused)));
        }
        (replayed.answer, replayed.answer_is_known) = self.answer(&found, recording, &columns, &user);
        replayed
    }

    fn known_as_a_whole(&self, found: &Found<'_>, recording: &Recording) -> Option<MessageClass> {
        let messages = &self.inner.adapter.messages;
        let of = |text: &str| messages.class_with(found.verb, text, recording.code);
        of(&recording.stderr).into_iter().chain(of(&recording.stdout)).min()
    }

    /// A line that is no row: its class, or none. `excused`: the whole is known, so that a line need not be.
    fn message(
        &self,
        (stream, at): (&'static str, usize),
        line: &str,
        verb: Verb,
        code: i32,
        excused: bool,
    ) -> ReplayedLine {
        let (heard, meaning) = match self.inner.adapter.messages.class_with(verb, line, code) {
            Some(class) => (Heard::Read, format!("message: {}", class.as_str())),
            None if excused => (Heard::Ignored, "no message of its own".to_owned()),
            None => (
                Heard::NotRead,
                "no [messages] of the adapter knows it: the answer is not trusted".to_owned(),
            ),
        };
        ReplayedLine { stream, number: Some(at + 1), text: line.to_owned(), heard, meaning: vec![meaning] }
    }

    fn read_rows(&self, replayed: &mut Replayed, asked: &Asked<'_>, recording: &Recording) {
        let (reading, columns) = (asked.reading, asked.columns);
        if matches!(reading.form, Form::Lines(_) | Form::Columns { .. } | Form::Words) {
            let streams = [
                ("out", &recording.stdout, reading.from != Stream::Stderr),
                ("err", &recording.stderr, reading.from != Stream::Stdout),
            ];
            for (stream, text, _) in streams.into_iter().filter(|(_, _, counts)| *counts) {
                replayed.lines.extend(self.by_line(stream, text, asked));
            }
            return;
        }
        match reading.rows(&recording.stdout, &recording.stderr, columns) {
            Err(error) => replayed.lines.push(ReplayedLine {
                stream: "out",
                number: None,
                text: error.text.clone(),
                heard: Heard::NotRead,
                meaning: vec![error.to_string()],
            }),
            Ok(rows) => replayed.lines.extend(rows.iter().enumerate().map(|(at, row)| {
                let (heard, meaning) = self.row_meaning(asked, row);
                let text = row.get("id").unwrap_or("a row").to_owned();
                ReplayedLine { stream: "row", number: Some(at + 1), text, heard, meaning }
            })),
        }
    }

    fn by_line(&self, stream: &'static str, text: &str, asked: &Asked<'_>) -> Vec<ReplayedLine> {
        // What the whole must contain, one line need not.
        let reading = &Reading { must_contain: None, ..asked.reading.clone() };
        let columns = asked.columns;
        let whole = |line: &str| format!("{line}\n");
        let last = text.lines().count();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(at, line): (usize, &str)| {
            let rows = match stream {
                "out" => reading.rows(&whole(line), "", columns),
                _ => reading.rows("", &whole(line), columns),
            };
            let cut = at + 1 == last && !text.ends_with('\n');
            let (heard, meaning) = match rows {
                _ if cut => (
                    Heard::NotRead,
                    vec!["a last line that is not whole: the answer was cut short".to_owned()],
                ),
                Err(error) => (Heard::NotRead, vec![format!("{} ({})", error.what, form_of(reading))]),
                Ok(rows) if rows.is_empty() => (Heard::Ignored, vec!["passed over".to_owned()]),
                Ok(rows) => match rows.as_slice() {
                    [row] => self.row_meaning(asked, row),
                    words => (Heard::Read, vec![format!("{} words", words.len())]),
                },
            };
            ReplayedLine { stream, number: Some(at + 1), text: line.to_owned(), heard, meaning }
        };
        lines.map(read).collect()
    }

    /// What a row says in our words, and whether all of it is known.
    fn row_meaning(&self, asked: &Asked<'_>, row: &Row) -> (Heard, Vec<String>) {
        let (verb, reading, adapter) = (asked.found.verb, asked.reading, &self.inner.adapter);
        let fields: Vec<String> = row.fields().map(|(name, text)| format!("{name}={text}")).collect();
        let mut meaning = vec![fields.join("  ")];
        if verb == Verb::Poll && !poll::is_of_user(row, asked.user) {
            meaning
                .push(format!("not a job of {}: passed over (`--user` says whose jobs count)", asked.user));
            return (Heard::Ignored, meaning);
        }
        let mut heard = Heard::Read;
        let mut unknown = |meaning: &mut Vec<String>, text: String| {
            meaning.push(text);
            heard = Heard::NotRead;
        };
        match verb {
            Verb::Submit | Verb::FindByTag => {
                match row.get("id").map(|id| (id, adapter.ids.is_submission(id))) {
                    Some((_, true)) => {}
                    Some((id, false)) => {
                        unknown(&mut meaning, format!("`{id}` is no id as [ids] submission has it"))
                    }
                    None => unknown(&mut meaning, "no id".to_owned()),
                }
            }
            Verb::Poll | Verb::PostMortem => {
                let step = row.get("id").and_then(|id| reading.step.as_ref()?.captures(id));
                if let Some(of) = step.as_ref().and_then(|captures| captures.name("id")) {
                    meaning.push(format!("part of job {}", of.as_str()));
                } else {
                    match row.get("id") {
                        Some(id) => {
                            meaning.push(format!("job {}", adapter.ids.listed_id(id, row.get("index"))))
                        }
                        None => unknown(&mut meaning, "no id".to_owned()),
                    }
                }
                match adapter.states.state(row) {
                    Some(SchedulerState::Unrecognised(word)) if adapter.states.words.contains_key(&word) => {
                        meaning.push("state: unknown until another word comes".to_owned());
                    }
                    Some(SchedulerState::Unrecognised(word)) => {
                        unknown(&mut meaning, format!("state `{word}` has no meaning in [states]"));
                    }
                    Some(state) => meaning.push(format!("state: {state}")),
                    None if step.is_none() => unknown(&mut meaning, "no state".to_owned()),
                    None => {}
                }
                match (row.get("exit"), adapter.states.exit(row)) {
                    (None, _) => {}
                    (Some(text), ExitStatus { code: None, signal: None }) => {
                        unknown(&mut meaning, format!("exit `{text}` fits none of [exits]"));
                    }
                    (Some(_), exit) => meaning.push(exit_in_words(exit)),
                }
            }
            _ => {}
        }
        (heard, meaning)
    }

    /// What the engine makes of the whole answer, and whether that is known.
    fn answer(
        &self,
        found: &Found<'_>,
        recording: &Recording,
        columns: &[String],
        user: &str,
    ) -> (String, bool) {
        let (verb, call, adapter) = (found.verb, found.call, &self.inner.adapter);
        let ran = Ran::Exited {
            code: recording.code,
            stdout: recording.stdout.clone(),
            stderr: recording.stderr.clone(),
        };
        if verb == Verb::Submit {
            let known = self.known_as_a_whole(found, recording);
            return match self.read_submit(call, &ran) {
                SubmitAnswer::Accepted { scheduler_job_id } => {
                    (format!("accepted as {scheduler_job_id}"), true)
                }
                SubmitAnswer::Refused { kind, message } => {
                    (format!("refused, {}: {message}", refusal(kind)), true)
                }
                SubmitAnswer::NotCalled { message } | SubmitAnswer::Unclear { message } => {
                    let again =
                        call.retries.iter().any(|retry| retry.comes_after(&recording.stderr).is_some());
                    (format!("unclear: {message}"), again || known == Some(MessageClass::Unclear))
                }
            };
        }
        let output = match self.trust(verb, call, &ran) {
            Ok(output) => output,
            Err((_, Some(MessageClass::NotFound))) => return ("none of them is known".to_owned(), true),
            Err((message, class)) => {
                let class_name = class.map_or("no class", MessageClass::as_str);
                return (format!("no answer ({class_name}): {message}"), class.is_some());
            }
        };
        match verb {
            Verb::Poll => match poll::read_poll(adapter, call, user, &output.stdout, &output.stderr) {
                PollAnswer::Valid { jobs, listed_all_users_jobs } => {
                    (format!("valid: {} jobs, {listed_all_users_jobs} of them not over", jobs.len()), true)
                }
                PollAnswer::Invalid { message } => (format!("not valid: {message}"), false),
            },
            Verb::PostMortem => {
                match post_mortem::read_books(adapter, call, columns, &output.stdout, &output.stderr) {
                    Ok(jobs) => (format!("{} jobs are known", jobs.len()), true),
                    Err(message) => (format!("not valid: {message}"), false),
                }
            }
            _ => {
                match call.read.as_ref().map(|reading| reading.rows(&output.stdout, &output.stderr, columns))
                {
                    Some(Err(error)) => (format!("not valid: {error}"), false),
                    Some(Ok(rows)) if verb == Verb::Probe => (self.learned(found, &rows), true),
                    Some(Ok(rows)) => (format!("{} rows", rows.len()), true),
                    None => ("done".to_owned(), true),
                }
            }
        }
    }

    /// What a probe learns of `rows`.
    fn learned(&self, found: &Found<'_>, rows: &[Row]) -> String {
        let is_it =
            |probe: &&super::adapter::Probe| probe.call.0.iter().any(|call| std::ptr::eq(call, found.call));
        let mut learned = Capabilities::default();
        if let Some(probe) = self.inner.adapter.probe.iter().find(is_it) {
            probe::learn(&mut learned, probe, rows);
        }
        let seconds = |time: Option<std::time::Duration>| time.map(|time| format!("{} s", time.as_secs()));
        let facts = [
            ("version", learned.version.map(|version| version.to_string())),
            ("cluster", learned.cluster),
            ("largest array", learned.array_size_max.map(|size| size.to_string())),
            ("message timeout", seconds(learned.message_timeout)),
            ("ended jobs kept", seconds(learned.finished_kept)),
            ("kill wait", seconds(learned.kill_wait)),
        ];
        let facts = facts.into_iter().filter_map(|(name, fact)| Some(format!("{name} {}", fact?)));
        let services = learned
            .services
            .iter()
            .map(|(name, there)| format!("{name} {}", if *there { "there" } else { "not there" }));
        let lists = learned.lists.iter().map(|(name, list)| format!("{name}: {} names", list.len()));
        let all: Vec<String> = facts.chain(services).chain(lists).collect();
        if all.is_empty() { format!("{} rows, nothing learned", rows.len()) } else { all.join(", ") }
    }
}

/// A recorded command as it is to be read.
struct Asked<'a> {
    found: &'a Found<'a>,
    reading: &'a Reading,
    columns: &'a [String],
    user: &'a str,
}

fn asked(found: &Found<'_>) -> String {
    let mut text = found.verb.as_str().to_owned();
    if let Some(variant) = &found.call.variant {
        text.push_str(&format!(", variant {variant}"));
    }
    if found.one_action && !found.is_exact() {
        text.push_str("; the recorded command has other options");
    } else if !found.is_exact() {
        let quoted =
            |words: &[String]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ");
        text.push_str("; the recorded command is another:");
        if !found.lacking.is_empty() {
            text.push_str(&format!(" it lacks {}", quoted(&found.lacking)));
        }
        if !found.beside.is_empty() {
            text.push_str(&format!(" it has {}", quoted(&found.beside)));
        }
    }
    text
}

fn form_of(reading: &Reading) -> String {
    match &reading.form {
        Form::Lines(pattern) => format!("`lines` is {pattern}"),
        Form::Columns { separator, .. } => format!("columns between `{separator}`"),
        _ => "see `read`".to_owned(),
    }
}

fn exit_in_words(exit: ExitStatus) -> String {
    let code = exit.code.map(|code| format!("exit code {code}"));
    let signal = exit.signal.map(|signal| format!("signal {signal}"));
    code.into_iter().chain(signal).collect::<Vec<_>>().join(", ")
}

const fn refusal(kind: Refusal) -> &'static str {
    match kind {
        Refusal::Limit => "a limit on jobs",
        Refusal::Transient => "for now",
        Refusal::Permanent => "for good",
    }
}
