//! The problem types that the chassis itself answers with, and the text of their pages.
//!
//! A service adds its own beside the code that meets them.

use poem::http::StatusCode;

/// A kind of problem; what its page says is part of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The last segment of the type's URI reference, `/problems/<slug>`.
    pub slug: &'static str,
    /// A few words, the same for every occurrence.
    pub title: &'static str,
    /// The HTTP status code that goes with it.
    pub status: StatusCode,
    /// What it means and what the caller can do.
    pub about: &'static str,
}

/// Every type below; `/problems/<slug>` has a page for each.
pub const CHASSIS_TYPES: &[&ProblemType] = &[
    &ProblemType::BAD_REQUEST,
    &ProblemType::UNAUTHORIZED,
    &ProblemType::FORBIDDEN,
    &ProblemType::NOT_FOUND,
    &ProblemType::METHOD_NOT_ALLOWED,
    &ProblemType::NOT_ACCEPTABLE,
    &ProblemType::CONFLICT,
    &ProblemType::PRECONDITION_FAILED,
    &ProblemType::CONTENT_TOO_LARGE,
    &ProblemType::URI_TOO_LONG,
    &ProblemType::UNSUPPORTED_MEDIA_TYPE,
    &ProblemType::INVALID_FIELDS,
    &ProblemType::TOO_MANY_REQUESTS,
    &ProblemType::HEADERS_TOO_LARGE,
    &ProblemType::INTERNAL,
    &ProblemType::UNAVAILABLE,
    &ProblemType::REQUEST_IN_FLIGHT,
    &ProblemType::IDEMPOTENCY_KEY_REUSED,
];

impl ProblemType {
    /// 400
    pub const BAD_REQUEST: Self = Self {
        slug: "bad-request",
        title: "Bad request",
        status: StatusCode::BAD_REQUEST,
        about: "The request could not be parsed. The detail says where. Correct it before sending it again.",
    };
    /// 401
    pub const UNAUTHORIZED: Self = Self {
        slug: "unauthorized",
        title: "Unauthorized",
        status: StatusCode::UNAUTHORIZED,
        about: "The request needs a valid bearer token, or the credentials were not right. Log in and send the access token in the Authorization header.",
    };
    /// 403
    pub const FORBIDDEN: Self = Self {
        slug: "forbidden",
        title: "Forbidden",
        status: StatusCode::FORBIDDEN,
        about: "The caller is known and may not do this. Another token with the same role will not help.",
    };
    /// 404
    pub const NOT_FOUND: Self = Self {
        slug: "not-found",
        title: "Not found",
        status: StatusCode::NOT_FOUND,
        about: "There is nothing here, or nothing that the caller may see.",
    };
    /// 405
    pub const METHOD_NOT_ALLOWED: Self = Self {
        slug: "method-not-allowed",
        title: "Method not allowed",
        status: StatusCode::METHOD_NOT_ALLOWED,
        about: "The resource exists and does not support this method. The Allow header lists those that it does.",
    };
    /// 406
    pub const NOT_ACCEPTABLE: Self = Self {
        slug: "not-acceptable",
        title: "Not acceptable",
        status: StatusCode::NOT_ACCEPTABLE,
        about: "The Accept header excludes every media type that the resource can be sent in.",
    };
    /// 409
    pub const CONFLICT: Self = Self {
        slug: "conflict",
        title: "Conflict",
        status: StatusCode::CONFLICT,
        about: "The request does not go together with the present state of the resource.",
    };
    /// 412
    pub const PRECONDITION_FAILED: Self = Self {
        slug: "precondition-failed",
        title: "Precondition failed",
        status: StatusCode::PRECONDITION_FAILED,
        about: "The resource does not have a version that If-Match names, or has one that If-None-Match names: as a rule it has changed since its entity tag was read. Read it again, decide again, and send the new tag.",
    };
    /// 413
    pub const CONTENT_TOO_LARGE: Self = Self {
        slug: "content-too-large",
        title: "Content too large",
        status: StatusCode::PAYLOAD_TOO_LARGE,
        about: "The body is larger than the service reads.",
    };
    /// 414
    pub const URI_TOO_LONG: Self = Self {
        slug: "uri-too-long",
        title: "URI too long",
        status: StatusCode::URI_TOO_LONG,
        about: "The path and query of the request are longer than the service reads.",
    };
    /// 415
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self {
        slug: "unsupported-media-type",
        title: "Unsupported media type",
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        about: "The body's Content-Type or Content-Encoding is not one that the operation reads. Bodies are JSON, not compressed.",
    };
    /// 422
    pub const INVALID_FIELDS: Self = Self {
        slug: "invalid-fields",
        title: "Invalid fields",
        status: StatusCode::UNPROCESSABLE_ENTITY,
        about: "The request was understood, and some of its fields are not acceptable. The member errors names every one of them, with what is allowed.",
    };
    /// 429
    pub const TOO_MANY_REQUESTS: Self = Self {
        slug: "too-many-requests",
        title: "Too many requests",
        status: StatusCode::TOO_MANY_REQUESTS,
        about: "The client has used up its budget. Retry-After says for how many seconds to wait; RateLimit-Policy and RateLimit tell the budget.",
    };
    /// 431
    pub const HEADERS_TOO_LARGE: Self = Self {
        slug: "headers-too-large",
        title: "Request header fields too large",
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        about: "The request has more headers, or larger ones, than the service reads.",
    };
    /// 500
    pub const INTERNAL: Self = Self {
        slug: "internal-error",
        title: "Internal error",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        about: "The service failed. The fault is on this side; quote the request_id when you report it.",
    };
    /// 503
    pub const UNAVAILABLE: Self = Self {
        slug: "unavailable",
        title: "Service unavailable",
        status: StatusCode::SERVICE_UNAVAILABLE,
        about: "The service is overloaded, is stopping, or lacks something that it needs. Retry-After says when to try again.",
    };
    /// 409 to an `Idempotency-Key` whose first request has not been answered.
    pub const REQUEST_IN_FLIGHT: Self = Self {
        slug: "request-in-flight",
        title: "Request in flight",
        status: StatusCode::CONFLICT,
        about: "A request with this Idempotency-Key is being worked on, or was cut off less than a few minutes ago. Retry-After says when to ask again; once the first request has been answered, the same answer comes back.",
    };
    /// 422 to an `Idempotency-Key` that was used for something else.
    pub const IDEMPOTENCY_KEY_REUSED: Self = Self {
        slug: "idempotency-key-reused",
        title: "Idempotency key reused",
        status: StatusCode::UNPROCESSABLE_ENTITY,
        about: "This Idempotency-Key came with another body before. A repetition must be the same request; a new request needs a new key. Nothing was done.",
    };
    /// The URI reference of the type.
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.slug)
    }

    /// The chassis's type for a status: its own where there is one, else the general one of its class.
    pub fn for_status(status: StatusCode) -> &'static Self {
        let general = if status.is_server_error() { &Self::INTERNAL } else { &Self::BAD_REQUEST };
        let own = CHASSIS_TYPES.iter().find(|kind| kind.status == status);
        own.copied().unwrap_or(general)
    }
}
