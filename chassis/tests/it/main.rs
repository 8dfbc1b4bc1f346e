//! The stack and the listener from outside: real HTTP against a small site.
//!
//! Not here: the line that a panic writes through the hook of the process, for `Telemetry::install`
//! is for a process that is one service; that line is the business of whoever runs the binary.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "metrics count whole things here")]

mod apart;
mod bodies;
mod bounds;
mod cors;
mod failures;
mod hostile;
mod ids;
mod json;
mod listener;
mod methods;
mod operators;
mod rate_limit;
mod shutdown;
mod support;
