//! What the stack knows of a request before anything handles it; its layers share it.

use std::sync::{Arc, OnceLock};

use poem::Request;
use poem::http::{Method, Version};

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
    pub request_id: String,
    /// The W3C trace id, 32 hexadecimal digits.
    pub trace_id: Option<String>,
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

    /// What a problem says about its request.
    pub fn occurrence(&self) -> Occurrence {
        Occurrence {
            instance: self.path.clone(),
            request_id: self.request_id.clone(),
            trace_id: self.trace_id.clone(),
        }
    }
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
