//! HTTP: the stack that every request passes, and the site that it protects.

use std::collections::HashMap;
use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, Result};

use crate::problem::ProblemType;
use crate::telemetry::Telemetry;
use crate::telemetry::debug_header::DebugKey;
use crate::telemetry::traces::TracingSettings;

pub mod asset;
mod authority;
pub mod client_address;
pub mod conditional;
mod cors;
mod debug;
mod dispatch;
pub mod docs;
pub mod exchange;
mod head;
mod headers;
pub mod id;
pub mod idempotency;
pub mod input;
mod limits;
mod members;
mod negotiate;
mod observe;
pub mod ops;
mod parameter;
pub mod quota;
pub mod rate_limit;
mod render;
pub mod routes;
mod schema;
pub mod settings;
mod told;
mod unambiguous;
pub(crate) mod unparsable;

use cors::Cors;
use debug::DebugHeaders;
use dispatch::Dispatch;
use docs::Documents;
use head::WithoutContent;
use headers::CommonHeaders;
use limits::{BodyLimit, InFlight, Timeout};
use observe::Observe;
use ops::Ops;
use rate_limit::{RateLimit, RateLimitError, RateLimitSettings, Strict};
use render::{CatchPanic, RenderProblems};
use routes::{RouteError, Routes};
use settings::ServerSettings;
use unambiguous::Unambiguous;

/// What the stack is set up by.
#[derive(Clone, Debug, Default)]
pub struct StackSettings {
    /// The `server` section.
    pub server: ServerSettings,
    /// The `rate_limit` section.
    pub rate_limit: RateLimitSettings,
    /// The `tracing` section.
    pub tracing: TracingSettings,
    /// What debug headers are signed with; without it none is accepted.
    pub debug_key: Option<DebugKey>,
}

/// Everything that the public listener answers, before the stack is put around it.
pub struct Site {
    routes: Routes,
    api: BoxEndpoint<'static>,
    pages: HashMap<Arc<str>, BoxEndpoint<'static>>,
    strict: Strict,
    ops: Option<Ops>,
}

/// The operator's endpoints beside the stack, for a service with one listener.
struct Front<E> {
    ops: Option<Ops>,
    site: E,
}

impl Site {
    /// The operations of an `OpenAPI` document (JSON), and the endpoint that answers them all.
    pub fn new<E>(document: &str, api: E) -> Result<Self, RouteError>
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        let mut routes = Routes::default();
        routes.add_document(document)?;
        Ok(Self {
            routes,
            api: api.into_endpoint().map_to_response().boxed(),
            pages: HashMap::new(),
            strict: |_, _| false,
            ops: None,
        })
    }

    /// Serves the document itself, and Swagger UI at `/docs`.
    pub fn documents(mut self, documents: Documents) -> Result<Self, RouteError> {
        for (path, media_type, asset) in documents.assets() {
            self.page(path, media_type, asset)?;
        }
        Ok(self)
    }

    /// Serves a page for each problem type, at its URI.
    pub fn problem_types(mut self, types: &[&'static ProblemType]) -> Result<Self, RouteError> {
        for kind in types {
            self.page(&kind.uri(), "text/html; charset=utf-8", docs::problem_page(kind))?;
        }
        Ok(self)
    }

    /// Says which requests come out of the `auth` budget, by method and route template.
    #[must_use]
    pub fn strict(mut self, strict: Strict) -> Self {
        self.strict = strict;
        self
    }

    /// Answers the operator's endpoints as well, outside of the stack.
    #[must_use]
    pub fn ops(mut self, ops: Ops) -> Self {
        self.ops = Some(ops);
        self
    }

    /// Puts the stack around it all. Needs a runtime, for the rate limiter's sweeper.
    pub fn build(
        self,
        settings: &StackSettings,
        telemetry: &Telemetry,
    ) -> Result<BoxEndpoint<'static>, RateLimitError> {
        let Self { routes, api, pages, strict, ops } = self;
        let dispatch = Dispatch { api, pages, allow: routes.allow() };
        let site = stack(dispatch, Arc::new(routes), strict, settings, telemetry)?;
        Ok(Front { ops, site }.boxed())
    }

    fn page(
        &mut self,
        path: &str,
        media_type: &str,
        page: impl Endpoint<Output = Response> + 'static,
    ) -> Result<(), RouteError> {
        self.routes.add_page(path, media_type)?;
        self.pages.insert(path.into(), page.boxed());
        Ok(())
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Front<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        match &self.ops {
            Some(ops) if Ops::serves(request.uri().path()) => ops.call(request).await,
            _ => self.site.call(request).await,
        }
    }
}

/// The stack. Read from the last line up: a request comes in at the bottom and meets each layer in
/// turn, and its answer goes out through them the other way round.
fn stack(
    dispatch: Dispatch,
    routes: Arc<Routes>,
    strict: Strict,
    settings: &StackSettings,
    telemetry: &Telemetry,
) -> Result<impl Endpoint<Output = Response> + 'static, RateLimitError> {
    let StackSettings { server, rate_limit, tracing, debug_key } = settings;
    let metrics = telemetry.metrics();
    let clients = server.clients();

    // Counts bytes as a handler reads them, so it is next to the handlers.
    let stack = BodyLimit::new(dispatch, server.body_limit.as_u64());
    // Covers reading the body too: a client that sends slowly is a request that takes too long.
    let stack = Timeout::new(stack, server.request_timeout, metrics.clone());
    // Refuses before anything costly has begun.
    let stack = RateLimit::new(stack, rate_limit, strict, telemetry)?;
    // Outside of the limiter, for a flood must not even cost its bookkeeping.
    let stack = InFlight::new(stack, server.max_in_flight, metrics.clone());
    // Before any answer, for what follows a doubtful head is in doubt as well.
    let stack = Unambiguous(stack);
    // Around everything that runs code of others; what is outside of it cannot panic on a request.
    let stack = CatchPanic(stack);
    // Whatever failed inside leaves as a problem.
    let stack = RenderProblems(stack);
    // Outside of rendering, for problems are not sent to HEAD either.
    let stack = WithoutContent(stack);
    // Outside of rendering, so that a page may read the errors; preflights are not limited.
    let stack = Cors::new(stack, server.cors_allowed_origins.clone());
    // On every answer, whoever gave it.
    let stack = CommonHeaders(stack);
    // Outermost: measures and tells all of it, and finds the client, the route and the ids that the
    // layers above use.
    let (telemetry, trust_incoming) = (telemetry.clone(), tracing.trust_incoming);
    let debug = DebugHeaders::new(debug_key.clone(), telemetry.clone());
    Ok(Observe::new(stack, routes, clients, telemetry, trust_incoming, debug))
}
