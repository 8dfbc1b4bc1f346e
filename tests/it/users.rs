//! The directory, as its users meet it.

mod changing;
mod creating;
mod deleting;
mod document;
mod fields;
mod listing;
mod passwords;
mod preconditions;
mod reading;
mod roles;
mod searching;
