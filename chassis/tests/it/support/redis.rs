//! Keys of a test's own in a real Redis, removed afterwards.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};

use chassis::settings::Environ;
use chassis::testing::Proxy;
use redis::{Client, Commands, Connection, IntoConnectionInfo};
use uuid::Uuid;

/// Names a Redis to test on; without it tests that need one pass with a word that they did not run.
const SERVER: &str = "TEST_REDIS_URL";

pub(crate) struct TestRedis {
    url: String,
    prefix: String,
}

impl TestRedis {
    /// The Redis of the environment.
    pub(crate) fn find() -> Option<Self> {
        let Some(url) = Environ::process().get(SERVER).map(str::to_owned) else {
            // Past the harness, which keeps to itself what tests that pass have printed.
            let _ = writeln!(std::io::stderr(), "skipped: {SERVER} names no Redis");
            return None;
        };
        Some(Self { url, prefix: format!("belvedere-test:{}", Uuid::now_v7().simple()) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Stands between a service and this Redis.
    pub(crate) fn proxy(&self) -> Proxy {
        let info = self.url.as_str().into_connection_info().unwrap();
        let server = info.addr().to_string().to_socket_addrs().unwrap().next().unwrap();
        let place = server.to_string();
        let url = |address: SocketAddr| self.url.replace(&place, &address.to_string());
        let proxy = Proxy::start(server, url);
        assert_ne!(proxy.url(), self.url, "{SERVER} must name the server by its address and port");
        proxy
    }

    /// The keys of the test's services with the milliseconds that each has left.
    pub(crate) fn keys(&self) -> Vec<(String, i64)> {
        let mut connection = self.connection();
        let pattern = format!("{}:*", self.prefix);
        let keys: Vec<String> =
            connection.scan_match(pattern).unwrap().map(Result::unwrap).collect();
        keys.into_iter().map(|key| (key.clone(), connection.pttl(key).unwrap())).collect()
    }

    fn connection(&self) -> Connection {
        Client::open(self.url.as_str()).unwrap().get_connection().unwrap()
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let mut connection = self.connection();
        for (key, _) in self.keys() {
            let _: () = connection.del(key).unwrap();
        }
    }
}
