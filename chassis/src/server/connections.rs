//! One connection: its protocol, its requests, and how it is told to end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, Response, Version, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::instrument::WithSubscriber;

use super::backlog::Backlog;
use super::begun::Begun;
use super::lingering::Lounge;
use super::places::{Place, Taken};
use crate::http::exchange::CutOff;
use crate::telemetry::Telemetry;
use crate::tls::Served;

/// A browser opens a handful; a hundred leaves room for proxies, and bounds what one connection costs.
const HTTP2_MAX_STREAMS: u32 = 100;
/// Streams that were reset before they were answered; more than a few are an attack (CVE-2023-44487).
const HTTP2_MAX_RESET_STREAMS: usize = 20;

/// Bytes of a request's headers. hyper refuses more with a bare frame, in which no problem has room; so
/// the limit is above the 64 KiB that the stack refuses with one, and a connection stays bounded.
const HTTP2_MAX_HEADERS: u32 = 256 * 1024;

/// What an HTTP/1 connection may have read and not understood yet: a head, whose target alone may have
/// hyper's 64 KiB before it is told to be too long. hyper's own limit is 400 KiB, for each of thousands.
const HTTP1_BUFFER: usize = 80 * 1024;

/// What the kernel may hold of the answers to one client that does not take them. Left alone it grows to
/// 4 MiB for each, of memory that is not the process's own.
const SEND_BUFFER: usize = 128 * 1024;

/// What an HTTP/2 client may have sent of all its bodies before they are read, and what is held ready of
/// each answer. hyper's own limits are 1 MiB and 400 KiB.
const HTTP2_WINDOW: u32 = 256 * 1024;
const HTTP2_SEND_BUFFER: usize = 64 * 1024;

/// What all connections of a listener share.
pub(super) struct Connections {
    endpoint: BoxEndpoint<'static>,
    pub(super) header_read_timeout: Duration,
    pub(super) write_stall: Duration,
    pub(super) telemetry: Telemetry,
    pub(super) is_api: bool,
    pub(super) tls: Option<Served>,
    /// The accept loop, each connection, and each stream of HTTP/2.
    pub(super) tasks: TaskTracker,
    lounge: Lounge,
    /// No more are accepted.
    pub(super) closed: CancellationToken,
    /// Each ends with the request that it is at.
    pub(super) finish: CancellationToken,
    /// Each ends now.
    pub(super) cut: CancellationToken,
    pub(super) leaving: AtomicBool,
    /// Requests that are not answered yet.
    pub(super) in_flight: AtomicUsize,
    /// Connections that were cut while an answer was being sent.
    pub(super) unsent: AtomicUsize,
}

/// Runs the streams of HTTP/2 connections, and keeps their log lines with the service.
#[derive(Clone)]
struct Tasks(TaskTracker);

/// Counts a request in flight for as long as it lives.
struct InFlight<'a>(&'a Connections);

impl Connections {
    pub(super) fn new(
        endpoint: BoxEndpoint<'static>,
        header_read_timeout: Duration,
        write_stall: Duration,
        telemetry: Telemetry,
        is_api: bool,
        tls: Option<Served>,
    ) -> Self {
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        Self {
            endpoint,
            header_read_timeout,
            write_stall,
            telemetry,
            is_api,
            tls,
            lounge: Lounge::new(tasks.clone(), cut.clone()),
            tasks,
            closed: CancellationToken::new(),
            finish: CancellationToken::new(),
            cut,
            leaving: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
        }
    }

    /// Answers the requests of one connection until it ends.
    pub(super) async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        taken: Taken,
    ) {
        let place = taken.place();
        self.telemetry.metrics().server_connections.inc();
        let local = stream.local_addr().ok();
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        tokio::select! {
            biased;
            () = self.clone().open(stream, local, peer, &place) => {}
            () = place.is_overdue() => {}
        }
        self.telemetry.metrics().server_connections.dec();
    }

    pub(super) async fn http1(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        place: &Place,
    ) {
        let service = service_fn(|request| {
            let stream = place.requests.begin();
            let answer = Begun::new(self.clone().answer(request, local, peer));
            async move { answer.await.map(|answer| answer.map(|body| stream.answer(body))) }
        });
        let mut builder = http1::Builder::new();
        // hyper's limit for headers ends idle connections as well.
        builder.timer(TokioTimer::new()).header_read_timeout(self.header_read_timeout);
        builder.max_buf_size(HTTP1_BUFFER);
        let mut connection = builder.serve_connection(TokioIo::new(stream), service);
        let never = std::future::pending;
        self.run(Pin::new(&mut connection), place, never(), never(), never()).await;
        // hyper just drops those whose time for headers is up, which idle ones are as well.
        if !place.backlog.exists() {
            self.close(connection.into_parts().io.into_inner()).await;
        }
    }

    pub(super) async fn http2(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        place: &Place,
    ) {
        let streams = &place.requests;
        let service = service_fn(|request| {
            let stream = streams.begin();
            let answer = self.clone().answer(request, local, peer);
            async move { answer.await.map(|answer| answer.map(|body| stream.answer(body))) }
        });
        let mut builder = http2::Builder::new(Tasks(self.tasks.clone()));
        builder.timer(TokioTimer::new());
        builder.max_concurrent_streams(HTTP2_MAX_STREAMS);
        builder.max_header_list_size(HTTP2_MAX_HEADERS);
        builder.max_pending_accept_reset_streams(HTTP2_MAX_RESET_STREAMS);
        builder
            .initial_stream_window_size(HTTP2_WINDOW)
            .initial_connection_window_size(HTTP2_WINDOW);
        builder.max_send_buf_size(HTTP2_SEND_BUFFER);
        // A peer that does not even answer pings is gone.
        builder
            .keep_alive_interval(self.header_read_timeout)
            .keep_alive_timeout(self.header_read_timeout);
        let connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let idle = streams.idle_for(self.header_read_timeout);
        let (still_idle, stalled) =
            (streams.idle_for(self.write_stall), streams.stalled_for(self.write_stall));
        self.run(connection, place, idle, still_idle, stalled).await;
    }

    async fn run<C: GracefulConnection>(
        &self,
        mut connection: Pin<&mut C>,
        place: &Place,
        idle: impl Future<Output = ()>,
        still_idle: impl Future<Output = ()>,
        stalled: impl Future<Output = ()>,
    ) {
        let mut stalled = pin!(stalled);
        let mut was_idle = false;
        // A connection ends in many ways that are no fault of ours; requests tell their own story.
        // It comes first: a request that has arrived is begun before the end is thought of.
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = self.cut.cancelled() => return self.count_unsent(&place.backlog),
            () = stalled.as_mut() => return,
            () = self.finish.cancelled() => connection.as_mut().graceful_shutdown(),
            () = place.is_needed() => connection.as_mut().graceful_shutdown(),
            () = idle => {
                was_idle = true;
                connection.as_mut().graceful_shutdown();
            }
        }
        tokio::select! {
            biased;
            _ = connection.as_mut() => {}
            () = self.cut.cancelled() => self.count_unsent(&place.backlog),
            () = stalled.as_mut() => {}
            // h2 does not end it while the client leaves no window for what it holds of answers that are
            // over for everybody else.
            () = still_idle, if was_idle => {}
        }
    }

    /// No request is in flight any more, but the client may still wait for the rest of an answer.
    fn count_unsent(&self, backlog: &Backlog) {
        if backlog.exists() {
            self.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: poem::http::Request<Incoming>,
        local: Option<SocketAddr>,
        peer: SocketAddr,
    ) -> Result<Response<BoxBody<Bytes, io::Error>>, Infallible> {
        let _in_flight = InFlight::start(&self);
        let http2 = request.version() == Version::HTTP_2;
        let lingers = http2 && !request.body().is_end_stream();
        let local = LocalAddr(local.map_or_else(Addr::default, Addr::from));
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let mut request: poem::Request = (request, local, RemoteAddr(peer.into()), scheme).into();
        request.set_data(CutOff(self.cut.clone()));
        if lingers {
            let body = request.take_body().into();
            request.set_body(poem::Body::from(BoxBody::new(self.lounge.linger(body))));
        }
        let mut response = self.endpoint.get_response(request).await;
        if self.leaving.load(Ordering::Relaxed) && !http2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.into())
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        // Dropped within the subscriber too: a request that is given up writes its line then.
        let stream = async move { drop(future.await) };
        self.0.spawn(stream.with_current_subscriber());
    }
}

impl<'a> InFlight<'a> {
    fn start(connections: &'a Connections) -> Self {
        connections.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(connections)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
