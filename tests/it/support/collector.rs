//! Collectors of traces, good and bad ones.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use chassis::http::settings::ServerSettings;
use chassis::server::{Running, Server};
use chassis::testing::Witness;
use poem::{Endpoint, EndpointExt, Request};
use tokio::net::TcpSocket;

/// Takes what is sent to `POST /v1/traces` over OTLP/HTTP.
pub(crate) struct Collector {
    server: Running,
    received: Arc<Mutex<Vec<u8>>>,
}

/// Holds an address that refuses connections, and keeps others from listening there.
pub(crate) struct Refusing(TcpSocket);

/// Accepts connections and never answers.
pub(crate) struct Hanging(TcpListener);

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Arc::default();
        let endpoint = keep(Arc::clone(&received)).boxed();
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(here, &ServerSettings::default()).await.unwrap();
        let witness = Witness::new("collector", "off");
        let server = server.serve(endpoint, witness.telemetry());
        Self { server, received }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Whether a span of this trace came; a trace id travels as its 16 bytes.
    pub(crate) fn knows(&self, trace_id: &str) -> bool {
        let id = u128::from_str_radix(trace_id, 16).unwrap().to_be_bytes();
        let received = self.received.lock().unwrap();
        received.windows(id.len()).any(|window| window == id)
    }
}

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Bound without listening.
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

impl Hanging {
    pub(crate) fn new() -> Self {
        // The kernel completes connections that nobody accepts.
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

fn keep(received: Arc<Mutex<Vec<u8>>>) -> impl Endpoint<Output = poem::Response> {
    let take = move |mut request: Request| {
        let received = Arc::clone(&received);
        async move {
            assert_eq!(request.uri().path(), "/v1/traces");
            let body = request.take_body().into_vec().await.unwrap();
            received.lock().unwrap().extend(body);
        }
    };
    poem::endpoint::make(take).map_to_response()
}
