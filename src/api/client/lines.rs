//! A streamed answer of JSON lines, read one line at a time. Memory is bounded by the longest line.

use std::path::PathBuf;

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error::ClientError;

/// The lines of one answer, without their ends.
#[derive(Debug)]
pub struct LineStream {
    socket: PathBuf,
    body: Incoming,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold no line end.
    searched: usize,
}

impl LineStream {
    pub(super) fn new(socket: PathBuf, body: Incoming) -> LineStream {
        LineStream { socket, body, buffer: Vec::new(), searched: 0 }
    }

    /// The next line; `None` after the last. An answer that breaks off is an error, never a shorter answer.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + found + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(source)) => {
                    return Err(ClientError::Broken { socket: self.socket.clone(), source });
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(std::mem::take(&mut self.buffer)));
                }
            }
        }
    }
}
