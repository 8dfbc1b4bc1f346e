//! `belvedere debug-header`: signs a header that lets one request be followed in detail:
//! `curl -H "$(belvedere debug-header --for 10m)" ...`.

use std::process::ExitCode;

use chassis::telemetry::debug_header::NAME;
use chassis::telemetry::period::Period;
use chrono::Utc;
use clap::Args;

use super::print;
use crate::failure::Failure;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct DebugHeader {
    /// How long the header is valid, at most 24h.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m")]
    period: Period,
}

impl DebugHeader {
    /// The settings must have the `ops.token` of the service that will see the header.
    pub(super) fn print(&self, settings: &Settings) -> Result<ExitCode, Failure> {
        let Some(key) = settings.ops.debug_key() else {
            return Err(Failure::Arguments(
                "ops.token: needed to sign debug headers; the service must have the same"
                    .to_owned(),
            ));
        };
        print(format!("{NAME}: {}", key.sign(Utc::now(), self.period)))
    }
}
