//! An adapter file as it is written: every key optional, every value with its place in the file. Pure.
//! `check` turns the merged document into an [`Adapter`](super::Adapter); the format is described in docs/adapters.md.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor, value};
use toml::Spanned;

pub type Text = Option<Spanned<String>>;
type Table<T> = BTreeMap<String, T>;

/// The whole file.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    pub name: Text,
    pub extends: Text,
    pub description: Text,
    pub environment: EnvironmentDocument,
    pub calls: CallsDocument,
    pub ids: IdsDocument,
    pub directives: DirectivesDocument,
    pub script: ScriptDocument,
    pub states: Table<Spanned<String>>,
    pub documented_states: Vec<Spanned<String>>,
    pub state_word: Text,
    pub rules: Table<Spanned<RuleDocument>>,
    pub exits: Table<Spanned<ExitDocument>>,
    pub messages: Table<Spanned<MessageDocument>>,
    pub probe: Table<Spanned<ProbeDocument>>,
    pub submit: Option<Spanned<CallDocument>>,
    pub find_by_tag: Table<Spanned<CallDocument>>,
    pub poll_ids: Option<Spanned<CallDocument>>,
    pub poll: Option<Spanned<CallDocument>>,
    pub post_mortem: Option<Spanned<CallDocument>>,
    pub cancel: Option<Spanned<CallDocument>>,
    pub hold: Option<Spanned<CallDocument>>,
    pub release: Option<Spanned<CallDocument>>,
    pub limits: Option<Spanned<CallDocument>>,
    pub queues: Table<Spanned<QueuesDocument>>,
    pub alive: Option<Spanned<CallDocument>>,
}

/// What scheduler commands find in their environment beside the fixed few.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentDocument {
    pub pass: Vec<Spanned<String>>,
    pub set: Table<Spanned<String>>,
}

/// How patient and how big calls are.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallsDocument {
    pub query_timeout: Text,
    pub submit_timeout: Text,
    pub lookup_gap: Text,
    pub ids_per_call: Option<Spanned<u32>>,
    pub output_limit: Text,
}

/// How job ids look and how an array element's is made.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdsDocument {
    pub submission: Text,
    pub element: Text,
    pub first_index: u32,
}

/// Directive lines of a job script.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectivesDocument {
    pub prefix: Text,
    pub lines: Option<Vec<Spanned<PieceDocument>>>,
}

/// What a job script must know of the scheduler.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptDocument {
    pub array_index_variable: Text,
    pub job_id: Text,
    pub warns_itself: Option<Spanned<WarnsItself>>,
    pub warning: Text,
    pub kill_wait: Text,
    pub hosts: Text,
    pub launch: Text,
    pub log_name: Text,
    pub array_log_name: Text,
    pub array_log_file: Text,
    pub lines: Option<Vec<Spanned<String>>>,
}

/// Whether job scripts have a timer of their own: always, never, or for some versions of the scheduler.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected true, false or versions such as { until = \"7\" }")]
pub enum WarnsItself {
    Always(bool),
    Versions(VersionsDocument),
}

/// From `since` on, before `until`.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VersionsDocument {
    pub since: Option<String>,
    pub until: Option<String>,
}

/// A rule that looks at several fields, tried before the plain map of states.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleDocument {
    pub rank: i64,
    pub when: Table<Spanned<String>>,
    pub lacks: Vec<Spanned<String>>,
    pub exceeds: Option<Spanned<ExceedsDocument>>,
    pub then: Text,
    pub exit: Text,
}

/// An amount of memory above a limit that another field tells.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExceedsDocument {
    pub field: Text,
    pub limit_in: Text,
    pub limit: Text,
    pub times: Text,
}

/// One encoding of exit codes.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExitDocument {
    pub rank: i64,
    pub pattern: Text,
    pub signal_offset: i32,
}

/// A class of messages.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageDocument {
    pub pattern: Text,
    pub class: Text,
    pub verbs: Option<Vec<Spanned<String>>>,
    pub exit_codes: Vec<i32>,
}

/// One call of the probe and what is learned from it.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeDocument {
    pub rank: i64,
    pub call: CallDocument,
    pub version: Text,
    pub cluster: Text,
    pub proves: Text,
    pub numbers: Table<Spanned<NumberDocument>>,
    pub services: Table<Spanned<ServiceDocument>>,
    pub lists: Table<Spanned<String>>,
    pub texts: Table<Spanned<String>>,
}

/// One call that tells limits of queues, qualities of service or accounts, a row for each.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueuesDocument {
    pub rank: i64,
    pub call: CallDocument,
    pub queue: Text,
    pub qos: Text,
    pub account: Text,
    pub closed: Option<Spanned<ClosedDocument>>,
    pub array_size: Vec<Spanned<AllowedDocument>>,
    pub submitted: Vec<Spanned<AllowedDocument>>,
    pub running: Vec<Spanned<AllowedDocument>>,
    pub walltime: Vec<Spanned<AllowedDocument>>,
    pub kill_wait: Vec<Spanned<AllowedDocument>>,
}

/// A limit in a field: the whole of it, or what the first pattern finds that finds any.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllowedDocument {
    pub field: Text,
    pub first: Vec<Spanned<String>>,
}

/// A queue is closed unless the field matches.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClosedDocument {
    pub field: Text,
    pub open: Text,
}

/// A number read from a field.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumberDocument {
    pub field: Text,
    pub subtract: u64,
    pub times: Option<u64>,
}

/// An optional service: there unless the field matches.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceDocument {
    pub field: Text,
    pub absent_when: Text,
}

/// One command and how its answer is read.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallDocument {
    pub rank: Option<i64>,
    pub since: Text,
    pub until: Text,
    pub needs: Text,
    pub argv: Option<Vec<Spanned<PieceDocument>>>,
    pub stdin: Text,
    pub directory: Text,
    pub timeout: Text,
    pub usable_exit_codes: Option<Vec<i32>>,
    pub optional: Option<bool>,
    pub ids_per_call: Option<Spanned<u32>>,
    pub columns: Option<Spanned<Vec<String>>>,
    pub columns_listed_in: Text,
    pub retries: Table<Spanned<RetryDocument>>,
    pub read: Option<Spanned<ReadDocument>>,
    pub variants: Table<Spanned<CallDocument>>,
}

impl CallDocument {
    /// This variant laid over the call it is a variant of.
    pub fn over(self, base: &CallDocument) -> CallDocument {
        let base = base.clone();
        CallDocument {
            rank: self.rank.or(base.rank),
            since: self.since,
            until: self.until,
            needs: self.needs.or(base.needs),
            argv: self.argv.or(base.argv),
            stdin: self.stdin.or(base.stdin),
            directory: self.directory.or(base.directory),
            timeout: self.timeout.or(base.timeout),
            usable_exit_codes: self.usable_exit_codes.or(base.usable_exit_codes),
            optional: self.optional.or(base.optional),
            ids_per_call: self.ids_per_call.or(base.ids_per_call),
            columns: self.columns.or(base.columns),
            columns_listed_in: self.columns_listed_in.or(base.columns_listed_in),
            retries: if self.retries.is_empty() { base.retries } else { self.retries },
            read: self.read.or(base.read),
            variants: BTreeMap::new(),
        }
    }
}

/// What a client says that is about to send its request again.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryDocument {
    pub pattern: Text,
    pub after: Text,
}

/// How an answer becomes rows of fields.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadDocument {
    pub from: Text,
    pub lines: Text,
    pub words: Option<bool>,
    pub columns: Option<ColumnsDocument>,
    pub records: Option<RecordsDocument>,
    pub sections: Option<SectionsDocument>,
    pub json: Option<JsonDocument>,
    pub xml: Option<XmlDocument>,
    pub take: Text,
    pub unmatched: Text,
    pub ignore: Vec<Spanned<String>>,
    pub ours: Text,
    pub fields: Table<Spanned<Names>>,
    pub step: Text,
    pub must_contain: Text,
    pub leave_out: Table<Spanned<String>>,
}

/// Lines cut at a separator.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnsDocument {
    pub separator: Text,
    pub names: Option<Vec<String>>,
}

/// `key = value` pairs.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsDocument {
    pub separator: Text,
    pub start: Text,
    pub continuation: Text,
    pub field_separator: Text,
}

/// Several lines per row.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SectionsDocument {
    pub start: Text,
    pub lines: Vec<Spanned<String>>,
    pub continuation: Text,
}

/// A JSON document.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JsonDocument {
    pub rows: Text,
    pub rows_may_be_absent: bool,
    pub key: Text,
}

/// An XML document.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct XmlDocument {
    pub root: Text,
    pub rows: Text,
}

/// One name or several of which the first that is there counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field, or a list of names")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Names, E> {
                Ok(Names(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Names, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(Names)
            }
        }
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// A piece of a command: a word, a list of words that vanish together, or a table with conditions.
#[derive(Clone, Debug)]
pub enum PieceDocument {
    Word(String),
    Words(Vec<Spanned<String>>),
    Conditional(Box<ConditionalDocument>),
}

/// Words under conditions.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionalDocument {
    #[serde(rename = "if")]
    pub only_if: Text,
    pub unless: Text,
    pub since: Text,
    pub until: Text,
    pub probed: Table<Spanned<String>>,
    pub then: Vec<Spanned<String>>,
    pub join: Text,
    pub pieces: Vec<Spanned<PieceDocument>>,
}

impl<'de> Deserialize<'de> for PieceDocument {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PieceDocument, D::Error> {
        struct PieceVisitor;
        impl<'de> Visitor<'de> for PieceVisitor {
            type Value = PieceDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a word, a list of words, or a table with `if`, `unless`, `since`, `until`, `probed` and `then` (or `join` and `pieces`)",
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PieceDocument, E> {
                Ok(PieceDocument::Word(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<PieceDocument, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(PieceDocument::Words)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PieceDocument, A::Error> {
                ConditionalDocument::deserialize(value::MapAccessDeserializer::new(map))
                    .map(|piece| PieceDocument::Conditional(Box::new(piece)))
            }
        }
        deserializer.deserialize_any(PieceVisitor)
    }
}
