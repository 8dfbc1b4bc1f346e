//! The tables as SeaORM entities, and nothing else: what they mean is the service's matter, how they come
//! to be is in the migrations.

pub mod idempotency_key;
pub mod identity;
pub mod login_failure;
pub mod refresh_token;
pub mod session;
pub mod user;
