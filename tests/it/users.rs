//! The directory, as its users meet it.

mod changing;
mod conflicts;
mod creating;
mod deleting;
mod document;
mod fields;
mod idempotency;
mod listing;
mod many;
mod passwords;
mod plans;
mod preconditions;
mod reading;
mod roles;
mod searching;
