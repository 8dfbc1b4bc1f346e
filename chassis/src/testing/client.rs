//! An HTTP client that hides nothing: no redirects, no retries, no decoding.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use poem::http::request::Builder;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Calls one service.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Call {
    address: SocketAddr,
    request: Builder,
    body: Bytes,
}

/// What a call was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl Client {
    /// A client without a token.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// The same client, signed in.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { address: self.address, token: Some(token.into()) }
    }

    /// The token of who is signed in.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Where the service is, for tests that open a socket of their own.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends these bytes, whatever they are, on a connection of their own, and reads the one answer
    /// that the service closes it with. It may do so before it has read all of them.
    pub async fn say(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("the service listens");
        let mut said = Vec::new();
        // Closed early, it resets the connection; what was answered has arrived all the same.
        let _ = stream.write_all(bytes.as_ref()).await;
        let _ = stream.read_to_end(&mut said).await;
        Answer::parse(&said)
    }

    /// A call of any method.
    pub fn call(&self, method: Method, target: &str) -> Call {
        let mut request = Request::builder().method(method).uri(target);
        request = request.header(header::HOST, self.address.to_string());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        Call { address: self.address, request, body: Bytes::new() }
    }

    /// GET
    pub fn get(&self, target: &str) -> Call {
        self.call(Method::GET, target)
    }

    /// POST
    pub fn post(&self, target: &str) -> Call {
        self.call(Method::POST, target)
    }

    /// PUT
    pub fn put(&self, target: &str) -> Call {
        self.call(Method::PUT, target)
    }

    /// PATCH
    pub fn patch(&self, target: &str) -> Call {
        self.call(Method::PATCH, target)
    }

    /// DELETE
    pub fn delete(&self, target: &str) -> Call {
        self.call(Method::DELETE, target)
    }
}

impl Call {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends a JSON value.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// Sends a body of some media type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends the request on a connection of its own.
    pub async fn send(self) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("the service listens");
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        let request = self.request.body(Full::new(self.body)).expect("a valid request");
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        connection.abort();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..end]).expect("UTF-8");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            let value = HeaderValue::from_str(value).expect("a value");
            (name.parse::<HeaderName>().expect("a name"), value)
        });
        Self {
            status: status.parse().expect("a status"),
            headers: headers.collect(),
            body: Bytes::copy_from_slice(&bytes[end + 4..]),
        }
    }

    /// A header's value, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().expect("a textual header"));
        value.unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }

    /// Fails unless the status is this one; hands the answer on.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{:?} {}",
            self.headers,
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    /// Fails unless this is a problem of that status which satisfies RFC 9457 and the house; returns it.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "instance"] {
            assert!(problem[member].is_string(), "{member} is missing: {problem}");
        }
        problem
    }

    /// The pointers of a 422, in order.
    #[track_caller]
    pub fn invalid_fields(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().expect("errors").iter();
        errors.map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
    }
}
