//! `belvedere migrate`: the schema, without starting the service.

use std::process::ExitCode;

use belvedere_migration::{self as migration, MigrationState};
use chassis::database::Database;
use chassis::settings::Environ;
use chassis::telemetry::Telemetry;
use clap::Subcommand;

use super::print;
use crate::failure::Failure;
use crate::service;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// Applies what is pending; safe when many start it at once.
    Up,
    /// Reverts the latest migrations.
    Down {
        /// How many.
        #[arg(default_value_t = 1)]
        steps: usize,
    },
    /// Lists migrations and whether the database has them; unknown ones are a newer version's.
    Status,
}

impl Migrate {
    pub(super) async fn run(
        &self,
        settings: &Settings,
        environ: &Environ,
    ) -> Result<ExitCode, Failure> {
        let telemetry = super::telemetry(settings, environ)?;
        let result = self.act(settings, &telemetry).await;
        telemetry.shutdown(service::FLUSH_TIMEOUT).await;
        result
    }

    async fn act(&self, settings: &Settings, telemetry: &Telemetry) -> Result<ExitCode, Failure> {
        let database =
            Database::connect(&settings.database, telemetry).await.map_err(Failure::running)?;
        let result = match self {
            Self::Up => {
                migration::up(database.connection()).await.map(|names| said(&names, "applied"))
            }
            Self::Down { steps } => migration::down(database.connection(), *steps)
                .await
                .map(|names| said(&names, "reverted")),
            Self::Status => list(&database).await,
        };
        database.close().await;
        print(result.map_err(Failure::running)?)
    }
}

async fn list(database: &Database) -> Result<String, migration::MigrationError> {
    let migrations = migration::status(database.connection()).await?;
    let line = |migration: &migration::MigrationStatus| {
        let state = match migration.state {
            MigrationState::Applied => "applied",
            MigrationState::Pending => "pending",
            MigrationState::Unknown => "unknown",
        };
        format!("{state}  {}", migration.name)
    };
    Ok(migrations.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn said(names: &[String], what: &str) -> String {
    match names {
        [] => format!("nothing to be {what}"),
        names => names.iter().map(|name| format!("{what}  {name}")).collect::<Vec<_>>().join("\n"),
    }
}
