//! Who asks, and what they may do.

mod assignment;
mod attempts;
mod authorisation;
mod cleaning;
mod events;
mod hashing;
mod keys;
mod login;
mod oidc;
mod refreshing;
mod sessions;
mod tampering;
mod tokens;
