//! Stands before a database server, and cuts all connections at a message that the test chose.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Which side of a message is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The server does not get it.
    Before,
    /// The server gets it and has answered, but nobody hears that.
    After,
}

/// Ends with the test's runtime.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    cut: Cut,
    /// Messages until the cut; zero as long as nothing is to be cut.
    left: AtomicUsize,
    over: watch::Sender<bool>,
}

impl Proxy {
    /// Before the server of this URL.
    pub(crate) async fn start(url: &str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, left, over) = (server_of(url), AtomicUsize::new(0), watch::channel(false).0);
        let shared = Arc::new(Shared { server, cut, left, over });
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().relay(client));
            }
        });
        Self { address, shared }
    }

    /// This URL, but through here, and without TLS, whose handshake has messages without an answer.
    pub(crate) fn url(&self, url: &str) -> String {
        let (front, database) = url.rsplit_once('/').unwrap();
        let (front, _) = front.rsplit_once('@').unwrap();
        let plain =
            if url.starts_with("postgres") { "sslmode=disable" } else { "ssl-mode=disabled" };
        format!("{front}@{}/{database}?{plain}", self.address)
    }

    /// Cuts at the `count`th message of all clients from now on.
    pub(crate) fn cut_at(&self, count: usize) {
        self.shared.left.store(count, SeqCst);
    }

    pub(crate) fn has_cut(&self) -> bool {
        *self.shared.over.borrow()
    }
}

impl Shared {
    async fn relay(self: Arc<Self>, mut client: TcpStream) {
        let mut over = self.over.subscribe();
        if *over.borrow_and_update() {
            return;
        }
        let mut server = TcpStream::connect(&self.server).await.unwrap();
        let (mut asked, mut told) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            let passed = tokio::select! {
                // Clients of both protocols send one message and wait for its answer.
                read = client.read(&mut asked) => {
                    let read = read.unwrap_or(0);
                    let last = read > 0 && self.is_last();
                    if !last || matches!(self.cut, Cut::After) {
                        let _ = server.write_all(&asked[..read]).await;
                    }
                    if last {
                        if matches!(self.cut, Cut::After) {
                            let _ = server.read(&mut told).await;
                        }
                        self.over.send_replace(true);
                    }
                    read
                }
                read = server.read(&mut told) => {
                    let read = read.unwrap_or(0);
                    let _ = client.write_all(&told[..read]).await;
                    read
                }
                _ = over.changed() => 0,
            };
            if passed == 0 {
                return;
            }
        }
    }

    fn is_last(&self) -> bool {
        let counted = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        counted == Ok(1)
    }
}

fn server_of(url: &str) -> String {
    let (front, _) = url.rsplit_once('/').unwrap();
    let (_, server) = front.rsplit_once('@').unwrap();
    let port = if url.starts_with("postgres") { 5432 } else { 3306 };
    if server.contains(':') { server.to_owned() } else { format!("{server}:{port}") }
}
