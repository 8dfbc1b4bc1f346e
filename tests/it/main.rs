//! The service from outside: real HTTP against the real stack, one database per test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod auth;
mod bad_days;
mod boot;
mod commands;
mod config;
mod contract;
mod replica;
mod rotation;
mod story;
mod support;
mod tidy;
mod users;
