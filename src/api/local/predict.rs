//! `POST /v1/predict`: how long calculations will take and how much memory they will hold, with nothing stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;

use super::error::ApiError;
use super::intake::RecordRequest;
use super::state::ApiState;
use super::{peer, preview};
use crate::api::wire::{PredictedCalculation, PredictedInPool, Scarce, SubmitOptions, UnfitPool};
use crate::config::Config;
use crate::model::calculation::Calculation;
use crate::model::resources::TaskResources;
use crate::model::runtime::{Place, RuntimeKey, Size};
use crate::plan::fit::{self, Offer};
use crate::plan::predict::{Expectation, Forecaster, expectation};

/// Predicts for each document and each pool.
pub(super) async fn predict(
    State(state): State<Arc<ApiState>>,
    body: Body,
) -> Result<Json<Vec<PredictedCalculation>>, ApiError> {
    let (calculations, options) = preview::calculations(&state, body).await?;
    let request = RecordRequest::new(&options, &state.config, peer::own_user_name())?;
    let asked: Vec<Asked> = calculations.iter().map(Asked::of).collect();
    let wanted: Vec<_> = asked.iter().filter_map(Asked::basis).collect();
    let sizes = state.store.basis_sizes(&wanted).await?;
    let programs: BTreeSet<&String> = asked.iter().map(|asked| &asked.key.program).collect();
    let programs: Vec<String> = programs.into_iter().cloned().collect();
    let mut forecaster = Forecaster::new(state.store.runtime_history(&programs).await?);
    let offers = (state.offers)();
    let mut predicted = Vec::with_capacity(asked.len());
    for mut asked in asked {
        asked.size.basis_functions = asked.basis().and_then(|basis| sizes.get(&basis).copied());
        predicted.push(in_pools(asked, &offers, &request, &options, &state.config, &mut forecaster));
    }
    Ok(Json(predicted))
}

/// A calculation as far as predictions are concerned.
struct Asked {
    formula: String,
    key: RuntimeKey,
    size: Size,
    required_programs: Vec<String>,
}

impl Asked {
    fn of(calculation: &Calculation) -> Asked {
        let atoms = u32::try_from(calculation.molecule.atoms()).unwrap_or(u32::MAX);
        Asked {
            formula: calculation.molecule.formula(),
            key: RuntimeKey::of(&calculation.specification),
            size: Size { atoms, basis_functions: None },
            required_programs: calculation.specification.required_programs(),
        }
    }

    /// What its number of basis functions is known by.
    fn basis(&self) -> Option<(String, String, String)> {
        let RuntimeKey { program, basis, .. } = &self.key;
        (!basis.is_empty()).then(|| (program.clone(), basis.clone(), self.formula.clone()))
    }
}

fn in_pools(
    asked: Asked,
    offers: &[Offer],
    request: &RecordRequest,
    options: &SubmitOptions,
    config: &Config,
    forecaster: &mut Forecaster,
) -> PredictedCalculation {
    let defaults = TaskResources {
        cores: Some(config.defaults.cores),
        memory_bytes: Some(config.defaults.memory_bytes),
        walltime_seconds: Some(config.defaults.walltime.as_secs()),
        gpus: Some(0),
        nodes: Some(1),
    };
    let (mut pools, mut unfit) = (Vec::new(), Vec::new());
    for offer in offers {
        if let Some(reason) = fit::misfit(offer, &request.demand(&asked.required_programs)) {
            unfit.push(UnfitPool { pool: offer.pool.clone(), reason });
            continue;
        }
        // The prediction itself depends on the cores, which depend on no prediction.
        let unknown = Expectation::default().completes(&options.resources, &offer.most);
        let cores = unknown.cores.unwrap_or(config.defaults.cores);
        let place = Place { site: config.site.name.clone(), pool: offer.pool.clone(), cores };
        let prediction = forecaster.predict(&asked.key, asked.size, &place);
        let expectation = expectation(&prediction, &offer.most, &defaults);
        let completed = expectation.completes(&options.resources, &offer.most);
        let given = TaskResources {
            cores: Some(cores),
            memory_bytes: completed.memory_bytes.or(defaults.memory_bytes),
            walltime_seconds: completed.walltime_seconds.or(defaults.walltime_seconds),
            ..completed
        };
        let less = |given: Option<u64>, median: f64| given.is_some_and(|given| (given as f64) < median);
        let mut short_of = Vec::new();
        if less(given.walltime_seconds, prediction.wall_seconds.median) {
            short_of.push(Scarce::Walltime);
        }
        if less(given.memory_bytes, prediction.memory_bytes.median) {
            short_of.push(Scarce::Memory);
        }
        pools.push(PredictedInPool { pool: offer.pool.clone(), prediction, given, short_of });
    }
    let Asked { formula, key, size, .. } = asked;
    PredictedCalculation { formula, key, size, pools, unfit }
}
