//! Who asks, and what they may do.

mod authorisation;
mod events;
mod hashing;
mod login;
mod oidc;
mod tokens;
