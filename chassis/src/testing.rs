//! A kit for tests of services on this chassis: a client, and a witness of what a service tells.
//!
//! A test can say "this call made this span, moved this metric by one, and leaked no secret", with
//! the real stack over real HTTP and nothing global. Only with the feature `testing`; helpers fail a
//! test by panicking.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that cannot do its work fails the test"
)]

mod client;
mod collector;
mod database;
mod hostile;
mod object;
mod properties;
mod proxy;
pub mod story;
mod witness;

pub use client::{Answer, Call, Client};
pub use collector::{Collector, Delivery, Mood};
pub use database::TestDatabase;
pub use hostile::Hostile;
pub use object::object;
pub use properties::hold;
pub use proxy::Proxy;
pub use story::{Expected, Story, StoryTable};
pub use witness::Witness;
