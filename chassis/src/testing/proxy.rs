//! A proxy before a database or another server, for tests of its bad days.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::TestDatabase;
use crate::database::DatabaseSettings;
use crate::settings::Secret;

/// How many connections the kernel completes before they are accepted.
const BACKLOG: u32 = 128;

/// Listens at an address of its own and passes everything on to a server, until it is told otherwise.
pub struct Proxy {
    /// Holds the address while nothing listens there.
    holder: TcpSocket,
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    url: String,
}

struct Shared {
    server: SocketAddr,
    open: AtomicUsize,
    mode: watch::Sender<Mode>,
}

#[derive(Clone, Copy)]
struct Mode {
    /// Nothing is passed on, in neither direction.
    stalled: bool,
    /// Connections from before the last cut end.
    cuts: u64,
}

impl Proxy {
    /// Before the server of this database; none before a file.
    pub async fn before(database: &TestDatabase) -> Option<Self> {
        let (scheme, rest) = database.url().split_once("://")?;
        let (login, place) = rest.split_once('@').filter(|_| scheme != "sqlite")?;
        let (server, name) = place.split_once('/').expect("a database in the URL");
        let port = if scheme.starts_with("postgres") { 5432 } else { 3306 };
        let server =
            if server.contains(':') { server.to_owned() } else { format!("{server}:{port}") };
        let mut servers = tokio::net::lookup_host(server).await.expect("the server's address");
        let server = servers.next().expect("the server's address");
        Some(Self::start(server, |address| format!("{scheme}://{login}@{address}/{name}")))
    }

    /// Before any server, whose URL by way of the proxy's address is made by `url`.
    pub fn start(server: SocketAddr, url: impl FnOnce(SocketAddr) -> String) -> Self {
        let holder = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = holder.local_addr().expect("an address");
        let (mode, _) = watch::channel(Mode { stalled: false, cuts: 0 });
        let shared = Arc::new(Shared { server, open: AtomicUsize::new(0), mode });
        let url = url(address);
        let mut proxy = Self { holder, address, shared, listener: None, url };
        proxy.listen();
        proxy
    }

    /// The server's URL by way of this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port, as they appear in messages.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Settings that lead to the database by way of this proxy.
    pub fn settings(&self, database: &TestDatabase) -> DatabaseSettings {
        DatabaseSettings { url: Some(Secret::new(&self.url)), ..database.settings() }
    }

    /// New connections are refused; those that are there go on.
    pub fn refuse(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
    }

    /// New connections are accepted, and from now on no byte is passed on.
    pub fn stall(&self) {
        self.shared.mode.send_modify(|mode| mode.stalled = true);
    }

    /// Ends all connections that are there.
    pub fn cut(&self) {
        self.shared.mode.send_modify(|mode| mode.cuts += 1);
    }

    /// As in the beginning. What a stall has held back is passed on.
    pub fn restore(&mut self) {
        self.shared.mode.send_modify(|mode| mode.stalled = false);
        if self.listener.is_none() {
            self.listen();
        }
    }

    /// Clients that are connected at present.
    pub fn connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    fn listen(&mut self) {
        // Of two sockets at one address one keeps it while the other one is gone.
        let next = socket(self.address);
        let listening = std::mem::replace(&mut self.holder, next);
        let listener = listening.listen(BACKLOG).expect("a listener");
        self.listener = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.cut();
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("an address for two");
    socket.bind(address).expect("the address");
    socket
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        shared.open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            pass_on(client, &shared).await;
            shared.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Until one of the two ends, or the connection is cut.
async fn pass_on(client: TcpStream, shared: &Shared) {
    let mut mode = shared.mode.subscribe();
    let cuts = mode.borrow_and_update().cuts;
    let talk = async {
        let server = TcpStream::connect(shared.server).await.expect("the real server");
        // As a driver's own connections are; else small packets wait for each other.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pump(from_client, to_server, shared.mode.subscribe()) => {}
            () = pump(from_server, to_client, shared.mode.subscribe()) => {}
        }
    };
    tokio::select! {
        () = talk => {}
        _ = mode.wait_for(|mode| mode.cuts != cuts) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if mode.wait_for(|mode| !mode.stalled).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
