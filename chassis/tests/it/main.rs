//! The stack and the listener from outside: real HTTP against a small site. And the log as its readers
//! get it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "metrics count whole things here")]

mod apart;
mod bodies;
mod bounds;
mod cors;
mod debug_header;
mod export;
mod failures;
mod floods;
mod headers;
mod hostile;
mod ids;
mod json;
mod listener;
mod log_level;
mod log_lines;
mod methods;
mod operators;
mod panics;
mod places;
mod rate_limit;
mod repeated;
mod retries;
mod shared_budgets;
mod shutdown;
mod sql_comments;
mod story;
mod support;
mod tls;
mod told;
