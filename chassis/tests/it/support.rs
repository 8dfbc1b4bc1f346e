//! The world of a test: a service with a site of its own, telemetry that is watched, and a port.

use std::time::{Duration, Instant};

use chassis::health::Health;
use chassis::http::ops::{Ops, OpsSettings};
use chassis::http::{Site, StackSettings};
use chassis::lifecycle::Outcome;
use chassis::problem::CHASSIS_TYPES;
use chassis::server::{Running, Server};
use chassis::settings::Environment;
use chassis::telemetry::Identity;
use chassis::testing::{Client, Witness};
use poem::http::Method;
use poem::{EndpointExt, IntoEndpoint};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) mod frames;
pub(crate) mod gate;
pub(crate) mod http2;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod site;
pub(crate) mod tls;

use gate::Gate;
use http2::Http2;
use raw::Raw;

/// Nothing here takes as long on any machine: whatever does has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a state is looked at that nothing tells about.
const STEP: Duration = Duration::from_millis(2);

/// A running service.
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) ops_client: Client,
    pub(crate) witness: Witness,
    pub(crate) gate: Gate,
    pub(crate) health: Health,
    public: Option<Running>,
    _ops: Option<Running>,
}

/// What a test may change about its service.
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) stack: StackSettings,
    pub(crate) ops: OpsSettings,
    pub(crate) environment: Environment,
    pub(crate) write_stall: Option<Duration>,
}

impl App {
    /// A service with the defaults.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A service whose settings the test changes.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let witness = Witness::among(settings.name, "info", settings.variables);
        let gate = Gate::default();
        let api = site::service(gate.clone());
        Self::serve(&api.spec(), api, settings, witness, gate).await
    }

    /// A service with another site, which was made with this witness and this gate.
    pub(crate) async fn serve<E>(
        document: &str,
        api: E,
        settings: Settings,
        witness: Witness,
        gate: Gate,
    ) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        let Settings { name, stack, ops, environment, write_stall, .. } = settings;
        let telemetry = witness.telemetry();
        let health = Health::new(telemetry.metrics());
        let identity = Identity { name: name.to_owned(), version: "1.2.3".to_owned(), environment };
        let operators = Ops::new(&ops, &identity, telemetry.clone(), health.clone())
            .clients(stack.server.clients());

        let site = Site::new(document, api).unwrap();
        let site = site.problem_types(CHASSIS_TYPES).unwrap().strict(site::strict);
        let (site, operators) = match ops.addr {
            Some(address) => (site, Some((address, operators))),
            None => (site.ops(operators), None),
        };
        let site = site.build(&stack, telemetry).unwrap();
        let server = Server::bind(stack.server.addr, &stack.server).await.unwrap();
        let server = server.with_tls(&stack.server).unwrap();
        let server = match write_stall {
            Some(limit) => server.write_stall(limit),
            None => server,
        };
        let public = server.serve(site, telemetry);
        let ops = match operators {
            Some((address, operators)) => {
                let server = Server::bind(address, &stack.server).await.unwrap();
                Some(server.for_operators().serve(operators.boxed(), telemetry))
            }
            None => None,
        };
        Self {
            client: Client::new(public.address()),
            ops_client: Client::new(ops.as_ref().unwrap_or(&public).address()),
            witness,
            gate,
            health,
            public: Some(public),
            _ops: ops,
        }
    }

    /// A socket to say anything on.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(self.client.address()).await
    }

    /// A connection that speaks HTTP/2 without asking.
    pub(crate) async fn http2(&self) -> Http2 {
        Http2::connect(self.client.address()).await
    }

    /// The shutdown is announced and does not begin yet.
    pub(crate) fn announce_end(&self) {
        self.public.as_ref().unwrap().announce_end();
    }

    /// Begins to end the public listener, in the background.
    pub(crate) fn stop(&mut self, within: Duration) -> JoinHandle<Outcome> {
        tokio::spawn(self.public.take().unwrap().stop(within))
    }

    /// Returns once nobody can connect any more.
    pub(crate) async fn refuses(&self) {
        let address = self.client.address();
        eventually("the end of the listener", || std::net::TcpStream::connect(address).is_err())
            .await;
    }

    /// Requests in flight, by the gauge.
    pub(crate) fn active_requests(&self) -> f64 {
        self.witness.metric("http_server_active_requests", &[])
    }

    /// Connections that the listener holds, by the gauge.
    pub(crate) fn connections(&self) -> f64 {
        self.witness.metric("http_server_connections", &[])
    }

    /// Returns once the request has written its line, which clients may be answered before.
    pub(crate) async fn told(&self, request_id: &str) {
        let is_told = || {
            let lines = self.witness.lines_of(request_id);
            lines.iter().any(|line| line["message"] == "request")
        };
        eventually("the request line", is_told).await;
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut stack = StackSettings::default();
        stack.server.addr.set_port(0);
        Self {
            name: "site",
            variables: &[],
            stack,
            ops: OpsSettings::default(),
            environment: Environment::Development,
            write_stall: None,
        }
    }
}

/// Waits for a state that nothing tells about.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "still waiting for {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// The result of what must not hang.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("hangs: {what}"))
}

/// GET, which most calls are.
pub(crate) const GET: Method = Method::GET;
