//! The life of the service: boot in the order that things need each other, and the way out in reverse.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use belvedere_migration as migration;
use chassis::database::Database;
use chassis::health::{Health, Watch};
use chassis::http::ops::Ops;
use chassis::lifecycle::{Ending, Outcome, Shutdown};
use chassis::problem::chain;
use chassis::server::{Running, Server};
use chassis::settings::{Environ, Environment};
use chassis::telemetry::target::ExportTarget;
use chassis::telemetry::{Identity, Telemetry};
use poem::EndpointExt;

use crate::app;
use crate::auth::AuthMode;
use crate::failure::Failure;
use crate::settings::Settings;

/// Flushing telemetry ends within five seconds also when the collector hangs; the last lines take the rest.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(4500);

/// Closing connections takes milliseconds, but for those whose statement hangs in the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// For the two lines that follow; a terminal that is stopped must not keep the process.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(500);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service that answers requests.
pub struct Service {
    database: Database,
    health: Health,
    public: Running,
    ops: Option<Running>,
    drain_delay: Duration,
    drain_timeout: Duration,
    /// Checks end with their handles.
    _watches: [Watch; 2],
}

/// Runs the service until a signal asks it to end.
pub async fn run(
    settings: Settings,
    environ: Environ,
    started: Instant,
) -> Result<ExitCode, Failure> {
    let telemetry =
        Telemetry::start(&identity(&settings), &settings.log, &settings.tracing, &environ)
            .map_err(Failure::running)?;
    telemetry.install();
    let shutdown = Shutdown::on_signals().map_err(Failure::running)?;
    let booted = tokio::select! {
        booted = Service::start(&settings, &telemetry) => booted,
        // Nothing has been promised to anybody yet.
        () = shutdown.requested() => {
            telemetry.shutdown(FLUSH_TIMEOUT).await;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let service = match booted {
        Ok(service) => service,
        Err(error) => {
            tracing::error!(error = chain(error.as_ref()), "cannot start");
            telemetry.shutdown(FLUSH_TIMEOUT).await;
            return Err(Failure::Running(error));
        }
    };
    service.tell_ready(&settings, &telemetry, started);
    shutdown.requested().await;
    let ending = service.stop().await;
    Ok(finish(ending, &telemetry).await)
}

/// Who speaks in logs, traces and metrics.
pub fn identity(settings: &Settings) -> Identity {
    Identity {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: settings.environment,
    }
}

impl Service {
    /// Database (waiting for it), schema, listeners. Answers requests when it returns.
    pub async fn start(settings: &Settings, telemetry: &Telemetry) -> Result<Self, BoxError> {
        let metrics = telemetry.metrics();
        let database = Database::connect(&settings.database, telemetry).await?;
        let in_development = settings.environment == Environment::Development;
        if settings.database.migrate_on_start.unwrap_or(in_development) {
            migration::up(database.connection()).await?;
        }
        let health = Health::new(metrics);
        let watches =
            [watch_database(&health, &database), watch_schema(&health, &database, telemetry)];

        let ops = ops(settings, telemetry, &health, &database);
        let site = app::site(settings, telemetry, &database)?;
        let (site, ops_endpoint) = match settings.ops.addr {
            Some(address) => (site, Some((address, ops.boxed()))),
            None => (site.ops(ops), None),
        };
        let site = site.build(&settings.stack(), telemetry)?;
        let public = Server::bind(settings.server.addr, &settings.server).await?;
        let ops = match ops_endpoint {
            Some((address, endpoint)) => {
                let server = Server::bind(address, &settings.server).await?;
                Some(server.for_operators().serve(endpoint, telemetry))
            }
            None => None,
        };
        let public = public.serve(site, telemetry);
        health.started();
        health.settled().await;
        Ok(Self {
            database,
            health,
            public,
            ops,
            drain_delay: settings.server.drain_delay,
            drain_timeout: settings.server.drain_timeout,
            _watches: watches,
        })
    }

    /// Where the public listener is.
    pub fn address(&self) -> SocketAddr {
        self.public.address()
    }

    /// Where the operator's endpoints are.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.as_ref().map_or_else(|| self.address(), Running::address)
    }

    /// The state that the probes answer from.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Ends in order, but for telemetry, which must outlive the last phase.
    pub async fn stop(self) -> Ending {
        let Self { database, health, public, ops, drain_delay, drain_timeout, .. } = self;
        let mut ending = Ending::start();
        let delay = async {
            // In this order whoever sees it draining is also told to come back elsewhere.
            public.announce_end();
            health.start_draining();
            tokio::time::sleep(drain_delay).await;
            Outcome::Complete
        };
        ending.phase("not ready, still serving", delay).await;
        ending.phase("requests in flight", public.stop(drain_timeout)).await;
        if let Some(ops) = ops {
            // Probes and scrapes work to the last; nobody waits for them.
            ending.phase("operator's endpoints", ops.stop(Duration::ZERO)).await;
        }
        // A statement that was given up may still run in the database, and its connection waits for it.
        let close = async {
            match tokio::time::timeout(DATABASE_TIMEOUT, database.close()).await {
                Ok(()) => Outcome::Complete,
                Err(_) => Outcome::CutOff,
            }
        };
        ending.phase("database", close).await;
        ending
    }

    fn tell_ready(&self, settings: &Settings, telemetry: &Telemetry, started: Instant) {
        if settings.auth.mode == AuthMode::Off {
            tracing::warn!("auth.mode is off: every caller is an administrator");
        }
        let startup = started.elapsed();
        telemetry.metrics().startup_duration.set(startup.as_secs_f64());
        tracing::info!(
            address = %self.address(),
            ops.address = %self.ops_address(),
            database = self.database.system_name(),
            traces = telemetry.traces_target().map(ExportTarget::endpoint),
            logs = telemetry.logs_target().map(ExportTarget::endpoint),
            docs = settings.docs.enabled.then(|| format!("http://{}/docs", self.address())),
            startup_ms = u64::try_from(startup.as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
    }
}

async fn finish(mut ending: Ending, telemetry: &Telemetry) -> ExitCode {
    let flush = async {
        // Spans that a dead collector does not take are counted and logged; no request was cut off.
        telemetry.shutdown(FLUSH_TIMEOUT).await;
        Outcome::Complete
    };
    ending.phase("telemetry", flush).await;
    let code = ending.finish();
    // The last lines are written after everything that they tell of.
    telemetry.flush_lines(LAST_LINES_TIMEOUT).await;
    code
}

fn ops(settings: &Settings, telemetry: &Telemetry, health: &Health, database: &Database) -> Ops {
    let ops = Ops::new(&settings.ops, &identity(settings), telemetry.clone(), health.clone())
        .trusted_proxies(settings.server.trusted_proxies.clone());
    let database = database.clone();
    ops.before_scrape(move || database.refresh_pool_gauges())
}

fn watch_database(health: &Health, database: &Database) -> Watch {
    let database = database.clone();
    health.watch("database", move || {
        let database = database.clone();
        async move { database.ping().await }
    })
}

/// A schema that is behind makes the service not ready: its queries would fail.
fn watch_schema(health: &Health, database: &Database, telemetry: &Telemetry) -> Watch {
    let (database, gauge) =
        (database.clone(), telemetry.metrics().schema_migrations_pending.clone());
    health.watch("schema", move || {
        let (database, gauge) = (database.clone(), gauge.clone());
        async move {
            let pending = migration::pending(database.connection()).await;
            let pending = pending.map_err(|_| "the schema cannot be read".to_owned())?;
            gauge.set(i64::try_from(pending).unwrap_or(i64::MAX));
            match pending {
                0 => Ok(()),
                pending => Err(told_pending(pending)),
            }
        }
    })
}

/// How many migrations are pending, in words.
pub(crate) fn told_pending(count: usize) -> String {
    match count {
        1 => "1 migration is pending".to_owned(),
        count => format!("{count} migrations are pending"),
    }
}
