//! The command line. What a command does is in its own file; here is what there is to say.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use chassis::problem::chain;
use chassis::settings::Environ;
use chassis::telemetry::Telemetry;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::settings::Settings;
use crate::{app, service};

mod debug_header;
mod health;
mod migrate;
mod users;

/// Unusable arguments or settings; clap uses the same for arguments.
const EXIT_UNUSABLE: u8 = 2;

/// A user directory with a documented HTTP API.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Settings file (TOML); the environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service (the default).
    Serve,
    /// Applies, reverts or lists migrations.
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Manages users where no administrator exists yet.
    #[command(subcommand)]
    Users(users::Users),
    /// Prints the OpenAPI document.
    Openapi(Openapi),
    /// Prints the effective settings as TOML, with the source of each value.
    Config,
    /// Probes a running service: exit code 0 or 1.
    Health(health::Probe),
    /// Prints a header that has one request logged at DEBUG and its trace exported.
    DebugHeader(debug_header::DebugHeader),
}

#[derive(Debug, Args)]
struct Openapi {
    /// Format of the document.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

impl Cli {
    /// Carries the command out. 0 done, 1 failed while running, 2 unusable arguments or settings.
    pub fn run(self) -> ExitCode {
        match self.execute() {
            Ok(code) => code,
            Err(failure) => {
                complain(chain(&failure));
                if failure.is_unusable() {
                    ExitCode::from(EXIT_UNUSABLE)
                } else {
                    ExitCode::FAILURE
                }
            }
        }
    }

    fn execute(self) -> Result<ExitCode, Failure> {
        let started = Instant::now();
        let environ = Environ::process();
        let file = self.config;
        let settings = || Settings::load_for_command(file.clone(), environ.clone());
        match self.command.unwrap_or(Command::Serve) {
            // Works in an image without any settings too: all that it asks for has a default.
            Command::Openapi(openapi) => openapi.print(&settings()?),
            Command::Health(probe) => block_on(probe.run(settings)),
            Command::DebugHeader(header) => header.print(&settings()?),
            Command::Config => print(Settings::load(file, environ)?.to_toml()),
            Command::Serve => {
                let settings = Settings::load(file, environ.clone())?.settings;
                block_on(service::run(settings, environ, started))
            }
            Command::Migrate(migrate) => block_on(migrate.run(&settings()?, &environ)),
            Command::Users(users) => block_on(users.run(&settings()?, &environ)),
        }
    }
}

impl Openapi {
    fn print(&self, settings: &Settings) -> Result<ExitCode, Failure> {
        let document = app::document(settings.server.public_url.as_deref());
        let document = document.map_err(|error| Failure::Running(error.into()))?;
        print(match self.format {
            Format::Json => document.json,
            Format::Yaml => document.yaml,
        })
    }
}

/// Two workers at least: on one core an exporter that waits must not be able to stop requests.
fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(cores.max(2)).enable_all().build();
    let runtime = runtime.map_err(Failure::running)?;
    let result = runtime.block_on(work);
    // What still blocks a thread, such as looking up a collector's name, must not hold up the exit.
    runtime.shutdown_background();
    result
}

/// The telemetry of a command. Its results belong on stdout, so lines go to stderr.
fn telemetry(settings: &Settings, environ: &Environ) -> Result<Telemetry, Failure> {
    let stderr = io::stderr();
    let terminal = stderr.is_terminal();
    let identity = service::identity(settings);
    let telemetry = Telemetry::start_into(
        stderr,
        terminal,
        &identity,
        &settings.log,
        &settings.tracing,
        environ,
    );
    let telemetry = telemetry?;
    telemetry.install();
    Ok(telemetry)
}

fn print(text: impl Display) -> Result<ExitCode, Failure> {
    let written = writeln!(io::stdout(), "{}", text.to_string().trim_end());
    written.map_err(Failure::running)?;
    Ok(ExitCode::SUCCESS)
}

fn complain(text: impl Display) {
    // Nothing is left to tell it to when stderr is closed.
    let _ = writeln!(io::stderr(), "error: {text}");
}
