//! What others build on: headers, the request line, spans, metrics, the OpenAPI document. A test
//! that fails here means that somebody's dashboard, client or alert would break.
//!
//! How users and tokens behave is tested beside this, in `users` and `auth`.

mod catalogue;
mod counts;
mod documents;
mod exemplars;
mod exposition;
mod headers;
mod metrics;
mod openapi;
mod privacy;
mod privacy_of_the_binary;
mod problem_pages;
mod rate_limits;
mod request_ids;
mod request_line;
mod series;
mod series_of_strangers;
mod server_timing;
mod spans;
mod sql_comments;
mod tampering;
mod tour;
mod trace_context;
