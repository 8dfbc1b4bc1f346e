//! How the binary starts, refuses to start, and ends.

mod database;
mod durability;
mod ending;
mod exporting;
mod hostile;
mod limits;
mod lines;
mod outputs;
mod production;
mod refusals;
mod schema;
mod starting;
mod tls;
