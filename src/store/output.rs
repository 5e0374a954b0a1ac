//! Outputs of attempts, native files and wavefunctions: zstd over MessagePack, as QCArchive stores them.
//! Touches `native_file` and `wavefunction_store`; reads outputs from `compute_history`.

use std::cell::RefCell;

use diesel::OptionalExtension;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;
use zstd::bulk::Compressor;

use super::connect::Store;
use super::error::{Doing, StoreError};
use crate::model::ids::RecordId;

/// What an attempt leaves behind as text, in QCArchive's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutputType {
    /// What the program printed.
    Stdout,
    /// What it and its worker wrote to standard error.
    Stderr,
    /// The error.
    Error,
}

impl OutputType {
    /// Every type.
    pub const ALL: [OutputType; 3] = [OutputType::Stdout, OutputType::Stderr, OutputType::Error];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            OutputType::Stdout => "stdout",
            OutputType::Stderr => "stderr",
            OutputType::Error => "error",
        }
    }

    /// The type that `word` names.
    pub fn parse(word: &str) -> Option<OutputType> {
        Self::ALL.into_iter().find(|output| output.as_str() == word)
    }
}

/// A compressed value.
pub(crate) type Blob = Vec<u8>;

/// zstd's own default: four times faster than QCArchive's 16 for a tenth more bytes.
const LEVEL: i32 = 3;

/// Blobs sent in one statement, in bytes.
const BYTES_AT_ONCE: usize = 16 << 20;

/// Compresses `value` as QCArchive does.
pub(crate) fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Blob, PackError> {
    thread_local! {
        // A context is a megabyte to set up, which takes longer than compressing a small output.
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    let packed = rmp_serde::to_vec_named(value)?;
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new(LEVEL)?),
        };
        Ok(compressor.compress(&packed)?)
    })
}

/// The inverse of [`pack`], from a stored blob that `what` names.
pub(crate) fn unpack<T: serde::de::DeserializeOwned>(blob: &[u8], what: &str) -> Result<T, StoreError> {
    let read = || -> Result<T, Box<dyn std::error::Error + Send + Sync>> {
        Ok(rmp_serde::from_slice(&zstd::stream::decode_all(blob)?)?)
    };
    read().map_err(|source| StoreError::Stored { what: what.to_owned(), source })
}

/// Why a value could not be compressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("value has no MessagePack form")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("zstd failed")]
    Compress(#[from] std::io::Error),
}

/// Rows with blobs, in runs of at most `most` bytes.
pub(super) fn runs<T>(rows: &[T], most: usize, size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut runs = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        if bytes > 0 && bytes + size(row) > most {
            runs.push(&rows[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size(row);
    }
    if start < rows.len() {
        runs.push(&rows[start..]);
    }
    runs
}

/// Stores native files; one of the same name is replaced.
pub(crate) async fn put_native_files(
    conn: &mut AsyncPgConnection,
    files: &[(RecordId, String, Blob)],
) -> Result<(), StoreError> {
    for run in runs(files, BYTES_AT_ONCE, |(_, _, blob)| blob.len()) {
        diesel::sql_query(
            "INSERT INTO native_file (record_id, name, data) SELECT * FROM unnest($1, $2, $3)
             ON CONFLICT (record_id, name) DO UPDATE SET data = excluded.data",
        )
        .bind::<Array<BigInt>, _>(run.iter().map(|(id, _, _)| id.0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(run.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>())
        .bind::<Array<Binary>, _>(run.iter().map(|(_, _, blob)| blob.as_slice()).collect::<Vec<_>>())
        .execute(conn)
        .await
        .doing("storing native files")?;
    }
    Ok(())
}

/// Stores wavefunctions, replacing former ones.
pub(crate) async fn put_wavefunctions(
    conn: &mut AsyncPgConnection,
    wavefunctions: &[(RecordId, Blob)],
) -> Result<(), StoreError> {
    for run in runs(wavefunctions, BYTES_AT_ONCE, |(_, blob)| blob.len()) {
        diesel::sql_query(
            "INSERT INTO wavefunction_store (record_id, data) SELECT * FROM unnest($1, $2)
             ON CONFLICT (record_id) DO UPDATE SET data = excluded.data",
        )
        .bind::<Array<BigInt>, _>(run.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind::<Array<Binary>, _>(run.iter().map(|(_, blob)| blob.as_slice()).collect::<Vec<_>>())
        .execute(conn)
        .await
        .doing("storing wavefunctions")?;
    }
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct BlobRow {
    #[diesel(sql_type = Binary)]
    data: Vec<u8>,
}

impl Store {
    /// An output of a record's attempt, of the last one that has it where `history` is `None`. Of an error: its type and
    /// message.
    pub async fn output(
        &self,
        id: RecordId,
        history: Option<i64>,
        output: OutputType,
    ) -> Result<Option<String>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<BlobRow> = diesel::sql_query(
            "SELECT data FROM (
                SELECT h.id, CASE $2 WHEN 'stdout' THEN h.stdout WHEN 'stderr' THEN h.stderr ELSE h.error END AS data
                FROM compute_history h WHERE h.record_id = $1 AND ($3 = 0 OR h.id = $3)) outputs
             WHERE data IS NOT NULL ORDER BY id DESC LIMIT 1",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(output.as_str())
        .bind::<BigInt, _>(history.unwrap_or(0))
        .get_result(&mut conn)
        .await
        .optional()
        .doing("reading an output")?;
        let Some(row) = row else { return Ok(None) };
        unpack(&row.data, &format!("`{}` of record {id}", output.as_str())).map(|value| Some(text_of(value)))
    }

    /// A native file of a record, as it was written.
    pub async fn native_file(&self, id: RecordId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<BlobRow> =
            diesel::sql_query("SELECT data FROM native_file WHERE record_id = $1 AND name = $2")
                .bind::<BigInt, _>(id.0)
                .bind::<Text, _>(name)
                .get_result(&mut conn)
                .await
                .optional()
                .doing("reading a native file")?;
        let Some(row) = row else { return Ok(None) };
        let text: String = unpack(&row.data, &format!("native file `{name}` of record {id}"))?;
        Ok(Some(text.into_bytes()))
    }
}

/// Text, or an error's map as text.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Object(members) => {
            let member = |key| members.get(key).and_then(Value::as_str).unwrap_or_default();
            format!("{}: {}", member("error_type"), member("error_message"))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let text = "energy \u{0} -74.96\n".repeat(100);
        let blob = pack(&text).unwrap();
        assert!(blob.len() < text.len() / 10);
        assert_eq!(unpack::<String>(&blob, "test").unwrap(), text);
        assert!(unpack::<String>(b"not zstd", "test").is_err());
    }

    #[test]
    fn runs_are_bounded_and_complete() {
        let sizes = [BYTES_AT_ONCE, 1, 2, BYTES_AT_ONCE * 2, 3];
        let runs = runs(&sizes, BYTES_AT_ONCE, |size| *size);
        assert_eq!(runs, [&sizes[..1], &sizes[1..3], &sizes[3..4], &sizes[4..]]);
        assert!(super::runs(&[0usize; 0], BYTES_AT_ONCE, |size| *size).is_empty());
    }
}
