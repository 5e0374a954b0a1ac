//! How values of `model` look in PostgreSQL: enums as its own enum types, ids as bigint, documents as jsonb.
//! Conversions only; no statement is run here.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use diesel::deserialize::{self, FromSql, Queryable};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Double, Integer, Jsonb, Nullable, Text};

use crate::model::calculation::Driver;
use crate::model::failure::FailureClass;
use crate::model::identity::{CalculationHash, DatabaseId};
use crate::model::ids::{
    AsideId, ChunkId, Fence, JobId, MoleculeId, NodeIndex, PoolName, RecordId, SchedulerJobId,
    SpecificationId, SubmissionId, Tag, TaskId,
};
use crate::model::job::{JobOutcome, JobState, SubmissionState};
use crate::model::record::{RecordStatus, RecordType};
use crate::model::resources::JobResources;
use crate::model::runtime::{Measure, Quantity, Work};
use crate::model::task::Placement;

/// The SQL types, by the names that `schema` uses.
pub mod sql {
    use diesel::query_builder::QueryId;
    use diesel::sql_types::SqlType;

    macro_rules! sql_types {
        ($($name:ident = $postgres:literal),* $(,)?) => {$(
            #[doc = concat!("The enum type `", $postgres, "`.")]
            #[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
            #[diesel(postgres_type(name = $postgres))]
            pub struct $name;
        )*};
    }

    sql_types! {
        RecordStatus = "record_status",
        RecordType = "record_type",
        Driver = "driver",
        SubmissionState = "submission_state",
        ChunkState = "chunk_state",
        JobState = "job_state",
        JobOutcome = "job_outcome",
        FailureClass = "failure_class",
        Placement = "placement",
        Work = "work",
        Quantity = "quantity",
        Measure = "measure",
    }

    /// Columns of PostgreSQL's own types that hold one kind of value only: an id, a name, a hash.
    macro_rules! columns_of {
        ($($oid:literal, $array_oid:literal: $($name:ident)*;)*) => {$($(
            #[doc = concat!("A column of `", stringify!($name), "`.")]
            #[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
            #[diesel(postgres_type(oid = $oid, array_oid = $array_oid))]
            pub struct $name;
        )*)*};
    }

    // The numbers are those of bigint, text and bytea (`SELECT oid, typarray FROM pg_type`); they never change.
    columns_of! {
        20, 1016: AsideId RecordId TaskId JobId SubmissionId ChunkId MoleculeId SpecificationId Fence;
        25, 1009: PoolName SchedulerJobId DatabaseId Tag;
        17, 1001: CalculationHash;
    }
}

macro_rules! from_word {
    ($($name:ident),* $(,)?) => {$(
        impl FromSql<sql::$name, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let word = std::str::from_utf8(value.as_bytes())?;
                $name::parse(word).ok_or_else(|| format!("unknown word `{word}`").into())
            }
        }

        impl Queryable<sql::$name, Pg> for $name {
            type Row = Self;

            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
    )*};
}

from_word!(
    RecordStatus,
    RecordType,
    Driver,
    SubmissionState,
    JobState,
    JobOutcome,
    FailureClass,
    Work,
    Quantity,
    Measure,
);

impl ToSql<sql::RecordStatus, Pg> for RecordStatus {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.as_str().as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql::Placement, Pg> for Placement {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        [Placement::Shared, Placement::Dedicated]
            .into_iter()
            .find(|placement| placement.as_str().as_bytes() == value.as_bytes())
            .ok_or_else(|| "unknown placement".into())
    }
}

macro_rules! from_bigint {
    ($($name:ident),* $(,)?) => {$(
        impl FromSql<sql::$name, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <i64 as FromSql<BigInt, Pg>>::from_sql(value).map($name)
            }
        }
    )*};
}

from_bigint!(AsideId, RecordId, TaskId, JobId, SubmissionId, ChunkId, MoleculeId, SpecificationId, Fence);

macro_rules! from_text {
    ($($name:ident),* $(,)?) => {$(
        impl FromSql<sql::$name, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <String as FromSql<Text, Pg>>::from_sql(value).map($name)
            }
        }
    )*};
}

from_text!(PoolName, SchedulerJobId);

impl FromSql<sql::DatabaseId, Pg> for DatabaseId {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(std::str::from_utf8(value.as_bytes())?.parse()?)
    }
}

impl FromSql<sql::CalculationHash, Pg> for CalculationHash {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(CalculationHash(value.as_bytes().try_into()?))
    }
}

impl FromSql<sql::Tag, Pg> for Tag {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(<String as FromSql<Text, Pg>>::from_sql(value)?.parse()?)
    }
}

/// An `integer` column that is never negative.
pub(crate) struct Count(u32);

impl FromSql<Integer, Pg> for Count {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Count(u32::try_from(<i32 as FromSql<Integer, Pg>>::from_sql(value)?)?))
    }
}

impl From<Count> for u32 {
    fn from(count: Count) -> u32 {
        count.0
    }
}

/// A `bigint` column that is never negative.
pub(crate) struct Offset(u64);

impl FromSql<BigInt, Pg> for Offset {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Offset(u64::try_from(<i64 as FromSql<BigInt, Pg>>::from_sql(value)?)?))
    }
}

impl From<Offset> for u64 {
    fn from(offset: Offset) -> u64 {
        offset.0
    }
}

/// A span of time in seconds, measured by the database between two moments of its own clock. One that is negative is none at
/// all: the clock was set back.
pub(crate) struct Span(Option<Duration>);

impl FromSql<Nullable<Double>, Pg> for Span {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let seconds = <f64 as FromSql<Double, Pg>>::from_sql(value)?.max(0.0);
        Ok(Span(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))))
    }

    fn from_nullable_sql(value: Option<PgValue<'_>>) -> deserialize::Result<Self> {
        value.map_or(Ok(Span(None)), <Span as FromSql<Nullable<Double>, Pg>>::from_sql)
    }
}

impl From<Span> for Option<Duration> {
    fn from(span: Span) -> Option<Duration> {
        span.0
    }
}

/// A jsonb column that holds a `T`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: serde::de::DeserializeOwned> FromSql<Jsonb, Pg> for Json<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // jsonb on the wire is one byte of version and the text.
        match value.as_bytes().split_first() {
            Some((1, text)) => Ok(Json(serde_json::from_slice(text)?)),
            _ => Err("jsonb of an unknown version".into()),
        }
    }
}

/// Positions in result files by node.
impl From<Json<BTreeMap<NodeIndex, u64>>> for BTreeMap<NodeIndex, u64> {
    fn from(json: Json<BTreeMap<NodeIndex, u64>>) -> Self {
        json.0
    }
}

impl From<Json<JobResources>> for JobResources {
    fn from(json: Json<JobResources>) -> JobResources {
        json.0
    }
}

/// Raw ids, for binding as an array.
pub(crate) fn raw<I>(ids: impl IntoIterator<Item = I>) -> Vec<i64>
where
    I: Into<i64>,
{
    ids.into_iter().map(Into::into).collect()
}

/// A count or size of `model` as PostgreSQL's `integer`; what does not fit is as good as the greatest.
pub(crate) fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A size of `model` as PostgreSQL's `bigint`; what does not fit is as good as the greatest.
pub(crate) fn bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The members of an object; of anything else none.
pub(crate) fn members(value: Option<serde_json::Value>) -> serde_json::Map<String, serde_json::Value> {
    match value {
        Some(serde_json::Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    }
}

/// `text` without NUL characters, which PostgreSQL stores neither in text nor in jsonb.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same, without a copy where there is nothing to replace.
pub(crate) fn storable_text(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { storable(text).into() } else { text.into() }
}

/// Replaces NUL characters in every string and key of `value`.
pub(crate) fn make_storable(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) if text.contains('\0') => *text = storable(text),
        Value::Array(items) => items.iter_mut().for_each(make_storable),
        Value::Object(members) => {
            if members.keys().any(|key| key.contains('\0')) {
                *members =
                    std::mem::take(members).into_iter().map(|(key, value)| (storable(&key), value)).collect();
            }
            members.values_mut().for_each(make_storable);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nul_characters_are_replaced_at_every_depth() {
        let mut value = json!({"a\0": ["x\0y", {"b": "\0"}], "n": 1.5});
        make_storable(&mut value);
        assert_eq!(value, json!({"a\u{fffd}": ["x\u{fffd}y", {"b": "\u{fffd}"}], "n": 1.5}));
    }
}
