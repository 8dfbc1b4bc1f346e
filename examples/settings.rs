//! Prints every setting as a table, which `docs/operating.md` has below "Settings".
//!
//! `cargo run --example settings`

use std::io::{self, Write};

use belvedere::settings::Settings;
use chassis::settings::{known_keys, table};

fn main() -> io::Result<()> {
    io::stdout().write_all(table(&known_keys::<Settings>()).as_bytes())
}
