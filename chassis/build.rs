//! Hands the version of the compiler on, for `build_info`.

use std::env;
use std::io::{self, Write};
use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "this is how Cargo talks to a build script")]
fn main() -> io::Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let told = String::from_utf8_lossy(&output.stdout);
    let version = told.split_whitespace().nth(1).unwrap_or_default();
    let mut cargo = io::stdout().lock();
    writeln!(cargo, "cargo::rerun-if-changed=build.rs")?;
    writeln!(cargo, "cargo::rustc-env=CHASSIS_RUSTC_VERSION={version}")
}
