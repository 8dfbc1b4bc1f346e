//! Who asks, and what they may do.

mod assignment;
mod authorisation;
mod events;
mod hashing;
mod login;
mod tampering;
mod tokens;
