//! Prints what the service tells about itself, as a page.
//!
//! `cargo run --example telemetry > docs/telemetry.md`

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(belvedere::telemetry::catalogue().page().as_bytes())
}
