//! `/log-level`: what is logged, and changing that for good or for a while.

use std::net::IpAddr;

use chrono::Utc;
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::{Request, Response};
use serde::Serialize;
use serde_json::Value;

use super::json;
use crate::http::input::{self, Field, Fields, JSON};
use crate::http::members::members;
use crate::problem::{Problem, ProblemType};
use crate::telemetry::Telemetry;
use crate::telemetry::audit::rfc3339;
use crate::telemetry::logs::parse_filter;
use crate::telemetry::period::Period;

/// A filter is a line, not a file.
const BODY_LIMIT: usize = 4096;

/// The answer to GET and PUT.
#[derive(Serialize)]
struct LogLevel {
    filter: String,
    /// `log.level`, which a temporary filter goes back to.
    configured: String,
    /// RFC 3339; only while the filter is temporary.
    #[serde(skip_serializing_if = "Option::is_none")]
    returns_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returns_in_seconds: Option<u64>,
}

/// The body of PUT.
struct Change {
    filter: Filter,
    period: Option<Period>,
}

/// Text that is a filter.
struct Filter(String);

/// What is logged now.
pub(super) fn show(telemetry: &Telemetry) -> Result<Response, Problem> {
    let status = telemetry.log_filter().status();
    let left = status.returns_at.map(|at| (at - Utc::now()).num_seconds());
    let level = LogLevel {
        filter: status.filter,
        configured: status.configured,
        returns_at: status.returns_at.map(rfc3339),
        returns_in_seconds: left.map(|seconds| u64::try_from(seconds).unwrap_or(0)),
    };
    Ok(json(StatusCode::OK, serde_json::to_vec(&level).map_err(Problem::internal)?))
}

/// Follows the filter in the body, and answers as `show` does.
pub(super) async fn change(
    telemetry: &Telemetry,
    request: &mut Request,
    client: Option<IpAddr>,
) -> Result<Response, Problem> {
    input::check_content_type(request, &[JSON])?;
    let body = request.take_body().into_bytes_limit(BODY_LIMIT).await.map_err(unreadable)?;
    let Change { filter, period } = Fields::check_with(members(&body)?, &[], Change::from_fields)?;
    let changed = telemetry.log_filter().set(&filter.0, period);
    // The filter was checked with the body.
    telemetry.audit().filter_changed(&changed.map_err(Problem::internal)?, client);
    show(telemetry)
}

impl Change {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let filter = fields.required("filter");
        let period = fields.optional("for");
        Some(Self { filter: filter?, period: period? })
    }
}

impl Field for Filter {
    fn parse(value: Value) -> Result<Self, String> {
        let text = String::parse(value)?;
        match parse_filter(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(format!("must be a filter: {error}")),
        }
    }
}

impl Field for Period {
    fn parse(value: Value) -> Result<Self, String> {
        String::parse(value)?
            .parse()
            .map_err(|error: <Self as std::str::FromStr>::Err| error.to_string())
    }
}

fn unreadable(error: ReadBodyError) -> Problem {
    match error {
        ReadBodyError::PayloadTooLarge => Problem::new(&ProblemType::CONTENT_TOO_LARGE)
            .detail(format!("the body must not exceed {BODY_LIMIT} bytes")),
        error => Problem::new(&ProblemType::BAD_REQUEST)
            .detail("the body ended before it was complete")
            .cause(error),
    }
}
