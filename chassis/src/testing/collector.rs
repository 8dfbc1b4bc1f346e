//! A collector of OTLP over gRPC and HTTP, on good days and on bad ones.

use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::read::GzDecoder;
use futures_util::stream::{self, Iter};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Takes what is sent to it, unless it is in a bad mood. Gone with its connections when dropped.
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

/// What the collector does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes them.
    Taking,
    /// Takes all but so many items of each.
    Rejecting(u8),
    /// Answers 503, or `UNAVAILABLE`.
    Refusing,
    /// Takes them, but answers late.
    Late(Duration),
    /// Never answers.
    Hanging,
}

/// A request that was taken.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where it was sent.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The message, without compression and framing.
    pub message: Vec<u8>,
}

struct Shared {
    mood: Mutex<Mood>,
    deliveries: Mutex<Vec<Delivery>>,
    came: Notify,
}

type Answer = Response<StreamBody<Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>;

impl Collector {
    /// Listens on a free port of this machine.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    /// The same with TLS.
    pub async fn start_tls(mut tls: ServerConfig) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Some(tls)).await
    }

    /// Listens where another one listened before.
    pub async fn start_at(address: SocketAddr, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free address");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Taking),
            deliveries: Mutex::default(),
            came: Notify::new(),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, scheme, shared, _connections: connections }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Changes what it does with requests from now on.
    pub fn set_mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// What it has taken so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this is true of what it has taken.
    pub async fn until(&self, enough: impl Fn(&[Delivery]) -> bool) {
        loop {
            let came = self.shared.came.notified();
            if enough(&self.deliveries()) {
                return;
            }
            came.await;
        }
    }

    /// Whether this text stands in anything that it has taken.
    pub fn tells(&self, text: &str) -> bool {
        let told = |d: &Delivery| d.message.windows(text.len()).any(|w| w == text.as_bytes());
        self.deliveries().iter().any(told)
    }

    /// Whether items of this trace came to a path that ends so. A trace id travels as its 16 bytes.
    pub fn knows(&self, path: &str, trace_id: &str) -> bool {
        let id = u128::from_str_radix(trace_id, 16).expect("a trace id").to_be_bytes();
        self.deliveries().iter().any(|delivery| {
            delivery.path.ends_with(path) && delivery.message.windows(16).any(|part| part == id)
        })
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match tls {
                None => serve(stream, shared).await,
                Some(tls) => {
                    // A handshake that fails is the exporter's to tell.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, shared).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    // A client that goes away is no concern of ours.
    let _ =
        Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let is_grpc = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc");
    let mood = *shared.mood.lock().unwrap_or_else(PoisonError::into_inner);
    match mood {
        Mood::Refusing => return Ok(if is_grpc { grpc(14, 0) } else { http(503, 0) }),
        Mood::Hanging => std::future::pending().await,
        Mood::Late(delay) => tokio::time::sleep(delay).await,
        Mood::Taking | Mood::Rejecting(_) => {}
    }
    let message = message(&head.headers, &body, is_grpc);
    let path = head.uri.path().to_owned();
    let delivery = Delivery { path, headers: head.headers, message };
    shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    shared.came.notify_waiters();
    let rejected = if let Mood::Rejecting(items) = mood { items } else { 0 };
    Ok(if is_grpc { grpc(0, rejected) } else { http(200, rejected) })
}

fn message(headers: &HeaderMap, body: &[u8], is_grpc: bool) -> Vec<u8> {
    let (message, is_gzip) = if is_grpc {
        let (prefix, message) = body.split_at(5);
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
        assert_eq!(length as usize, message.len(), "the length before the message");
        (message, prefix[0] == 1)
    } else {
        (body, headers.contains_key(CONTENT_ENCODING))
    };
    let mut plain = Vec::new();
    if is_gzip {
        GzDecoder::new(message).read_to_end(&mut plain).expect("gzip");
    } else {
        plain.extend_from_slice(message);
    }
    plain
}

/// An `Export…ServiceResponse`, with a `partial_success` where items were rejected.
fn response(rejected: u8) -> Vec<u8> {
    if rejected == 0 { Vec::new() } else { vec![0x0a, 2, 0x08, rejected] }
}

fn http(status: u16, rejected: u8) -> Answer {
    let frames = vec![Ok(Frame::data(response(rejected).into()))];
    let mut answer = Response::new(StreamBody::new(stream::iter(frames)));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer
}

fn grpc(status: u16, rejected: u8) -> Answer {
    let message = response(rejected);
    let length = u32::try_from(message.len()).expect("a few bytes").to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let trailers = HeaderMap::from_iter([(
        hyper::header::HeaderName::from_static("grpc-status"),
        hyper::header::HeaderValue::from(status),
    )]);
    let frames = vec![Ok(Frame::data(body.into())), Ok(Frame::trailers(trailers))];
    let mut answer = Response::new(StreamBody::new(stream::iter(frames)));
    let kind = hyper::header::HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
