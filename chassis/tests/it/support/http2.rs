//! One HTTP/2 connection with prior knowledge, for what differs from HTTP/1.1.

use std::convert::Infallible;
use std::net::SocketAddr;

use chassis::testing::Answer;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use poem::http::request::Builder;
use poem::http::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::in_time;

type Body = BoxBody<Bytes, Infallible>;

/// A connection that any number of requests share.
pub(crate) struct Http2 {
    /// Scheme and authority.
    origin: String,
    sender: SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), format!("http://{address}")).await
    }

    /// On a stream that is connected already.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        origin: String,
    ) -> Self {
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        Self { origin, sender, connection }
    }

    /// A request to put headers on.
    pub(crate) fn request(&self, method: Method, target: &str) -> Builder {
        let uri = format!("{}{target}", self.origin);
        Request::builder().method(method).uri(uri)
    }

    /// Sends a body whose length is told.
    pub(crate) async fn send(&mut self, request: Builder, body: impl Into<Bytes>) -> Answer {
        let body = Full::new(body.into()).boxed();
        self.deliver(request.body(body).unwrap()).await
    }

    /// Sends a body whose length is not told.
    pub(crate) async fn stream(&mut self, request: Builder, body: &[u8]) -> Answer {
        let chunks: Vec<_> = body.chunks(16 * 1024).map(Bytes::copy_from_slice).collect();
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        self.deliver(request.body(BodyExt::boxed(body)).unwrap()).await
    }

    /// Starts a request and does not wait for its answer; dropping the handle resets the stream.
    pub(crate) fn begin(&mut self, request: Builder) -> impl Future<Output = u16> + Send + 'static {
        let request = request.body(Full::default().boxed()).unwrap();
        let answer = self.sender.send_request(request);
        async move { answer.await.unwrap().status().as_u16() }
    }

    /// Returns when the service has closed the connection.
    pub(crate) async fn closed(self) {
        drop(self.sender);
        let _ = in_time("the end of the connection", self.connection).await;
    }

    /// Returns when the service has closed a connection that the client would have kept.
    pub(crate) async fn sent_away(self) {
        let Self { sender, connection, .. } = self;
        let _ = in_time("the end of the connection", connection).await;
        drop(sender);
    }

    async fn deliver(&mut self, request: Request<Body>) -> Answer {
        let response = in_time("the answer", self.sender.send_request(request)).await;
        let (parts, body) = response.unwrap().into_parts();
        let body = in_time("the body", body.collect()).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() }
    }
}
