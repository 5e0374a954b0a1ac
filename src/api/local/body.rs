//! Reading requests: JSON of bounded size, and streamed JSON lines of any length with bounded memory.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::time::timeout;
use tokio_util::io::StreamReader;

use super::error::ApiError;
use crate::api::wire::ErrorCode;

/// Longest line of a stream. What a document may have is less, and configured; a longer one is read so far to say which
/// member of it is large.
const LONGEST_LINE: u64 = 72 << 20;

/// How long the rest of a refused request is read.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// A JSON request whose faults are told in our envelope.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(query) = Json::<T>::from_request(request, state).await?;
        Ok(Query(query))
    }
}

type Bytes = axum::body::Bytes;
type ByteStream = stream::Map<BodyDataStream, fn(Result<Bytes, axum::Error>) -> io::Result<Bytes>>;

/// The lines of a streamed request.
pub(super) struct BodyLines {
    reader: BufReader<StreamReader<ByteStream, Bytes>>,
}

impl BodyLines {
    pub(super) fn new(body: Body) -> BodyLines {
        let stream: ByteStream = body.into_data_stream().map(|piece| piece.map_err(io::Error::other));
        BodyLines { reader: BufReader::new(StreamReader::new(stream)) }
    }

    /// The next line without its end; `None` after the last. A body that breaks off is an error.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut line).await.map_err(|error| {
            ApiError::new(ErrorCode::BadRequest, format!("the request broke off: {error}"))
        })?;
        if read == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read as u64 == LONGEST_LINE {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!("a document of more than {} MiB cannot be taken in", LONGEST_LINE >> 20),
            ));
        }
        Ok(Some(line))
    }

    /// Reads what is left, so that the client sees the answer instead of a broken connection; not for ever.
    pub(super) async fn drain(mut self) {
        let drained = async {
            while let Ok(buffer) = self.reader.fill_buf().await {
                let length = buffer.len();
                if length == 0 {
                    return;
                }
                self.reader.consume(length);
            }
        };
        // A client that is still sending after that is one whose connection breaks.
        let _ = timeout(DRAIN_LIMIT, drained).await;
    }
}
