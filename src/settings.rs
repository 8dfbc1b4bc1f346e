//! All settings of the service, composed of the sections that live beside the code they configure.

use std::path::{Path, PathBuf};

use chassis::database::DatabaseSettings;
use chassis::http::StackSettings;
use chassis::http::docs::DocsSettings;
use chassis::http::ops::OpsSettings;
use chassis::http::rate_limit::RateLimitSettings;
use chassis::http::settings::ServerSettings;
use chassis::password::PasswordSettings;
use chassis::settings::{Environ, Environment, Loaded, Report, SettingsError, Sources};
use chassis::telemetry::logs::LogSettings;
use chassis::telemetry::traces::TracingSettings;

use crate::auth::AuthSettings;

/// `APP_SECTION__KEY` sets `section.key`.
const PREFIX: &str = "APP_";

/// Variables that other tools of the field set as well.
const ALIASES: &[(&str, &str)] = &[("DATABASE_URL", "database.url"), ("RUST_LOG", "log.level")];

chassis::settings! {
    /// Everything that can be set.
    pub struct Settings {
        /// `production` listens beyond the machine and refuses what is only convenient.
        pub environment: Environment = Environment::Development,
        /// The public listener and the limits of a request.
        pub server: ServerSettings = ServerSettings::default(),
        /// The interactive documentation.
        pub docs: DocsSettings = DocsSettings::default(),
        /// The operator's endpoints.
        pub ops: OpsSettings = OpsSettings::default(),
        /// The database and its pool.
        pub database: DatabaseSettings = DatabaseSettings::default(),
        /// Log lines.
        pub log: LogSettings = LogSettings::default(),
        /// Traces.
        pub tracing: TracingSettings = TracingSettings::default(),
        /// How often one client may call.
        pub rate_limit: RateLimitSettings = RateLimitSettings::default(),
        /// Who is let in.
        pub auth: AuthSettings = AuthSettings::default(),
        /// How passwords are hashed, and which are taken.
        pub password: PasswordSettings = PasswordSettings::default(),
    }
}

impl Settings {
    /// Reads defaults, then the file, then the environment; reports everything that is wrong at once.
    pub fn load(file: Option<PathBuf>, environ: Environ) -> Result<Loaded<Self>, SettingsError> {
        sources(file, environ).load(Self::check)
    }

    /// Reads them for a command that serves nobody. What only the service needs may be absent: a job
    /// that migrates the database must not hold the key that signs tokens.
    pub fn load_for_command(
        file: Option<PathBuf>,
        environ: Environ,
    ) -> Result<Self, SettingsError> {
        let check = |settings: &Self, report: &mut Report| {
            // `openapi` prints it; the rest of the section is for those who listen.
            settings.server.check_public_url(report);
            settings.check_for_command(report);
        };
        sources(file, environ).load(check).map(|loaded| loaded.settings)
    }

    /// What the middleware stack is set up by.
    pub fn stack(&self) -> StackSettings {
        StackSettings {
            server: self.server.clone(),
            rate_limit: self.rate_limit.clone(),
            tracing: self.tracing.clone(),
            debug_key: self.ops.debug_key(),
        }
    }

    fn check(&self, report: &mut Report) {
        self.server.check(self.environment, report);
        self.rate_limit.check(report);
        self.ops.check(self.environment, report);
        self.auth.check(self.environment, report);
        self.password.check_memory(self.environment, Path::new("/"), report);
        self.check_for_command(report);
    }

    fn check_for_command(&self, report: &mut Report) {
        self.database.check(report);
        self.log.check(report);
        self.password.check(report);
    }
}

fn sources(file: Option<PathBuf>, environ: Environ) -> Sources {
    Sources { file, environ, prefix: PREFIX, aliases: ALIASES }
}
