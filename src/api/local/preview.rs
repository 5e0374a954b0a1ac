//! `POST /v1/preview`: what a submission would make of its documents, with nothing stored and nothing submitted.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;

use super::error::ApiError;
use super::state::ApiState;
use super::submit::{Batches, Checked, document_limits};
use crate::api::wire::{ErrorCode, PreviewedSubmission, SubmitOptions};
use crate::model::calculation::Calculation;

/// Most documents of a preview: all of them are held in memory.
const MOST: usize = 10_000;

/// Plans the submission as it would be if the queue were empty.
pub(super) async fn preview(
    State(state): State<Arc<ApiState>>,
    body: Body,
) -> Result<Json<Vec<PreviewedSubmission>>, ApiError> {
    let (calculations, options) = calculations(&state, body).await?;
    let planned = tokio::task::spawn_blocking(move || (state.preview)(calculations, options)).await?;
    planned.map(Json).map_err(|refused| {
        let error = ApiError::new(ErrorCode::Conflict, refused.message);
        match refused.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

/// All the calculations of a request, and its options.
pub(super) async fn calculations(
    state: &ApiState,
    body: Body,
) -> Result<(Vec<Calculation>, SubmitOptions), ApiError> {
    let mut batches = Batches::begin(body, document_limits(&state.config)).await?;
    let mut calculations = Vec::new();
    while let Some(checked) = batches.next().await? {
        let Checked::Good(batch) = checked else { break };
        calculations.extend(batch);
        if calculations.len() > MOST {
            batches.drain().await;
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!("at most {MOST} documents are looked at together"),
            ));
        }
    }
    if let Some(refused) = batches.refusal().await? {
        return Err(refused);
    }
    Ok((calculations, batches.options().clone()))
}
