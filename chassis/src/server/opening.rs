//! A connection before its first request: TLS, and which protocol is spoken. What follows is in
//! `connections`.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use rustls::Error as TlsError;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;

use super::backlog::Watched;
use super::connections::Connections;
use super::places::Place;
use super::refusals::Refusals;
use super::sniff::{HTTP2_PREFACE, Rewound, sniff};
use crate::http::client_address::Client;
use crate::tls::Served;

/// Why a connection comes to no request.
enum Unopened {
    Failed(io::Error),
    Late,
    /// It is the listener that ends, or the place that another needs.
    Ending,
}

impl Connections {
    /// Shakes hands and sniffs the protocol under the same time limit that headers have, then lets hyper
    /// speak it.
    pub(super) async fn open(
        self: Arc<Self>,
        stream: TcpStream,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        place: &Place,
    ) {
        let (reader, writer) = stream.into_split();
        let mut writer = TimeoutWriter::new(writer);
        writer.set_timeout(Some(self.write_stall));
        // Watched below TLS, which itself takes what the socket does not.
        let writer = Watched::new(Box::pin(writer), place.backlog.clone());
        let stream = tokio::io::join(reader, writer);
        let limit = pin!(sleep(self.header_read_timeout));
        match self.tls.as_ref().map(Served::acceptor) {
            None => self.speak(stream, None, limit, local, peer, place).await,
            // In a box: a connection without TLS need not have room for it.
            Some(tls) => Box::pin(self.secure(tls, stream, limit, local, peer, place)).await,
        }
    }

    async fn secure(
        self: Arc<Self>,
        tls: TlsAcceptor,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut limit: Pin<&mut Sleep>,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        place: &Place,
    ) {
        let stream = match self.within(place, limit.as_mut(), tls.accept(stream)).await {
            Ok(stream) => stream,
            Err(unopened) => return self.count(&unopened),
        };
        let agreed = stream.get_ref().1.alpn_protocol().map(|protocol| protocol == b"h2");
        self.speak(stream, agreed, limit, local, peer, place).await;
    }

    async fn speak(
        self: Arc<Self>,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        agreed_on_http2: Option<bool>,
        limit: Pin<&mut Sleep>,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        place: &Place,
    ) {
        let Ok(start) = self.within(place, limit, sniff(&mut stream)).await else {
            return self.close(stream).await;
        };
        let http2 = start == HTTP2_PREFACE;
        if agreed_on_http2.is_some_and(|agreed| agreed != http2) {
            return self.close(stream).await;
        }
        let stream = Rewound::new(start, stream);
        if http2 {
            self.http2(stream, local, peer, place).await;
        } else {
            let client = Client {
                address: Some(peer.ip().to_canonical()),
                peer: Some(peer),
                https: self.tls.is_some(),
            };
            let stream = Refusals::new(stream, client, self.telemetry.clone(), self.is_api);
            self.http1(stream, local, peer, place).await;
        }
    }

    /// What a client must do before its first request.
    async fn within<T>(
        &self,
        place: &Place,
        limit: Pin<&mut Sleep>,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Unopened> {
        tokio::select! {
            biased;
            done = work => done.map_err(Unopened::Failed),
            () = limit => Err(Unopened::Late),
            () = place.is_needed() => Err(Unopened::Ending),
            () = self.finish.cancelled() => Err(Unopened::Ending),
            // Where there was no time to drain, nothing was told to finish.
            () = self.cut.cancelled() => Err(Unopened::Ending),
        }
    }

    fn count(&self, unopened: &Unopened) {
        if let Some(reason) = unopened.reason() {
            self.telemetry.metrics().tls_handshake_failures.with_label_values(&[reason]).inc();
        }
    }

    /// Over TLS a client can tell an end from a broken connection.
    pub(super) async fn close(&self, mut stream: impl AsyncWrite + Unpin) {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            _ = stream.shutdown() => {}
        }
    }
}

impl Unopened {
    /// Of a handshake that failed.
    fn reason(&self) -> Option<&'static str> {
        let error = match self {
            Self::Ending => return None,
            Self::Late => return Some("timeout"),
            Self::Failed(error) => error.get_ref().and_then(|source| source.downcast_ref()),
        };
        Some(match error {
            None => "abandoned",
            Some(TlsError::AlertReceived(_)) => "refused_by_client",
            Some(TlsError::InvalidMessage(_)) => "not_tls",
            Some(_) => "incompatible",
        })
    }
}
