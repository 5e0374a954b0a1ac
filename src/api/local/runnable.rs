//! Whether any pool can ever run what is handed in: asked once for each set of programs of a submission.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::error::ApiError;
use super::intake::RecordRequest;
use crate::api::wire::{ErrorCode, SubmitReceipt, SubmitWarning, Unrunnable};
use crate::model::calculation::Calculation;
use crate::model::ids::RecordId;
use crate::plan::fit::{self, Offer};

/// Why no pool can run a calculation; nothing where one can.
pub(super) type Obstacle = Option<Arc<str>>;

/// Looks for pools.
pub(super) struct RunCheck {
    offers: Vec<Offer>,
    request: RecordRequest,
    unrunnable: Unrunnable,
    known: HashMap<Vec<String>, Obstacle>,
}

impl RunCheck {
    pub(super) fn new(offers: Vec<Offer>, request: RecordRequest, unrunnable: Unrunnable) -> RunCheck {
        RunCheck { offers, request, unrunnable, known: HashMap::new() }
    }

    /// The refusal of a submission that asks for more memory than any pool has: it could only wait for ever.
    pub(super) fn refusal(&self) -> Option<ApiError> {
        let reason = fit::more_memory_than_any(&self.offers, self.request.memory_asked()?)?;
        let message = format!("{reason}; nothing was stored");
        Some(ApiError::new(ErrorCode::Conflict, message).with_hint("ask for less memory"))
    }

    /// What stands in the way of each of them, or the refusal that was asked for.
    pub(super) fn obstacles(&mut self, calculations: &[Calculation]) -> Result<Vec<Obstacle>, ApiError> {
        let mut obstacles = Vec::with_capacity(calculations.len());
        for calculation in calculations {
            let programs = calculation.specification.required_programs();
            let (offers, request) = (&self.offers, &self.request);
            let obstacle = self.known.entry(programs).or_insert_with_key(|programs| {
                fit::no_pool(offers, &request.demand(programs)).map(Arc::from)
            });
            if let (Some(reason), Unrunnable::Refuse) = (&obstacle, self.unrunnable) {
                let message = format!("{reason}; nothing was stored");
                return Err(ApiError::new(ErrorCode::Conflict, message)
                    .with_hint("without --strict it is stored, and waits for a pool that can"));
            }
            obstacles.push(obstacle.clone());
        }
        Ok(obstacles)
    }
}

/// Obstacles of new records, gathered for the receipt.
#[derive(Default)]
pub(super) struct Warnings(BTreeMap<Arc<str>, (u64, Option<RecordId>)>);

impl Warnings {
    pub(super) fn note(&mut self, obstacle: &Obstacle, record: RecordId) {
        if let Some(reason) = obstacle {
            let (records, first) = self.0.entry(reason.clone()).or_default();
            *records += 1;
            first.get_or_insert(record);
        }
    }

    /// Puts them into the receipt.
    pub(super) fn tell(self, receipt: &mut SubmitReceipt) {
        receipt.warnings = self
            .0
            .into_iter()
            .filter_map(|(reason, (records, first))| {
                Some(SubmitWarning { message: reason.to_string(), records, first: first? })
            })
            .collect();
    }
}
