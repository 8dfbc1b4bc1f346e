//! What the stack knows of a request before anything handles it; its layers share it.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::TraceId;
use poem::Request;
use poem::http::Version;
use tokio_util::sync::CancellationToken;

use super::client_address::Client;
use super::quota::Quota;
use super::routes::Route;
use super::told;
use crate::problem::Occurrence;

/// One request and the answer to come.
#[derive(Debug)]
pub struct Exchange {
    /// Who is calling.
    pub client: Client,
    /// The route, when the path has one.
    pub route: Option<Arc<Route>>,
    /// The method in a bounded vocabulary.
    pub method: Arc<str>,
    /// The method as it was sent, when that vocabulary lacks it.
    pub method_original: Option<String>,
    /// The path as it was sent, without its query.
    pub path: String,
    /// `1.1`, `2`: OpenTelemetry's `network.protocol.version`.
    pub protocol_version: &'static str,
    /// The value of `User-Agent`.
    pub user_agent: Option<String>,
    /// The value of `X-Request-Id` in the answer.
    pub request_id: Arc<str>,
    /// The trace that the request is part of.
    pub trace_id: Option<TraceId>,
    /// What is left of the client's budget, once the limiter has decided.
    pub quota: OnceLock<Quota>,
}

impl Exchange {
    /// The exchange that `request` is part of; there is one on every request below `Observe`.
    pub fn of(request: &Request) -> Option<Arc<Self>> {
        request.data::<Arc<Self>>().cloned()
    }

    /// The route's template, or nothing: a label that callers cannot multiply.
    pub fn route_template(&self) -> &str {
        self.route.as_ref().map_or("", |route| route.template())
    }

    /// The path as it is told: without what looks like an address or a token in it.
    pub fn told_path(&self) -> Cow<'_, str> {
        told::path(&self.path, self.route.as_ref().map(|route| &**route.template()))
    }

    /// `User-Agent` as it is told: the same.
    pub fn told_user_agent(&self) -> Option<Cow<'_, str>> {
        self.user_agent.as_deref().map(told::user_agent)
    }

    /// What a problem says about its request.
    pub fn occurrence(&self) -> Occurrence {
        Occurrence {
            instance: self.path.clone(),
            request_id: self.request_id.to_string(),
            trace_id: self.trace_id.map(|id| id.to_string()),
        }
    }
}

/// On requests of a listener that, at the end of its draining, gives up those still under way.
#[derive(Clone)]
pub(crate) struct CutOff(pub(crate) CancellationToken);

impl CutOff {
    /// Whether this is that moment.
    pub(super) fn is_happening(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// OpenTelemetry's `network.protocol.version`.
pub fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
