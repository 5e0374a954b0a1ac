//! `POST /v1/submit`: documents stream in, are checked in batches beside the transaction that stores them, and are stored
//! whole or not at all. Memory is bounded by a few batches, whatever the length of the request.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{SubmitOptions, SubmitReceipt};
use crate::model::calculation::Calculation;
use crate::store::Writer;

mod parse;

pub(super) use parse::{Batches, Checked};

/// What the transaction's task is told. A channel that closes before `Commit` rolls everything back.
enum Order {
    /// Store these too.
    Add(Vec<Calculation>),
    /// That was all.
    Commit,
}

/// Takes a submission in.
pub(super) async fn submit(
    State(state): State<Arc<ApiState>>,
    body: Body,
) -> Result<Json<SubmitReceipt>, ApiError> {
    let writer = state.writer()?;
    let mut batches = Batches::begin(body).await?;
    let (orders, received) = mpsc::channel(2);
    let storing = tokio::spawn(store(writer, state.clone(), batches.options().clone(), received));
    while let Some(checked) = batches.next().await? {
        // After the first refused document nothing more is stored; the rest is still checked, for its problems.
        let Checked::Good(calculations) = checked else { break };
        if orders.send(Order::Add(calculations)).await.is_err() {
            return Err(failure(storing).await);
        }
    }
    if let Some(refused) = batches.refusal().await? {
        return Err(refused);
    }
    if orders.send(Order::Commit).await.is_err() {
        return Err(failure(storing).await);
    }
    Ok(Json(storing.await??))
}

/// The one intake transaction. It runs in a task of its own, so that a client that hangs up cannot break a connection in
/// the middle of a statement.
async fn store(
    writer: Writer,
    state: Arc<ApiState>,
    options: SubmitOptions,
    mut orders: mpsc::Receiver<Order>,
) -> Result<SubmitReceipt, ApiError> {
    let mut intake = writer.begin_intake(&request(&options, &state.config)).await?;
    let mut receipt = SubmitReceipt { ids: Vec::new(), existing: Vec::new() };
    while let Some(order) = orders.recv().await {
        match order {
            Order::Add(calculations) => {
                for added in intake.add(calculations).await? {
                    if added.existed() {
                        receipt.existing.push(receipt.ids.len());
                    }
                    receipt.ids.push(added.record_id);
                }
            }
            Order::Commit => {
                intake.commit().await?;
                state.wake.notify_one();
                return Ok(receipt);
            }
        }
    }
    intake.roll_back().await?;
    Err(ApiError::internal(&"a submission was rolled back without anybody to tell"))
}

/// Why the transaction's task ended early.
async fn failure(storing: JoinHandle<Result<SubmitReceipt, ApiError>>) -> ApiError {
    match storing.await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => ApiError::internal(&"the intake ended before its end"),
        Err(error) => error.into(),
    }
}
