//! The other end of the local API: HTTP/1.1 over the daemon's Unix socket, one connection for each request.
//! May open that socket and nothing else. Used by the CLI.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::wire::{ErrorEnvelope, NDJSON};

mod error;
mod lines;

pub use error::ClientError;
pub use lines::LineStream;

/// How long an answer may take when nothing else is said.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";

type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// A client of one daemon; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    answer_timeout: Duration,
}

impl Client {
    /// A client of the daemon that listens at `socket`. Nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        Client { socket: socket.into(), answer_timeout: ANSWER_TIMEOUT }
    }

    /// The same client with another patience.
    pub fn with_answer_timeout(&self, answer_timeout: Duration) -> Client {
        Client { answer_timeout, ..self.clone() }
    }

    /// The socket it speaks to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `GET path`, JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, empty(), None, Some(self.answer_timeout)).await?;
        self.json(response).await
    }

    /// `GET path`, bytes as they are.
    pub async fn get_bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        let response = self.send(Method::GET, path, empty(), None, Some(self.answer_timeout)).await?;
        self.collect(response).await
    }

    /// `GET path`, JSON lines as they come.
    pub async fn get_lines(&self, path: &str) -> Result<LineStream, ClientError> {
        let response = self.send(Method::GET, path, empty(), None, Some(self.answer_timeout)).await?;
        Ok(LineStream::new(self.socket.clone(), response.into_body()))
    }

    /// `POST path` with JSON, JSON back.
    pub async fn post<Q: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<T, ClientError> {
        let response = self
            .send(Method::POST, path, json_body(path, query)?, Some(JSON), Some(self.answer_timeout))
            .await?;
        self.json(response).await
    }

    /// `POST path` with JSON, JSON lines back as they come.
    pub async fn post_for_lines<Q: Serialize>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<LineStream, ClientError> {
        let response = self
            .send(Method::POST, path, json_body(path, query)?, Some(JSON), Some(self.answer_timeout))
            .await?;
        Ok(LineStream::new(self.socket.clone(), response.into_body()))
    }

    /// `POST path` with the JSON lines that arrive in `lines`, JSON back.
    ///
    /// The body ends well only when a `None` arrives; a channel that closes before it breaks the request off, so that
    /// the daemon stores nothing.
    pub async fn post_lines<T: DeserializeOwned>(
        &self,
        path: &str,
        lines: mpsc::Receiver<Option<Bytes>>,
    ) -> Result<T, ClientError> {
        let frames = futures_util::stream::unfold(lines, async |mut lines| match lines.recv().await {
            Some(Some(bytes)) => Some((Ok(Frame::data(bytes)), lines)),
            Some(None) => None,
            None => Some((Err(io::Error::other("the input could not be read to its end")), lines)),
        });
        let body = StreamBody::new(frames).boxed_unsync();
        // No time limit: the daemon reads as fast as PostgreSQL takes it.
        let response = self.send(Method::POST, path, body, Some(NDJSON), None).await?;
        self.json(response).await
    }

    /// Sends one request on a connection of its own. `patience` bounds the wait for the head of the answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: RequestBody,
        content_type: Option<&str>,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header("host", "qcbatch");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request
            .body(body)
            .map_err(|source| ClientError::Request { path: path.to_owned(), source: source.into() })?;
        let mut sender = self.connect().await?;
        let answer = match patience {
            Some(patience) => {
                timeout(patience, sender.send_request(request)).await.map_err(|_| self.timed_out(patience))?
            }
            None => sender.send_request(request).await,
        };
        self.accept(answer.map_err(|source| self.broken(source))?).await
    }

    async fn connect(&self) -> Result<http1::SendRequest<RequestBody>, ClientError> {
        let opened = timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await;
        let stream = opened
            .map_err(|_| self.timed_out(CONNECT_TIMEOUT))?
            .map_err(|source| ClientError::from_connect(&self.socket, source))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|source| self.broken(source))?;
        // Ends with the answer; its errors reach the sender and the body too.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// The answer if it is a good one, else the error that its envelope carries.
    async fn accept(&self, response: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let bytes = self.collect(response).await?;
        match serde_json::from_slice::<ErrorEnvelope>(&bytes) {
            Ok(envelope) => Err(ClientError::Answered { body: Box::new(envelope.error) }),
            Err(source) => Err(ClientError::Unreadable { socket: self.socket.clone(), status, source }),
        }
    }

    async fn json<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        let status = response.status().as_u16();
        let bytes = self.collect(response).await?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Unreadable {
            socket: self.socket.clone(),
            status,
            source,
        })
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        match timeout(self.answer_timeout, response.into_body().collect()).await {
            Err(_) => Err(self.timed_out(self.answer_timeout)),
            Ok(Err(source)) => Err(self.broken(source)),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
        }
    }

    fn timed_out(&self, waited: Duration) -> ClientError {
        ClientError::TimedOut { socket: self.socket.clone(), seconds: waited.as_secs() }
    }

    fn broken(&self, source: hyper::Error) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), source }
    }
}

fn empty() -> RequestBody {
    Empty::new().map_err(|never: std::convert::Infallible| match never {}).boxed_unsync()
}

fn json_body<Q: Serialize>(path: &str, query: &Q) -> Result<RequestBody, ClientError> {
    let bytes = serde_json::to_vec(query)
        .map_err(|source| ClientError::Request { path: path.to_owned(), source: source.into() })?;
    Ok(Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync())
}
