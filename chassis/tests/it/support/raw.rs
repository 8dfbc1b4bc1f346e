//! A socket that says what no decent client would, and reads what it is answered.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use chassis::testing::Answer;
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::in_time;

/// One connection.
pub(crate) struct Raw<S = TcpStream> {
    stream: S,
    /// Read already, not asked for yet.
    unread: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// A client that has room for next to nothing.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self { stream: socket.connect(address).await.unwrap(), unread: Vec::new() }
    }

    /// A connection that waits in the listener's queue with its request already sent: nothing of
    /// the service has run in between.
    pub(crate) fn queued(address: SocketAddr, request: &str) -> Self {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream: TcpStream::from_std(stream).unwrap(), unread: Vec::new() }
    }

    /// Sends what fits at once, and lets nothing else run in between.
    pub(crate) fn slip(&self, bytes: &str) {
        assert_eq!(self.stream.try_write(bytes.as_bytes()).unwrap(), bytes.len());
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// On a stream that is connected already.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// What it is over.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Has no more to say, and listens on.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Sends these bytes. A service that has had enough may close before it has read all of them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = in_time("sending", self.stream.write_all(bytes.as_ref())).await;
        if let Err(error) = sent {
            assert!(is_close(&error), "{error}");
        }
    }

    /// Sends as much of these bytes as is taken within a time.
    pub(crate) async fn send_for(&mut self, time: Duration, bytes: &[u8]) {
        if let Ok(Err(error)) = tokio::time::timeout(time, self.stream.write_all(bytes)).await {
            assert!(is_close(&error), "{error}");
        }
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&mut self, target: &str, request_id: &str) {
        self.send(request("GET", target, request_id)).await;
    }

    /// The next answer, whose body must have a length.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    /// The next answer, to HEAD: its length is another's.
    pub(crate) async fn answer_to_head(&mut self) -> Answer {
        self.answer_to(true).await
    }

    async fn answer_to(&mut self, head: bool) -> Answer {
        let end = loop {
            let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => assert!(self.read().await, "closed within the headers"),
            }
        };
        let text = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let (status, headers) = parse(&text);
        let length = headers.get("content-length");
        let length = length.map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let length = if head { 0 } else { length };
        while self.unread.len() < length {
            assert!(self.read().await, "closed within the body");
        }
        Answer { status, headers, body: self.unread.drain(..length).collect::<Vec<_>>().into() }
    }

    /// The next bytes, so many of them.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        assert!(self.has(count).await, "closed within these bytes");
        self.unread.drain(..count).collect()
    }

    /// Whether so many bytes come before the service closes the connection.
    pub(crate) async fn has(&mut self, count: usize) -> bool {
        while self.unread.len() < count {
            if !self.read().await {
                return false;
            }
        }
        true
    }

    /// Everything until the service closes the connection.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.read().await {}
        self.unread
    }

    /// Returns when the service has closed the connection; fails when it says something first.
    pub(crate) async fn closed_silently(self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }

    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match in_time("the answer", self.stream.read(&mut bytes)).await {
            Ok(0) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&bytes[..read]);
                true
            }
            Err(error) if is_close(&error) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A request without a body, on a connection that stays open.
pub(crate) fn request(method: &str, target: &str, request_id: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: site\r\nx-request-id: {request_id}\r\n\r\n")
}

fn is_close(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

fn parse(text: &str) -> (StatusCode, HeaderMap) {
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    (status.parse().unwrap(), headers)
}
