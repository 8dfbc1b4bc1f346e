//! The one error body: RFC 9457 problem details, with a public part for the caller and a private
//! cause for the log.
//!
//! Here are the type, the catalogue of the chassis's own problem types, and what a problem looks
//! like in the `OpenAPI` document. Turning the framework's errors into problems is `http::render`'s.

use std::error::Error as StdError;
use std::fmt;

use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response, error::ResponseError};
use poem_openapi::Object;
use poem_openapi::types::ToJSON;

mod catalogue;
mod documented;

pub use crate::causes::chain;
pub use catalogue::{CHASSIS_TYPES, ProblemType};
pub use documented::{Fails, Statuses};

/// The media type of every error body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error on its way to the caller.
///
/// `Display` tells the public detail; the cause is for the log alone and reached by `source()`.
pub struct Problem {
    kind: &'static ProblemType,
    status: StatusCode,
    detail: Option<String>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    error_type: Option<&'static str>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// One field that was understood but is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field in the request body, or to the query parameter's name.
    #[oai(validator(max_length = 256))]
    pub pointer: String,
    /// What is wrong with it and what is allowed.
    #[oai(validator(max_length = 1024))]
    pub detail: String,
}

/// What ties a problem to its request; known only where the answer leaves.
#[derive(Clone, Debug, Default)]
pub struct Occurrence {
    /// The path of the request, without its query.
    pub instance: String,
    /// The value of `X-Request-Id`.
    pub request_id: String,
    /// The W3C trace id, 32 hexadecimal digits.
    pub trace_id: Option<String>,
}

/// What went wrong, for the log and the metrics; rides on the response, never to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// OpenTelemetry's `error.type`: a short, low-cardinality word, or the status code.
    pub error_type: String,
    /// The chain of causes, outermost first; empty when there is none.
    pub causes: String,
}

/// The body as it is sent (RFC 9457, section 3.1, with our extensions).
#[derive(Debug, Object)]
#[oai(rename = "Problem")]
struct ProblemBody {
    /// URI reference of the problem type; the page behind it explains it.
    #[oai(rename = "type")]
    kind: String,
    /// The problem type in a few words; the same for every occurrence.
    title: String,
    /// The HTTP status code.
    #[oai(validator(minimum(value = "400"), maximum(value = "599")))]
    status: u16,
    /// What happened this time, for a person to read.
    detail: String,
    /// The path of the request.
    instance: String,
    /// The value of `X-Request-Id`; quote it in a complaint.
    request_id: String,
    /// The trace that tells the whole story.
    #[oai(skip_serializing_if_is_none)]
    trace_id: Option<String>,
    /// Every field that is not acceptable, for status 422.
    #[oai(skip_serializing_if_is_none)]
    errors: Option<Vec<FieldError>>,
}

impl Problem {
    /// A problem of this type that says no more than its type.
    pub fn new(kind: &'static ProblemType) -> Self {
        Self {
            kind,
            status: kind.status,
            detail: None,
            errors: Vec::new(),
            headers: Vec::new(),
            error_type: None,
            cause: None,
        }
    }

    /// This status, with the problem type that the chassis has for it or else for its class.
    pub fn from_status(status: StatusCode) -> Self {
        let mut problem = Self::new(ProblemType::for_status(status));
        problem.status = status;
        problem
    }

    /// 422 with every field that is not acceptable.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(&ProblemType::INVALID_FIELDS);
        problem.errors = errors;
        problem
    }

    /// 503 that asks the caller to come back after so many seconds.
    pub fn unavailable(retry_after_seconds: u64) -> Self {
        Self::new(&ProblemType::UNAVAILABLE).retry_after(retry_after_seconds)
    }

    /// 500 whose cause only the log tells.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(&ProblemType::INTERNAL).cause(cause)
    }

    /// Says what happened this time. The caller reads it: no names of inner parts, no data of others.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`, in seconds (RFC 9110, section 10.2.3); never 0, which invites a storm.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Names OpenTelemetry's `error.type` where the status code says too little.
    #[must_use]
    pub fn error_type(mut self, name: &'static str) -> Self {
        self.error_type = Some(name);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields that are not acceptable, for status 422.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The problem type.
    pub fn kind(&self) -> &'static ProblemType {
        self.kind
    }

    /// The answer for the request that `occurrence` names, with the [`Failure`] as an extension.
    pub fn render(self, occurrence: Occurrence) -> Response {
        let mut response = self.body(occurrence).into_response();
        response.set_status(self.status);
        response.extensions_mut().insert(self.failure());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }

    /// The document alone.
    pub fn body(&self, occurrence: Occurrence) -> String {
        let detail = self.detail.as_deref().unwrap_or(self.kind.about);
        let body = ProblemBody {
            kind: self.kind.uri(),
            title: self.kind.title.to_owned(),
            status: self.status.as_u16(),
            detail: detail.to_owned(),
            instance: occurrence.instance,
            request_id: occurrence.request_id,
            trace_id: occurrence.trace_id,
            errors: (!self.errors.is_empty()).then(|| self.errors.clone()),
        };
        body.to_json_string()
    }

    fn failure(&self) -> Failure {
        let status = self.status().as_str().to_owned();
        Failure {
            error_type: self.error_type.map_or(status, str::to_owned),
            causes: self.cause.as_deref().map(|cause| chain(cause)).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("kind", &self.kind.slug)
            .field("detail", &self.detail)
            .field("errors", &self.errors)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(self.kind.title))
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as &(dyn StdError + 'static))
    }
}

/// Lets handlers and extractors use `?`; the answer is rendered by the stack, which knows the request.
impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }
}

impl FieldError {
    /// A complaint about one field of a body, or about a query parameter.
    pub fn new(field: &str, detail: impl Into<String>) -> Self {
        // RFC 6901, section 3: `~` and `/` are escaped.
        let escaped = field.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("/{escaped}"), detail: detail.into() }
    }
}
