//! Predictions on the wire. Pure data.

use serde::{Deserialize, Serialize};

use crate::model::ids::PoolName;
use crate::model::resources::TaskResources;
use crate::model::runtime::{RuntimeKey, Size};
use crate::plan::predict::Prediction;

/// What is known of one calculation: an element of the answer to `POST /v1/predict`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PredictedCalculation {
    /// Formula of its molecule.
    pub formula: String,
    /// Of which kind it is.
    pub key: RuntimeKey,
    /// How large it is.
    pub size: Size,
    /// The pools that can run it.
    pub pools: Vec<PredictedInPool>,
    /// The pools that cannot, and why.
    pub unfit: Vec<UnfitPool>,
}

/// How a calculation will fare in one pool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PredictedInPool {
    /// The pool.
    pub pool: PoolName,
    /// Time and memory.
    pub prediction: Prediction,
    /// What its task would be given there.
    pub given: TaskResources,
    /// What it will probably need more of than it would be given.
    pub short_of: Vec<Scarce>,
}

/// What a task may run out of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scarce {
    /// Time.
    Walltime,
    /// Memory.
    Memory,
}

/// A pool that cannot run it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnfitPool {
    /// The pool.
    pub pool: PoolName,
    /// Why.
    pub reason: String,
}
