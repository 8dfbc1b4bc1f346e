//! Addresses where nothing answers. A collector that does is `chassis::testing::Collector`.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Holds an address that refuses connections, and keeps others from listening there.
pub(crate) struct Refusing(TcpSocket);

/// Accepts connections and never answers.
pub(crate) struct Hanging(TcpListener);

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
