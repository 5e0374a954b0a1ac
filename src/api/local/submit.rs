//! `POST /v1/submit`: documents stream in, are checked in batches beside the transaction that stores them, and are stored
//! whole or not at all. Memory is bounded by a few batches, whatever the length of the request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::error::{ApiError, chain};
use super::intake::RecordRequest;
use super::peer::Peer;
use super::runnable::{Obstacle, RunCheck, Warnings};
use super::state::ApiState;
use crate::api::wire::SubmitReceipt;
use crate::config::Config;
use crate::failpoint::{self, FailPoint};
use crate::model::calculation::Calculation;
use crate::model::json_size::DocumentLimits;
use crate::plan::intake::{IntakeCourse, IntakeLimits, IntakeVerdict, judge};
use crate::store::StoreError;
use crate::store::intake::{Intake, Novelty};

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

/// Time between two looks at whether the client is too slow.
const LOOK: Duration = Duration::from_secs(1);

/// The transaction of a submission, at work in a task of its own, so that a client that hangs up cannot break a
/// connection in the middle of a statement.
struct Storing {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<Result<Option<SubmitReceipt>, ApiError>>,
}

/// Takes a submission in.
pub(super) async fn submit(
    State(state): State<Arc<ApiState>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Json<SubmitReceipt>, ApiError> {
    let writer = state.writer()?;
    let mut batches = Batches::begin(body, document_limits(&state.config)).await?;
    let request = RecordRequest::new(batches.options(), &state.config, peer.user_name())?;
    let mut check = RunCheck::new((state.offers)(), request.clone(), batches.options().unrunnable);
    if let Some(refused) = check.refusal() {
        batches.drain().await;
        return Err(refused);
    }
    let limits = limits(&state.config);
    let mut storing: Option<Storing> = None;
    while let Some(checked) = next(&mut batches, &mut storing).await? {
        // After the first refused document nothing more is stored; the rest is still checked, for its problems.
        let Checked::Good(calculations) = checked else { break };
        let obstacles = match check.obstacles(&calculations) {
            Ok(obstacles) => obstacles,
            Err(refused) => {
                batches.drain().await;
                return Err(refused);
            }
        };
        let open = match &mut storing {
            Some(open) => open,
            // Before its turn a submission is not read any further: whoever waits costs one batch.
            none => match writer.begin_intake_within(limits.wait).await {
                Ok(intake) => none.insert(Storing::begin(intake, request.clone(), limits)),
                Err(error) => {
                    batches.drain().await;
                    return Err(error.into());
                }
            },
        };
        if open.orders.send(Order::Add(calculations, obstacles)).await.is_err() {
            batches.drain().await;
            return Err(failure(storing).await);
        }
    }
    if let Some(refused) = batches.refusal().await? {
        return Err(refused);
    }
    let Some(Storing { orders, task }) = storing else {
        return Err(ApiError::internal(&"a submission without documents was not refused"));
    };
    if orders.send(Order::Commit).await.is_err() {
        return Err(failure(Some(Storing { orders, task })).await);
    }
    let receipt =
        task.await??.ok_or_else(|| ApiError::internal(&"an intake was given up that should be kept"))?;
    state.wake.notify_one();
    Ok(Json(receipt))
}

/// How large a document may be.
pub(super) fn document_limits(config: &Config) -> DocumentLimits {
    DocumentLimits { bytes: config.intake.document_bytes, elements: config.intake.document_elements }
}

fn limits(config: &Config) -> IntakeLimits {
    IntakeLimits {
        wait: config.intake.wait,
        life: config.intake.life,
        idle: config.intake.wait * 2,
        ..IntakeLimits::default()
    }
}

/// The next batch, unless the transaction's task ends first: a client that sends too slowly is told so at once.
async fn next(batches: &mut Batches, storing: &mut Option<Storing>) -> Result<Option<Checked>, ApiError> {
    let Some(open) = storing else { return batches.next().await };
    tokio::select! {
        checked = batches.next() => checked,
        ended = &mut open.task => Err(why_ended(ended)),
    }
}

impl Storing {
    fn begin(intake: Intake, request: RecordRequest, limits: IntakeLimits) -> Storing {
        let (orders, received) = mpsc::channel(BATCHES_AHEAD);
        Storing { orders, task: tokio::spawn(store(intake, request, received, limits)) }
    }
}

/// The one intake transaction. `None` when it was given up.
async fn store(
    mut intake: Intake,
    request: RecordRequest,
    mut orders: mpsc::Receiver<Order>,
    limits: IntakeLimits,
) -> Result<Option<SubmitReceipt>, ApiError> {
    let mut receipt = SubmitReceipt::default();
    let mut warnings = Warnings::default();
    let (begun, mut idle) = (Instant::now(), Duration::ZERO);
    loop {
        let waits_since = Instant::now();
        let order = loop {
            if let Ok(order) = timeout(LOOK, orders.recv()).await {
                break order;
            }
            let silence = waits_since.elapsed();
            let course =
                IntakeCourse { age: begun.elapsed(), silence, idle: idle + silence, others: intake.others() };
            if let Some(refused) = refusal(&limits, course) {
                intake.roll_back().await?;
                return Err(refused);
            }
        };
        idle += waits_since.elapsed();
        match order {
            Some(Order::Add(calculations, obstacles)) => {
                let course = IntakeCourse {
                    age: begun.elapsed(),
                    silence: Duration::ZERO,
                    idle,
                    others: intake.others(),
                };
                if let Some(refused) = refusal(&limits, course) {
                    intake.roll_back().await?;
                    return Err(refused);
                }
                let added = match intake.add(request.records(calculations)).await {
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
            Some(Order::Commit) => {
                intake.commit().await?;
                failpoint::hit(FailPoint::RecordsStored);
                warnings.tell(&mut receipt);
                return Ok(Some(receipt));
            }
            None => {
                intake.roll_back().await?;
                return Ok(None);
            }
        }
    }
}

/// Why an intake may not go on, if it may not.
fn refusal(limits: &IntakeLimits, course: IntakeCourse) -> Option<ApiError> {
    match judge(limits, course) {
        IntakeVerdict::GoesOn => None,
        IntakeVerdict::TooSlow => Some(ApiError::busy(format!(
            "the documents came too slowly: the daemon has waited {} s for them, and submissions are taken in one at a \
             time; nothing was stored",
            course.idle.as_secs()
        ))),
        IntakeVerdict::TooLong => Some(ApiError::busy(format!(
            "the submission took longer than the {} s that `[intake] life` allows; nothing was stored",
            limits.life.as_secs()
        ))),
    }
}

/// Ends a transaction in which something failed, so that the next intake need not wait for it.
async fn give_up(intake: Intake, error: StoreError) -> ApiError {
    if let Err(second) = intake.roll_back().await {
        tracing::debug!(error = %second, "a failed intake could not be rolled back: {second}");
    }
    if error.is_refusal() {
        tracing::warn!(error = %chain(&error), "the database refuses a submission: {}", chain(&error));
        return ApiError::bad_input(format!("{}; nothing was stored", chain(&error)), Vec::new()).with_hint(
            "the database cannot hold one of the documents: send them in smaller parts to find it",
        );
    }
    error.into()
}

/// Why the transaction's task ended early.
async fn failure(storing: Option<Storing>) -> ApiError {
    match storing {
        Some(Storing { task, .. }) => why_ended(task.await),
        None => ApiError::internal(&"an intake ended before it began"),
    }
}

fn why_ended(ended: Result<Result<Option<SubmitReceipt>, ApiError>, JoinError>) -> ApiError {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => ApiError::internal(&"the intake ended before its end"),
        Err(error) => error.into(),
    }
}
