//! Who asks, and what they may do.

mod attempts;
mod authorisation;
mod events;
mod hashing;
mod login;
mod tokens;
