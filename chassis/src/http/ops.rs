//! The operator's endpoints: metrics, probes, health, the log level.
//!
//! They stand outside of the stack: scrapes and probes are no API traffic, so they appear in no API
//! metric, trace or request line and are not limited.

mod access;
mod log_level;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use serde::Serialize;

use self::access::Access;
use super::client_address::Clients;
use super::head::without_content;
use super::headers::complete;
use super::observe::{X_REQUEST_ID, request_id};
use super::routes::without_slash;
use super::unambiguous;
use crate::health::{Health, HealthReport, Status};
use crate::problem::{Occurrence, Problem, ProblemType};
use crate::settings::{Environment, Report, Secret};
use crate::telemetry::debug_header::DebugKey;
use crate::telemetry::exposition::{self, Format};
use crate::telemetry::{Identity, RequestScope, Telemetry, TelemetryStatus};

crate::settings! {
    /// The operator's endpoints.
    pub struct OpsSettings {
        /// A listener of their own; without it they are on the public one.
        pub addr: Option<SocketAddr> = None,
        /// Bearer token for `/log-level`; in production there is no access without one. Debug headers
        /// are signed with it too, so it must be long and random.
        pub token: Option<Secret> = None,
    }
}

const PATHS: &[&str] = &["/metrics", "/livez", "/readyz", "/startupz", "/health", "/log-level"];

/// Answers the operator's endpoints.
#[derive(Clone)]
pub struct Ops {
    version: String,
    started: Instant,
    telemetry: Telemetry,
    health: Health,
    access: Access,
    clients: Clients,
    before_scrape: Arc<dyn Fn() + Send + Sync>,
}

/// The body of `/health`.
#[derive(Serialize)]
struct HealthDocument<'a> {
    version: &'a str,
    uptime_seconds: u64,
    #[serde(flatten)]
    report: HealthReport,
    /// For people and dashboards: it never changes the status.
    telemetry: TelemetryStatus,
}

impl OpsSettings {
    /// Reports values that cannot work together with the environment.
    pub fn check(&self, environment: Environment, report: &mut Report) {
        let loopback = self.addr.is_none_or(|addr| addr.ip().is_loopback());
        if report.is_readable("environment") && environment == Environment::Development && !loopback
        {
            report.reject("ops.addr", "a loopback address in development");
        }
    }

    /// What signs debug headers; without a token there are none.
    pub fn debug_key(&self) -> Option<DebugKey> {
        self.token.as_ref().map(DebugKey::derive)
    }
}

impl Ops {
    /// The endpoints of one service.
    pub fn new(
        settings: &OpsSettings,
        identity: &Identity,
        telemetry: Telemetry,
        health: Health,
    ) -> Self {
        Self {
            version: identity.version.clone(),
            started: Instant::now(),
            telemetry,
            health,
            access: Access::new(settings.token.as_ref(), identity.environment),
            clients: Clients::new(Vec::new()),
            before_scrape: Arc::new(|| ()),
        }
    }

    /// Brings gauges up to date that are only true at the moment of a scrape.
    #[must_use]
    pub fn before_scrape(mut self, refresh: impl Fn() + Send + Sync + 'static) -> Self {
        self.before_scrape = Arc::new(refresh);
        self
    }

    /// Resolves callers so in the audit trail. Without it no proxy is believed.
    #[must_use]
    pub fn clients(mut self, clients: Clients) -> Self {
        self.clients = clients;
        self
    }

    /// Whether the path is one of the operator's.
    pub fn serves(path: &str) -> bool {
        PATHS.contains(&without_slash(path))
    }

    async fn answer(&self, request: &mut Request) -> Result<Response, Problem> {
        unambiguous::check(request)?;
        let path = without_slash(request.uri().path()).to_owned();
        let allowed =
            if path == "/log-level" { "GET, HEAD, OPTIONS, PUT" } else { "GET, HEAD, OPTIONS" };
        match (request.method(), path.as_str()) {
            (&Method::OPTIONS, path) if Self::serves(path) => Ok(Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ALLOW, allowed)
                .finish()),
            (&Method::PUT, "/log-level") => {
                self.authorize(request)?;
                let client = self.clients.resolve(request).address;
                log_level::change(&self.telemetry, request, client).await
            }
            (&Method::GET | &Method::HEAD, path) => self.read(path, request),
            (_, path) if Self::serves(path) => Err(Problem::new(&ProblemType::METHOD_NOT_ALLOWED)
                .header(header::ALLOW, HeaderValue::from_static(allowed))),
            _ => Err(Problem::new(&ProblemType::NOT_FOUND)),
        }
    }

    fn read(&self, path: &str, request: &Request) -> Result<Response, Problem> {
        match path {
            "/metrics" => self.metrics(request.headers()),
            "/livez" => Ok(probe(true, "alive")),
            "/readyz" => Ok(probe(self.health.is_ready(), "ready")),
            "/startupz" => Ok(probe(self.health.is_started(), "started")),
            "/health" => self.health(),
            "/log-level" => {
                self.authorize(request)?;
                log_level::show(&self.telemetry)
            }
            _ => Err(Problem::new(&ProblemType::NOT_FOUND)),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        (self.before_scrape)();
        let accept = headers.get_all(header::ACCEPT).iter();
        let format = Format::accepted(accept.filter_map(|line| line.to_str().ok()));
        let exposition = exposition::expose(self.telemetry.metrics(), format);
        let exposition = exposition.map_err(Problem::internal)?;
        Ok(Response::builder()
            .content_type(exposition.content_type)
            .header(header::VARY, "accept")
            .body(exposition.body))
    }

    fn health(&self) -> Result<Response, Problem> {
        let document = HealthDocument {
            version: &self.version,
            uptime_seconds: self.started.elapsed().as_secs(),
            report: self.health.report(),
            telemetry: self.telemetry.status(),
        };
        let body = serde_json::to_vec(&document).map_err(Problem::internal)?;
        let status = match document.report.status {
            Status::Ready => StatusCode::OK,
            Status::Starting | Status::NotReady | Status::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Ok(json(status, body))
    }

    /// Lets through who may use the endpoints that need a token.
    fn authorize(&self, request: &Request) -> Result<(), Problem> {
        self.access.check(request).inspect_err(|_| {
            let client = self.clients.resolve(request).address;
            self.telemetry.audit().refused(request.uri().path(), client);
        })
    }
}

impl Endpoint for Ops {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let occurrence = Occurrence {
            instance: request.uri().path().to_owned(),
            request_id: request_id(request.headers()).to_string(),
            trace_id: None,
        };
        let head = request.method() == Method::HEAD;
        let https = self.clients.resolve(&request).https;
        let id = HeaderValue::from_str(&occurrence.request_id);
        // Lines about it carry its id.
        let scope = RequestScope::new(occurrence.request_id.as_str().into());
        let context = Context::new().with_value(scope);
        let answer = self.answer(&mut request).with_context(context).await;
        let mut response = answer.unwrap_or_else(|problem| problem.render(occurrence));
        response.headers_mut().extend(id.map(|id| (X_REQUEST_ID, id)));
        complete(response.headers_mut(), https);
        Ok(if head { without_content(response) } else { response })
    }
}

/// Kubernetes looks at the status alone; the word is for people.
fn probe(ok: bool, word: &str) -> Response {
    let (status, text) = if ok {
        (StatusCode::OK, format!("{word}\n"))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not {word}\n"))
    };
    text.with_content_type("text/plain; charset=utf-8").with_status(status).into_response()
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    body.with_content_type("application/json; charset=utf-8").with_status(status).into_response()
}
