//! `POST /v1/submit`: documents stream in, are checked in batches beside the transaction that stores them, and are stored
//! whole or not at all. Memory is bounded by a few batches, whatever the length of the request.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::ApiError;
use super::intake::RecordRequest;
use super::peer::Peer;
use super::runnable::{Obstacle, RunCheck, Warnings};
use super::state::ApiState;
use crate::api::wire::SubmitReceipt;
use crate::failpoint::{self, FailPoint};
use crate::model::calculation::Calculation;
use crate::store::intake::{Intake, Novelty};
use crate::store::{StoreError, Writer};

mod parse;

pub(super) use parse::{Batches, Checked};

/// Batches that wait for the transaction: one is stored while the next is read and checked.
const BATCHES_AHEAD: usize = 2;

/// What the transaction's task is told. A channel that closes before `Commit` rolls everything back.
enum Order {
    /// Store these too; beside each what keeps pools from running it.
    Add(Vec<Calculation>, Vec<Obstacle>),
    /// That was all.
    Commit,
}

/// Takes a submission in.
pub(super) async fn submit(
    State(state): State<Arc<ApiState>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Json<SubmitReceipt>, ApiError> {
    let writer = state.writer()?;
    let mut batches = Batches::begin(body).await?;
    let request = RecordRequest::new(batches.options(), &state.config, peer.user_name())?;
    let mut check = RunCheck::new((state.offers)(), request.clone(), batches.options().unrunnable);
    let (orders, received) = mpsc::channel(BATCHES_AHEAD);
    let storing = tokio::spawn(store(writer, request, received));
    while let Some(checked) = batches.next().await? {
        // After the first refused document nothing more is stored; the rest is still checked, for its problems.
        let Checked::Good(calculations) = checked else { break };
        let obstacles = match check.obstacles(&calculations) {
            Ok(obstacles) => obstacles,
            Err(refused) => {
                batches.drain().await;
                return Err(refused);
            }
        };
        if orders.send(Order::Add(calculations, obstacles)).await.is_err() {
            batches.drain().await;
            return Err(failure(storing).await);
        }
    }
    if let Some(refused) = batches.refusal().await? {
        return Err(refused);
    }
    if orders.send(Order::Commit).await.is_err() {
        return Err(failure(storing).await);
    }
    let receipt =
        storing.await??.ok_or_else(|| ApiError::internal(&"an intake was given up that should be kept"))?;
    state.wake.notify_one();
    Ok(Json(receipt))
}

/// The one intake transaction, begun with the first batch. It runs in a task of its own, so that a client that hangs up
/// cannot break a connection in the middle of a statement. `None` when it was given up.
async fn store(
    writer: Writer,
    request: RecordRequest,
    mut orders: mpsc::Receiver<Order>,
) -> Result<Option<SubmitReceipt>, ApiError> {
    let mut receipt = SubmitReceipt::default();
    let mut warnings = Warnings::default();
    let mut intake = None;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Add(calculations, obstacles) => {
                let open = match &mut intake {
                    Some(open) => open,
                    none => none.insert(writer.begin_intake().await?),
                };
                let added = match open.add(request.records(calculations)).await {
                    Ok(added) => added,
                    Err(error) => return Err(give_up(intake, error).await),
                };
                for (added, obstacle) in added.into_iter().zip(&obstacles) {
                    match added.novelty {
                        Novelty::Existing => receipt.existing.push(receipt.ids.len()),
                        Novelty::New => warnings.note(obstacle, added.record_id),
                    }
                    receipt.ids.push(added.record_id);
                }
            }
            Order::Commit => {
                if let Some(open) = intake {
                    open.commit().await?;
                    failpoint::hit(FailPoint::RecordsStored);
                }
                warnings.tell(&mut receipt);
                return Ok(Some(receipt));
            }
        }
    }
    if let Some(open) = intake {
        open.roll_back().await?;
    }
    Ok(None)
}

/// Ends a transaction in which something failed, so that the next intake need not wait for it.
async fn give_up(intake: Option<Intake>, error: StoreError) -> ApiError {
    if let Some(open) = intake
        && let Err(second) = open.roll_back().await
    {
        tracing::debug!(error = %second, "a failed intake could not be rolled back: {second}");
    }
    error.into()
}

/// Why the transaction's task ended early.
async fn failure(storing: JoinHandle<Result<Option<SubmitReceipt>, ApiError>>) -> ApiError {
    match storing.await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => ApiError::internal(&"the intake ended before its end"),
        Err(error) => error.into(),
    }
}
