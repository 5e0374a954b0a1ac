//! Errors of handlers and how each becomes the envelope; our own failures are logged here, once.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::wire::{ErrorBody, ErrorCode, ErrorEnvelope, Problem};
pub(super) use crate::model::causes::chain;
use crate::store::StoreError;

/// An answer that is not 2xx.
#[derive(Debug)]
pub struct ApiError {
    body: ErrorBody,
}

impl ApiError {
    /// An error with a code and a message.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { body: ErrorBody { code, message: message.into(), hint: None, problems: Vec::new() } }
    }

    /// The same with what to do about it.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> ApiError {
        self.body.hint = Some(hint.into());
        self
    }

    /// Documents were refused.
    pub(super) fn bad_input(message: impl Into<String>, problems: Vec<Problem>) -> ApiError {
        let mut error = ApiError::new(ErrorCode::BadInput, message);
        error.body.problems = problems;
        error
    }

    /// What it says.
    pub(super) fn message(&self) -> &str {
        &self.body.message
    }

    /// The peer is somebody else.
    pub(super) fn forbidden(own_uid: u32) -> ApiError {
        ApiError::new(ErrorCode::Forbidden, format!("this daemon answers user {own_uid} and root only"))
            .with_hint("use the account that runs the daemon, or name your own with --socket")
    }

    /// There is no such record.
    pub(super) fn no_record(id: crate::model::ids::RecordId) -> ApiError {
        ApiError::new(ErrorCode::NotFound, format!("there is no record {id}"))
    }

    /// This daemon does not hold the lease.
    pub(super) fn not_active() -> ApiError {
        ApiError::new(ErrorCode::NotActive, "this daemon does not hold its site's lease and changes nothing")
            .with_hint("see `qcbatch status`: another daemon may serve the site")
    }

    /// The daemon is on its way out.
    pub(super) fn stopping() -> ApiError {
        ApiError::new(ErrorCode::Stopping, "the daemon is stopping")
            .with_hint("start it with: qcbatch daemon")
    }

    /// Submissions are taken in one at a time.
    pub(super) fn busy(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Busy, message).with_hint("submit it again in a moment")
    }

    /// A bug of ours; `cause` goes to the log.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> ApiError {
        tracing::error!(error = %cause, "a request failed by a bug of qcbatch: {cause}");
        ApiError::new(
            ErrorCode::Internal,
            "the daemon failed to answer by a bug of its own; its log says more",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.body.code.http_status())
            .expect("every status in the table of codes is a valid one");
        (status, Json(ErrorEnvelope { error: self.body })).into_response()
    }
}

/// What is said of `refused` documents where no more than `most` were counted.
pub(super) fn refusal_message(refused: usize, most: usize) -> String {
    let told = match refused {
        1 => "a document is refused".to_owned(),
        several if several >= most => format!("at least {most} documents are refused"),
        several => format!("{several} documents are refused"),
    };
    format!("{told}; nothing was stored")
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        if matches!(error, StoreError::Busy) {
            return ApiError::busy("another submission is being taken in; nothing of this one was stored");
        }
        if error.is_away() {
            return ApiError::new(ErrorCode::DatabaseUnavailable, chain(&error))
                .with_hint("the daemon goes on by itself once the database answers; try again then");
        }
        match error {
            StoreError::LeaseLost { .. } => ApiError::not_active(),
            other => ApiError::internal(&chain(&other)),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> ApiError {
        refused(rejection.status(), rejection.body_text())
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> ApiError {
        refused(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> ApiError {
        refused(rejection.status(), rejection.body_text())
    }
}

fn refused(status: StatusCode, message: String) -> ApiError {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(ErrorCode::TooLarge, message),
        _ => ApiError::new(ErrorCode::BadRequest, message),
    }
}

/// A handler's task that was cancelled or panicked.
impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> ApiError {
        ApiError::internal(&error)
    }
}

/// For paths that nothing answers.
pub(super) async fn no_such_path() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such path in the local API")
        .with_hint("the program and the daemon may be of different versions")
}

/// For methods that a path does not have.
pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "the path exists, but not with this method")
}
