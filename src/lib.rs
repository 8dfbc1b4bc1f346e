//! belvedere's reference service: a user directory on the chassis.
//!
//! To make a service of your own of it, put your resource beside `users` and then, if it needs no
//! accounts, take `users` and `auth` away together: a caller is a user.

pub mod app;
pub mod auth;
pub mod cli;
mod expired;
pub mod failure;
pub mod idempotency;
mod schema;
pub mod service;
pub mod sessions;
pub mod settings;
pub mod telemetry;
pub mod users;
