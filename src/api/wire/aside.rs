//! Requests and receipts about reports that were kept aside. Pure data.

use serde::{Deserialize, Serialize};

use super::Reach;
use crate::model::ids::AsideId;

/// `POST /v1/spool/aside/query`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsideQuery {
    /// Lines, at most 10 000.
    pub limit: u32,
}

/// `POST /v1/spool/aside/adopt` and `/v1/spool/aside/remove`. An empty list needs `everything`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsideChange {
    /// Which reports.
    #[serde(default)]
    pub ids: Vec<AsideId>,
    /// How much an empty list means.
    #[serde(default)]
    pub reach: Reach,
}

/// What became of the reports.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AsideReceipt {
    /// How many were adopted or removed.
    pub changed: u64,
    /// How many were not.
    pub unchanged: u64,
    /// The first twenty of these, and why.
    pub refused: Vec<RefusedAside>,
}

/// A report that stays where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedAside {
    /// The report.
    pub id: AsideId,
    /// Why.
    pub reason: String,
}
