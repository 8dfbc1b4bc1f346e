//! An outside issuer, as a process of its own: what an identity provider is to the service. The process is
//! this very test binary, started again with a variable that has it serve; so whoever can run the tests
//! has an issuer.

mod keys;
mod serve;

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use chassis::settings::Environ;
use chassis::testing::Client;
use serde_json::{Value, json};

/// Says on which address to serve.
const ADDRESS: &str = "ISSUER_ADDRESS";
/// What the line that names the address begins with.
const SERVING: &str = "issuer serves ";

/// An issuer that runs; killed when dropped.
pub(crate) struct Issuer {
    child: Child,
    client: Client,
}

impl Issuer {
    /// On a free port.
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// On this address.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "support::issuer::an_issuer_serves", "--ignored", "--nocapture"])
            .env(ADDRESS, address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let address = tokio::task::spawn_blocking(|| {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // Test programs say this and that before, on the same line too.
            let address = lines.find_map(|line| Some(line.split_once(SERVING)?.1.to_owned()));
            address.expect("the issuer ended before it served")
        });
        let address: SocketAddr = address.await.unwrap().parse().unwrap();
        Self { child, client: Client::new(address) }
    }

    /// `iss`, which is where it is found as well.
    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.client.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// A token with these claims beside the usual ones, signed with the newest key.
    pub(crate) async fn token(&self, claims: Value) -> String {
        self.token_with(json!({ "claims": claims })).await
    }

    /// A token of this recipe: `claims` beside the usual ones, `header` members, the `key` that signs.
    pub(crate) async fn token_with(&self, recipe: Value) -> String {
        self.control("/control/token", &recipe).await["token"].as_str().unwrap().to_owned()
    }

    /// Makes a key for this algorithm, which signs from now on; its name. The others are withdrawn, or kept.
    pub(crate) async fn rotate(&self, algorithm: &str, keep: bool) -> String {
        let change = json!({ "algorithm": algorithm, "keep": keep });
        self.control("/control/rotate", &change).await["kid"].as_str().unwrap().to_owned()
    }

    /// What `discovery` and `jwks` answer from now on: `well`, `garbage`, `huge`, `hanging`, `failing`,
    /// `moved`, or for discovery `another`, the document of somebody else.
    pub(crate) async fn behave(&self, document: &str, how: &str) {
        self.control("/control/behave", &json!({ "document": document, "how": how })).await;
    }

    /// How often the keys were asked for.
    pub(crate) async fn asked(&self) -> u64 {
        self.client.get("/control/asked").send().await.json()["jwks"].as_u64().unwrap()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn control(&self, path: &str, body: &Value) -> Value {
        self.client.post(path).json(body).send().await.expect(200).json()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the process of [`Issuer`].
#[tokio::test]
#[ignore = "a process that other tests start"]
async fn an_issuer_serves() {
    // Asked for among all that is ignored, there is nothing to do.
    if let Some(address) = Environ::process().get(ADDRESS) {
        serve::serve(address.parse().unwrap()).await;
    }
}
