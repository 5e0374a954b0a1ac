//! The list of nodes that are avoided, where runners look for their own. Reads and writes one file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::atomic;
use super::error::SpoolError;

/// Nodes that are avoided, each with the reason.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AvoidedNodes {
    /// By the name that the runner there gives itself.
    pub nodes: BTreeMap<String, String>,
}

/// The list at `path`; an empty one where there is none.
pub fn read(path: &Path) -> Result<AvoidedNodes, SpoolError> {
    match atomic::read_json(path) {
        Err(error) if error.is_absent() => Ok(AvoidedNodes::default()),
        outcome => outcome,
    }
}

/// Replaces the list at `path`.
pub fn write(path: &Path, list: &AvoidedNodes) -> Result<(), SpoolError> {
    atomic::write_json(path, list)
}
