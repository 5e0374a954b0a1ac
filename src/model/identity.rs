//! Who a report comes from and what it answers: the identity that every order carries into the spool and every report
//! brings back, and the comparison of both. Pure.
//!
//! Ids of records, tasks and jobs are small numbers, and each database draws the same ones. What ties a report to its
//! record is the id of the database that handed the task out and the hash of the calculation that was asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::ids::{JobId, TaskId};
use super::qcschema::python_json::write_object;
use super::record::RecordType;

/// The version of what daemon and jobs write for each other: orders, manifests, owner files. A reader refuses a later
/// one. Version 1, of before there was a number, had neither issues nor owners.
pub const SPOOL_FORMAT: u32 = 2;

/// The version of documents that do not say theirs.
pub const fn first_format() -> u32 {
    1
}

macro_rules! hexadecimal_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotHexadecimal;

            fn from_str(text: &str) -> Result<Self, NotHexadecimal> {
                let refused = || NotHexadecimal { text: text.to_owned(), what: $what };
                let digits: Vec<u8> = text
                    .bytes()
                    .map(|byte| match byte {
                        b'0'..=b'9' => Ok(byte - b'0'),
                        b'a'..=b'f' => Ok(byte - b'a' + 10),
                        _ => Err(refused()),
                    })
                    .collect::<Result<_, _>>()?;
                let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit)).collect();
                if digits.len() != 32 {
                    return Err(refused());
                }
                bytes.try_into().map($name).map_err(|_| refused())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotHexadecimal;

            fn try_from(text: String) -> Result<Self, NotHexadecimal> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

hexadecimal_id!(
    /// The random id of a database: made by a migration, replaced by a new one when a backup is restored.
    DatabaseId,
    "the id of a database"
);
hexadecimal_id!(
    /// The hash of one requested calculation: specification, molecule and the user's extras.
    CalculationHash,
    "the hash of a calculation"
);

/// Why a text is no id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not {what} (32 hexadecimal digits)")]
pub struct NotHexadecimal {
    text: String,
    what: &'static str,
}

impl CalculationHash {
    /// Of the calculation whose parts have these hashes: the specification of the single points, the optimizer's part
    /// where there is one, the molecule. `extras` are the user's own.
    pub fn of(
        record_type: RecordType,
        qc_specification_hash: &str,
        optimization_hash: Option<&str>,
        molecule_hash: &str,
        extras: &Map<String, Value>,
    ) -> CalculationHash {
        let mut hasher = Sha256::new();
        for part in
            [record_type.as_str(), qc_specification_hash, optimization_hash.unwrap_or(""), molecule_hash]
        {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        if !extras.is_empty() {
            let mut text = String::new();
            write_object(&mut text, extras);
            hasher.update(text.as_bytes());
        }
        let digest = hasher.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        CalculationHash(bytes)
    }
}

/// Where an order comes from and what it asks. Its report gives both back unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Issue {
    /// The database that handed the task out.
    pub database: DatabaseId,
    /// What is asked. Tasks that were stored by an earlier version have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calculation: Option<CalculationHash>,
}

/// The id of a database and those that it had before it was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lineage {
    /// The id now.
    pub current: DatabaseId,
    /// Earlier ids, its own and those of databases that it replaced.
    pub former: Vec<DatabaseId>,
}

/// Which database a report's order came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// This one, as it is now.
    Current,
    /// This one before it was restored.
    Former,
    /// It does not say: an earlier version wrote it.
    Unsaid,
    /// Another one.
    Foreign,
}

impl Lineage {
    /// Whether `database` is this one or was before it was restored.
    pub fn has(&self, database: DatabaseId) -> bool {
        self.current == database || self.former.contains(&database)
    }

    /// Which database an order with `issue` came from.
    pub fn origin(&self, issue: Option<&Issue>) -> Origin {
        match issue {
            None => Origin::Unsaid,
            Some(issue) if issue.database == self.current => Origin::Current,
            Some(issue) if self.former.contains(&issue.database) => Origin::Former,
            Some(_) => Origin::Foreign,
        }
    }

    /// What the names of directories that only this database's jobs look into end with. A database that was never
    /// restored has none, so that jobs of earlier versions find its chunks.
    pub fn suffix(&self) -> Option<String> {
        (!self.former.is_empty()).then(|| self.current.to_string().chars().take(8).collect())
    }
}

/// What a report says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// What its order carried.
    pub issue: Option<Issue>,
    /// The job that it says it was written by.
    pub job_id: JobId,
    /// Its task.
    pub task_id: TaskId,
    /// The attempt that it was handed out for.
    pub attempt: u32,
}

/// A task as the database has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The task of the report's record.
    pub task_id: TaskId,
    /// The attempt that was handed out last; none before the first.
    pub attempt: Option<u32>,
    /// What was asked, where that is stored.
    pub calculation: Option<CalculationHash>,
    /// Who has it.
    pub holding: Holding,
}

/// Who has a task, seen from the job that reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holding {
    /// This job, or a chunk that nobody was seen to have claimed yet.
    ThisJob,
    /// Another job.
    OtherJob,
    /// Nobody.
    Nobody,
}

/// Why a report fits no task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Misfit {
    /// Another database handed its task out.
    ForeignDatabase,
    /// It names another job than the one in whose results it lies.
    OtherJob,
    /// There is no such record, and it is not of this database as it is now.
    NoRecord,
    /// The record's task has another number.
    OtherTask,
    /// Its attempt was never handed out.
    NeverHandedOut,
    /// It answers another calculation than the record's.
    OtherCalculation,
    /// Its attempt is at work in another job.
    HeldByOther,
    /// It does not say what it answers, and its attempt is not the one that its job holds.
    Unidentified,
    /// Its result is of another type than the record.
    OtherType,
}

impl Misfit {
    /// Every reason.
    pub const ALL: [Misfit; 9] = [
        Misfit::ForeignDatabase,
        Misfit::OtherJob,
        Misfit::NoRecord,
        Misfit::OtherTask,
        Misfit::NeverHandedOut,
        Misfit::OtherCalculation,
        Misfit::HeldByOther,
        Misfit::Unidentified,
        Misfit::OtherType,
    ];

    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Misfit::ForeignDatabase => "foreign_database",
            Misfit::OtherJob => "other_job",
            Misfit::NoRecord => "no_record",
            Misfit::OtherTask => "other_task",
            Misfit::NeverHandedOut => "never_handed_out",
            Misfit::OtherCalculation => "other_calculation",
            Misfit::HeldByOther => "held_by_other",
            Misfit::Unidentified => "unidentified",
            Misfit::OtherType => "other_type",
        }
    }

    /// The reason that `word` names.
    pub fn parse(word: &str) -> Option<Misfit> {
        Self::ALL.into_iter().find(|misfit| misfit.as_str() == word)
    }

    /// The reason for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Misfit::ForeignDatabase => "another database handed its task out",
            Misfit::OtherJob => "it names another job than the one in whose results it lies",
            Misfit::NoRecord => "there is no such record since the database was restored",
            Misfit::OtherTask => "the record's task has another number",
            Misfit::NeverHandedOut => "its attempt was never handed out",
            Misfit::OtherCalculation => "it answers another calculation than the record's",
            Misfit::HeldByOther => "another job holds its attempt",
            Misfit::Unidentified => {
                "it does not say what it answers, and its job does not hold the attempt any more"
            }
            Misfit::OtherType => "its result is of another type than the record",
        }
    }
}

/// Whether a report that lies among the results of `job` may be of any task of the database at all.
pub fn check_source(said: &Said, job: JobId, lineage: &Lineage) -> Result<Origin, Misfit> {
    let origin = lineage.origin(said.issue.as_ref());
    match origin {
        Origin::Foreign => Err(Misfit::ForeignDatabase),
        _ if said.job_id != job => Err(Misfit::OtherJob),
        origin => Ok(origin),
    }
}

/// Whether a report is of the task that its record has.
///
/// The hash of the calculation decides: a result that answers what the record asks is good whichever of its attempts
/// brought it, also one that was given back meanwhile. Without a hash on both sides only the job that holds the attempt
/// is believed.
pub fn check_task(said: &Said, known: &Known) -> Result<(), Misfit> {
    if said.task_id != known.task_id {
        return Err(Misfit::OtherTask);
    }
    if known.attempt.is_none_or(|last| said.attempt > last) {
        return Err(Misfit::NeverHandedOut);
    }
    let is_current = known.attempt == Some(said.attempt);
    match (said.issue.and_then(|issue| issue.calculation), known.calculation) {
        (Some(answered), Some(asked)) if answered != asked => Err(Misfit::OtherCalculation),
        (Some(_), Some(_)) if is_current && known.holding == Holding::OtherJob => Err(Misfit::HeldByOther),
        (Some(_), Some(_)) => Ok(()),
        _ if is_current && known.holding == Holding::ThisJob => Ok(()),
        _ => Err(Misfit::Unidentified),
    }
}

/// Whether a person may have a result stored that was kept aside. The hash of the calculation must be the record's;
/// where one of the two is not known, the report must at least name the record's own task.
pub fn check_adoption(said: &Said, known: &Known, lineage: &Lineage) -> Result<(), Misfit> {
    match (said.issue.and_then(|issue| issue.calculation), known.calculation) {
        (Some(answered), Some(asked)) if answered == asked => Ok(()),
        (Some(_), Some(_)) => Err(Misfit::OtherCalculation),
        _ if lineage.origin(said.issue.as_ref()) == Origin::Foreign => Err(Misfit::ForeignDatabase),
        _ if said.task_id != known.task_id => Err(Misfit::OtherTask),
        _ if known.attempt.is_none_or(|last| said.attempt > last) => Err(Misfit::NeverHandedOut),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
