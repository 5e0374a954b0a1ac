//! The synthetic documents that a benchmark submits, as the lines of the request. Made as they are sent, in constant
//! memory; runs on a blocking thread.

use hyper::body::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use crate::api::wire::{DocumentLine, SubmitOptions};
use crate::cli::error::CliError;
use crate::cli::screen::Screen;

/// Bytes of one piece of the request.
const PIECE: usize = 128 << 10;

/// Documents between two updates of the line of progress.
const TOLD_EACH: u32 = 10_000;

/// Whether every task has a molecule of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Molecules {
    /// Yes, as in a campaign.
    Distinct,
    /// All have the same one.
    Same,
}

/// What is submitted.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// The first line.
    pub options: SubmitOptions,
    /// How many documents.
    pub tasks: u32,
    /// Of what.
    pub molecules: Molecules,
    /// Tells the molecules of this run from those of another: from 0 to 1.
    pub salt: f64,
}

impl Feed {
    /// Sends everything and then the end. Returns early, and well, when the daemon does not listen any more: the
    /// request itself says why.
    pub(super) fn send_to(self, pieces: &Sender<Option<Bytes>>, screen: &Screen) -> Result<(), CliError> {
        let render = |source| CliError::Render { source };
        let mut piece = serde_json::to_vec(&self.options).map_err(render)?;
        piece.push(b'\n');
        for number in 0..self.tasks {
            let document = self.document(number).to_string();
            let line = DocumentLine {
                source: "bench".to_owned(),
                line: u64::from(number) + 1,
                document: RawValue::from_string(document).map_err(render)?,
            };
            serde_json::to_writer(&mut piece, &line).map_err(render)?;
            piece.push(b'\n');
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE + 1024));
                if pieces.blocking_send(Some(Bytes::from(full))).is_err() {
                    return Ok(());
                }
            }
            if number % TOLD_EACH == 0 {
                screen.progress(&format!("submitting: {number} of {} tasks", self.tasks));
            }
        }
        let _ = pieces.blocking_send(Some(Bytes::from(piece)));
        let _ = pieces.blocking_send(None);
        Ok(())
    }

    /// Two helium atoms, six bohr or more apart: nobody's molecule.
    fn document(&self, number: u32) -> Value {
        let number = if self.molecules == Molecules::Distinct { number } else { 0 };
        let (row, column) = (number / 1000, number % 1000);
        json!({
            "schema_name": "qcschema_molecule", "schema_version": 2, "symbols": ["He", "He"],
            "geometry": [0.0, 0.0, 0.0, self.salt, f64::from(row) * 1e-4, 6.0 + f64::from(column) * 1e-3],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::qcschema::{self, InputDefaults};

    fn feed(molecules: Molecules) -> Feed {
        let defaults = InputDefaults {
            program: Some("synthetic".to_owned()),
            method: Some("null".to_owned()),
            ..InputDefaults::default()
        };
        let options = SubmitOptions { defaults, ..SubmitOptions::default() };
        Feed { options, tasks: 0, molecules, salt: 0.123_456_789 }
    }

    fn hash(feed: &Feed, number: u32) -> String {
        let text = feed.document(number).to_string();
        qcschema::parse(&text, &feed.options.defaults).unwrap().molecule.hash()
    }

    #[test]
    fn every_molecule_is_another_and_all_are_accepted() {
        let feed = feed(Molecules::Distinct);
        let numbers = (0..2000).chain([999_999, 1_000_000, u32::MAX]);
        let hashes: HashSet<String> = numbers.clone().map(|number| hash(&feed, number)).collect();
        assert_eq!(hashes.len(), numbers.count());
        let other = Feed { salt: 0.123_456_8, ..feed };
        assert!(!hashes.contains(&hash(&other, 0)), "two runs share no molecule");
    }

    #[test]
    fn or_all_are_one() {
        let feed = feed(Molecules::Same);
        assert_eq!(hash(&feed, 1), hash(&feed, 77));
    }
}
