//! The chassis of a service: what every service needs and no service should write again.
//!
//! It knows HTTP, telemetry, the database connection and the life cycle, and nothing of what a
//! service is about. Nothing here is global: two services in one process stay apart.

mod causes;
pub mod database;
pub mod fetch;
pub mod health;
pub mod http;
pub mod jitter;
pub mod lifecycle;
pub mod password;
pub mod privacy;
pub mod problem;
pub mod recurring;
pub mod server;
pub mod settings;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;
