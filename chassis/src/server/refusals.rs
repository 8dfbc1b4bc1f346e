//! Gives hyper's own refusals a body. hyper answers a head that it cannot parse by itself, with
//! nothing but a status; there is no hook for it, so its bytes are met on their way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use poem::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::client_address::Client;
use crate::http::unparsable::refuse;
use crate::telemetry::Telemetry;

const STATUS_LINE: &[u8] = b"HTTP/1.1 4";
/// Every answer of ours has it.
const OURS: &[u8] = b"\r\nx-request-id: ";
const NO_BODY: &str = "content-length: 0\r\n";

/// Passes everything on but hyper's own refusals, which are sent as problems instead.
pub(super) struct Refusals<S> {
    inner: S,
    client: Client,
    telemetry: Telemetry,
    is_api: bool,
    /// What is sent in place of hyper's bytes, as far as it is not sent yet.
    instead: Vec<u8>,
}

impl<S> Refusals<S> {
    pub(super) fn new(inner: S, client: Client, telemetry: Telemetry, is_api: bool) -> Self {
        Self { inner, client, telemetry, is_api, instead: Vec::new() }
    }

    /// hyper's head with our headers and a body.
    fn problem(&self, status: StatusCode, bare: &[u8]) -> Vec<u8> {
        let (headers, body) = refuse(status, &self.client, self.is_api.then_some(&self.telemetry));
        let head = String::from_utf8_lossy(bare).replace(NO_BODY, "");
        let mut answer = head.trim_end_matches("\r\n").as_bytes().to_vec();
        for (name, value) in &headers {
            answer.extend([b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
        answer.extend(format!("\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes());
        answer
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusals<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_empty() {
            let Some(status) = bare_refusal(bytes) else {
                return Pin::new(&mut self.inner).poll_write(context, bytes);
            };
            self.instead = self.problem(status, bytes);
        }
        let this = &mut *self;
        while !this.instead.is_empty() {
            let sent = ready!(Pin::new(&mut this.inner).poll_write(context, &this.instead))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.instead.drain(..sent);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The status of an answer that is not ours.
fn bare_refusal(bytes: &[u8]) -> Option<StatusCode> {
    if !bytes.starts_with(STATUS_LINE) || bytes.windows(OURS.len()).any(|window| window == OURS) {
        return None;
    }
    StatusCode::from_bytes(bytes.get(9..12)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_an_id_are_not_ours() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_refusal(bare), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        assert_eq!(bare_refusal(b"HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\n\r\n"), None);
        assert_eq!(bare_refusal(b"HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(bare_refusal(b"{\"status\":404}"), None);
    }
}
