//! The operator's endpoints: metrics, probes, health, the log level.
//!
//! They stand outside of the stack: scrapes and probes are no API traffic, so they appear in no API
//! metric, trace or request line and are not limited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use serde::{Deserialize, Serialize};

use super::head::without_content;
use super::headers::complete;
use super::observe::{X_REQUEST_ID, request_id};
use super::routes::without_slash;
use crate::health::{Health, HealthReport, Status};
use crate::problem::{Occurrence, Problem, ProblemType};
use crate::settings::{Environment, Report, Secret};
use crate::telemetry::{Identity, Telemetry, exposition};

crate::settings! {
    /// The operator's endpoints.
    pub struct OpsSettings {
        /// A listener of their own; without it they are on the public one.
        pub addr: Option<SocketAddr> = None,
        /// Bearer token for `/log-level`; in production there is no access without one.
        pub token: Option<Secret> = None,
    }
}

/// A filter is a line, not a file.
const LOG_LEVEL_BODY_LIMIT: usize = 4096;

const PATHS: &[&str] = &["/metrics", "/livez", "/readyz", "/startupz", "/health", "/log-level"];

/// Answers the operator's endpoints.
#[derive(Clone)]
pub struct Ops {
    version: String,
    started: Instant,
    telemetry: Telemetry,
    health: Health,
    access: Access,
    before_scrape: Arc<dyn Fn() + Send + Sync>,
}

/// The body of `/health`.
#[derive(Serialize)]
struct HealthDocument<'a> {
    version: &'a str,
    uptime_seconds: u64,
    #[serde(flatten)]
    report: HealthReport,
}

/// Who may use the endpoints that need a token.
#[derive(Clone)]
enum Access {
    Everyone,
    Nobody,
    Bearer(Secret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevelChange {
    filter: String,
    #[serde(rename = "for")]
    duration: Option<String>,
}

impl OpsSettings {
    /// Reports values that cannot work together with the environment.
    pub fn check(&self, environment: Environment, report: &mut Report) {
        let loopback = self.addr.is_none_or(|addr| addr.ip().is_loopback());
        if environment == Environment::Development && !loopback {
            report.reject("ops.addr", "a loopback address in development");
        }
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
        let access = match (&settings.token, identity.environment) {
            (Some(token), _) => Access::Bearer(token.clone()),
            (None, Environment::Development) => Access::Everyone,
            (None, Environment::Production) => Access::Nobody,
        };
        Self {
            version: identity.version.clone(),
            started: Instant::now(),
            telemetry,
            health,
            access,
            before_scrape: Arc::new(|| ()),
        }
    }

    /// Brings gauges up to date that are only true at the moment of a scrape.
    #[must_use]
    pub fn before_scrape(mut self, refresh: impl Fn() + Send + Sync + 'static) -> Self {
        self.before_scrape = Arc::new(refresh);
        self
    }

    /// Whether the path is one of the operator's.
    pub fn serves(path: &str) -> bool {
        PATHS.contains(&without_slash(path))
    }

    async fn answer(&self, request: &mut Request) -> Result<Response, Problem> {
        let path = without_slash(request.uri().path()).to_owned();
        let allowed =
            if path == "/log-level" { "GET, HEAD, OPTIONS, PUT" } else { "GET, HEAD, OPTIONS" };
        match (request.method(), path.as_str()) {
            (&Method::OPTIONS, path) if Self::serves(path) => Ok(Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ALLOW, allowed)
                .finish()),
            (&Method::PUT, "/log-level") => self.set_log_level(request).await,
            (&Method::GET | &Method::HEAD, path) => self.read(path, request),
            (_, path) if Self::serves(path) => Err(Problem::new(&ProblemType::METHOD_NOT_ALLOWED)
                .header(header::ALLOW, HeaderValue::from_static(allowed))),
            _ => Err(Problem::new(&ProblemType::NOT_FOUND)),
        }
    }

    fn read(&self, path: &str, request: &Request) -> Result<Response, Problem> {
        match path {
            "/metrics" => self.metrics(),
            "/livez" => Ok(probe(true, "alive")),
            "/readyz" => Ok(probe(self.health.is_ready(), "ready")),
            "/startupz" => Ok(probe(self.health.is_started(), "started")),
            "/health" => self.health(),
            "/log-level" => self.log_level(request),
            _ => Err(Problem::new(&ProblemType::NOT_FOUND)),
        }
    }

    fn metrics(&self) -> Result<Response, Problem> {
        (self.before_scrape)();
        let exposition = exposition::text(self.telemetry.metrics()).map_err(Problem::internal)?;
        Ok(Response::builder().content_type(exposition.content_type).body(exposition.body))
    }

    fn health(&self) -> Result<Response, Problem> {
        let document = HealthDocument {
            version: &self.version,
            uptime_seconds: self.started.elapsed().as_secs(),
            report: self.health.report(),
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

    fn log_level(&self, request: &Request) -> Result<Response, Problem> {
        self.authorize(request)?;
        let current = serde_json::json!({ "filter": self.telemetry.log_filter().current() });
        Ok(json(StatusCode::OK, current.to_string().into_bytes()))
    }

    async fn set_log_level(&self, request: &mut Request) -> Result<Response, Problem> {
        self.authorize(request)?;
        let body = request.take_body().into_bytes_limit(LOG_LEVEL_BODY_LIMIT).await;
        let body = body.map_err(|_| {
            bad(format!("the body must be complete and at most {LOG_LEVEL_BODY_LIMIT} bytes"))
        })?;
        let change: LogLevelChange = serde_json::from_slice(&body).map_err(|error| {
            bad(format!(
                "the body must be like {{\"filter\": \"debug\", \"for\": \"15m\"}}: {error}"
            ))
        })?;
        let duration = change.duration.as_deref().map(duration).transpose()?;
        let set = self.telemetry.log_filter().set(&change.filter, duration);
        set.map_err(|error| bad(format!("filter: {error}")))?;
        self.log_level(request)
    }

    fn authorize(&self, request: &Request) -> Result<(), Problem> {
        match &self.access {
            Access::Everyone => Ok(()),
            Access::Nobody => {
                Err(Problem::new(&ProblemType::FORBIDDEN).detail("ops.token is not set"))
            }
            Access::Bearer(token) if bears(request, token) => Ok(()),
            Access::Bearer(_) => {
                let challenge = HeaderValue::from_static("Bearer");
                Err(Problem::new(&ProblemType::UNAUTHORIZED)
                    .header(header::WWW_AUTHENTICATE, challenge))
            }
        }
    }
}

impl Endpoint for Ops {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let occurrence = Occurrence {
            instance: request.uri().path().to_owned(),
            request_id: request_id(request.headers()),
            trace_id: None,
        };
        let head = request.method() == Method::HEAD;
        let id = HeaderValue::from_str(&occurrence.request_id);
        let answer = self.answer(&mut request).await;
        let mut response = answer.unwrap_or_else(|problem| problem.render(occurrence));
        response.headers_mut().extend(id.map(|id| (X_REQUEST_ID, id)));
        complete(response.headers_mut());
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

fn bears(request: &Request, token: &Secret) -> bool {
    let sent = request.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let sent = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let same = |sent: &str| {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            sent.as_bytes(),
            token.expose().as_bytes(),
        )
    };
    sent.is_some_and(|(_, sent)| same(sent.trim()).is_ok())
}

fn duration(text: &str) -> Result<Duration, Problem> {
    let parsed = humantime::parse_duration(text);
    parsed.map_err(|_| bad("for: a duration such as \"15m\" is expected"))
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(&ProblemType::BAD_REQUEST).detail(detail)
}
