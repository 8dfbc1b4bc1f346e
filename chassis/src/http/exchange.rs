//! What the stack knows of a request before anything handles it; its layers share it.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::TraceId;
use poem::Request;
use poem::http::{Method, Version};
use tokio_util::sync::CancellationToken;

use super::client_address::Client;
use super::quota::Quota;
use super::routes::Route;
use crate::problem::Occurrence;

/// One request and the answer to come.
#[derive(Debug)]
pub struct Exchange {
    /// Who is calling.
    pub client: Client,
    /// The route, when the path has one.
    pub route: Option<Arc<Route>>,
    /// The method in a bounded vocabulary.
    pub method: &'static str,
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
        scrub(&self.path)
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

/// Clients put into paths what does not belong there: a segment with an `@`, or one in the form of a JSON
/// Web Token, is told as `[redacted]`.
fn scrub(path: &str) -> Cow<'_, str> {
    if !path.split('/').any(is_telling) {
        return path.into();
    }
    let told =
        path.split('/').map(|segment| if is_telling(segment) { "[redacted]" } else { segment });
    told.collect::<Vec<_>>().join("/").into()
}

fn is_telling(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    bytes.contains(&b'@')
        || bytes.windows(3).any(|three| three == b"%40")
        || (segment.starts_with("eyJ") && segment.matches('.').count() >= 2)
}

/// The methods of OpenTelemetry's HTTP conventions; `None` for any other.
pub fn known_method(method: &Method) -> Option<&'static str> {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    known.into_iter().find(|name| *name == method.as_str())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_tokens_in_a_path_are_not_told() {
        for (path, told) in [
            ("/users/0190", "/users/0190"),
            ("/", "/"),
            ("/users/ada@example.org", "/users/[redacted]"),
            ("/users/ada%40example.org/x", "/users/[redacted]/x"),
            ("/x/eyJhbGciOiJFZERTQSJ9.e30.c2ln", "/x/[redacted]"),
            ("/eyJust/a.word", "/eyJust/a.word"),
        ] {
            assert_eq!(scrub(path), told);
        }
    }
}
