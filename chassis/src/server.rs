//! The listener: an accept loop over hyper, and the orderly end of its connections.
//!
//! poem's own `Server` gives hyper no timer, so slow senders hold their connections for ever; it
//! caps nothing and spins when file descriptors run out. TLS is between accepting and sniffing.

mod backlog;
mod begun;
mod connections;
mod lingering;
mod opening;
mod places;
mod refusals;
mod sniff;
mod streams;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::instrument::WithSubscriber;

use self::connections::Connections;
use self::places::Places;
use crate::http::settings::ServerSettings;
use crate::lifecycle::Outcome;
use crate::telemetry::Telemetry;
use crate::tls::{Tls, TlsFiles, Unusable};

/// After an accept that failed for want of file descriptors, long enough for one to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Clients that keep connections busy get this long to hear `Connection: close`, before connections
/// that seem idle are closed: a request may just be on its way on one of them.
const LINGER: Duration = Duration::from_millis(250);
/// A client that takes not one byte of its answer for so long holds memory for nothing.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How often the end of lingering is looked for; nobody notices ten milliseconds at shutdown.
const LINGER_STEP: Duration = Duration::from_millis(10);

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    header_read_timeout: Duration,
    write_stall: Duration,
    max_connections: usize,
    is_api: bool,
    tls: Option<Tls>,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// A listener at work.
pub struct Running {
    address: SocketAddr,
    connections: Arc<Connections>,
}

impl Server {
    /// Binds the address; connections wait in its queue until [`Server::serve`].
    pub async fn bind(address: SocketAddr, settings: &ServerSettings) -> Result<Self, BindError> {
        let error = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        Ok(Self {
            address: listener.local_addr().map_err(error)?,
            listener,
            header_read_timeout: settings.header_read_timeout,
            write_stall: WRITE_STALL,
            max_connections: settings.max_connections.min(Semaphore::MAX_PERMITS),
            is_api: true,
            tls: None,
        })
    }

    /// For the operator's endpoints: what cannot be parsed here is no API traffic and goes untold.
    #[must_use]
    pub fn for_operators(self) -> Self {
        Self { is_api: false, ..self }
    }

    /// Speaks TLS and nothing else, where the settings name a certificate. For the public listener: probes
    /// and scrapes come to the operator's by addresses that no certificate has.
    pub fn with_tls(self, settings: &ServerSettings) -> Result<Self, Unusable> {
        let files =
            TlsFiles::new(settings.tls_cert_file.as_deref(), settings.tls_key_file.as_deref())?;
        Ok(Self { tls: files.map(Tls::load).transpose()?, ..self })
    }

    /// How long a client may take nothing of its answer; half a minute without it.
    #[must_use]
    pub fn write_stall(self, write_stall: Duration) -> Self {
        Self { write_stall, ..self }
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections and answers their requests until [`Running::stop`].
    pub fn serve(self, endpoint: BoxEndpoint<'static>, telemetry: &Telemetry) -> Running {
        let connections = Arc::new(Connections::new(
            endpoint,
            self.header_read_timeout,
            self.write_stall,
            telemetry.clone(),
            self.is_api,
            self.tls.map(|tls| tls.serve(telemetry)),
        ));
        let accept = accept(self.listener, self.max_connections, connections.clone());
        connections.tasks.spawn(accept.with_subscriber(telemetry.dispatch()));
        Running { address: self.address, connections }
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every answer tells its client to close the connection.
    pub fn announce_end(&self) {
        self.connections.leaving.store(true, Ordering::Relaxed);
    }

    /// Closes the listener, lets requests in flight finish within `timeout`, then cuts off the rest.
    pub async fn stop(self, timeout: Duration) -> Outcome {
        self.announce_end();
        self.connections.closed.cancel();
        self.connections.tasks.close();
        let drained = tokio::time::timeout(timeout, self.drain()).await;
        let unanswered = self.connections.in_flight.load(Ordering::Relaxed);
        self.connections.cut.cancel();
        self.connections.tasks.wait().await;
        let unsent = self.connections.unsent.load(Ordering::Relaxed);
        match drained {
            Err(_) if unanswered + unsent > 0 => Outcome::CutOff,
            _ => Outcome::Complete,
        }
    }

    async fn drain(&self) {
        let tasks = &self.connections.tasks;
        let mut lingered = Duration::ZERO;
        while !tasks.is_empty() && lingered < LINGER {
            tokio::time::sleep(LINGER_STEP).await;
            lingered += LINGER_STEP;
        }
        self.connections.finish.cancel();
        tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, max: usize, connections: Arc<Connections>) {
    let tasks = &connections.tasks;
    let places = Arc::new(Places::new(max));
    loop {
        let accepted = tokio::select! {
            biased;
            () = connections.closed.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // Its place comes second: nobody makes room for those who may never come.
            Ok((stream, peer)) => {
                let place = tokio::select! {
                    biased;
                    () = connections.closed.cancelled() => places.last(),
                    place = places.take() => place,
                };
                let connection = connections.clone().connection(stream, peer, place);
                tasks.spawn(connection.with_current_subscriber());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What the kernel had completed before the listener closes was accepted as far as clients know.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, peer)) = already_accepted(&listener) {
        let connection = connections.clone().connection(stream, peer, places.last());
        tasks.spawn(connection.with_current_subscriber());
    }
}

/// Asks the kernel itself: the runtime hears of new connections a moment later.
fn already_accepted(listener: &StdListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((TcpStream::from_std(stream)?, peer))
}
