//! The answer to what never became a request, because its head could not be parsed.
//!
//! hyper refuses it before the stack is asked. It has an id, a problem, a line and a count all the
//! same, so that a client's complaint can be found.

use std::net::IpAddr;

use opentelemetry::Context;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use uuid::Uuid;

use super::headers::complete;
use super::observe::X_REQUEST_ID;
use crate::problem::{CONTENT_TYPE, Occurrence, Problem};
use crate::telemetry::{Metrics, RequestScope};

/// Tells of the refusal, and returns the headers and the body that it is sent with.
pub(crate) fn refuse(status: StatusCode, client: IpAddr, metrics: &Metrics) -> (HeaderMap, String) {
    let request_id = Uuid::now_v7().to_string();
    tell(status, client, metrics, &request_id);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.extend(HeaderValue::from_str(&request_id).map(|id| (X_REQUEST_ID, id)));
    complete(&mut headers);
    let problem = Problem::from_status(status).detail("the request is not valid HTTP");
    let instance = String::new();
    (headers, problem.body(Occurrence { instance, request_id, trace_id: None }))
}

fn tell(status: StatusCode, client: IpAddr, metrics: &Metrics, request_id: &str) {
    let labels = ["_OTHER", "", status.as_str(), "http", ""];
    metrics.http_request_duration.with_label_values(&labels).observe(0.0);
    let scope = RequestScope::new(request_id.to_owned());
    let _attached = Context::new().with_value(scope).attach();
    tracing::info!(
        target: "chassis::http",
        { http.request.method = "_OTHER",
          http.route = "",
          http.response.status_code = status.as_u16(),
          duration_ms = 0.0,
          client.address = %client.to_canonical() },
        "request"
    );
}
