//! The schema and the entity together, through the chassis' connection.
//!
//! SQLite by default. With `TEST_DATABASE_URL`, the URL of a database on a server, each test makes a
//! database of its own beside it: `postgres://postgres@127.0.0.1/postgres`, `mysql://root@127.0.0.1/mysql`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed assumption fails the test"
)]

mod columns;
mod cuts;
mod failures;
mod outage;
mod processes;
mod rows;
mod schema;
mod support;
mod users;
