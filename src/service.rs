//! The life of the service: boot in the order that things need each other, and the way out in reverse.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use belvedere_migration::{self as migration, MigrationState, MigrationStatus};
use chassis::database::{Database, ReplicaWatch};
use chassis::health::{Health, Watch};
use chassis::http::ops::Ops;
use chassis::lifecycle::{Ending, Outcome, Shutdown};
use chassis::problem::chain;
use chassis::recurring::Recurring;
use chassis::server::{Running, Server};
use chassis::settings::{Environ, Environment};
use chassis::telemetry::target::ExportTarget;
use chassis::telemetry::{Identity, Telemetry};
use poem::EndpointExt;
use sea_orm::DatabaseConnection;

use crate::app;
use crate::auth::AuthMode;
use crate::auth::attempts::Attempts;
use crate::failure::Failure;
use crate::idempotency::Idempotency;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::users::outdated;

/// Flushing telemetry ends within five seconds also when the collector hangs; the last lines take the rest.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(4500);

/// Closing connections takes milliseconds, but for those whose statement hangs in the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// For the two lines that follow; a terminal that is stopped must not keep the process.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(500);

/// What has expired is as good as gone; it only takes up room.
const CLEAN_UP_PAUSE: Duration = Duration::from_mins(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service that answers requests.
pub struct Service {
    database: Database,
    health: Health,
    public: Running,
    ops: Option<Running>,
    drain_delay: Duration,
    drain_timeout: Duration,
    background: Background,
}

/// What asks the database without being asked; ends with its handles.
type Background = ([Watch; 2], Option<ReplicaWatch>, [Recurring; 4]);

/// Runs the service until a signal asks it to end.
pub async fn run(
    settings: Settings,
    environ: Environ,
    started: Instant,
) -> Result<ExitCode, Failure> {
    let telemetry =
        Telemetry::start(&identity(&settings), &settings.log, &settings.tracing, &environ)?;
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

        let replica = database.watch_replica(check_replica).await;

        // Before the first scrape, which is to find the gauge.
        let outdated = outdated::count_every_hour(&database, &settings.password, metrics)?;
        let ops = ops(settings, telemetry, &health, &database);
        let site = app::site(settings, telemetry, &database)?;
        let (site, ops_endpoint) = match settings.ops.addr {
            Some(address) => (site, Some((address, ops.boxed()))),
            None => (site.ops(ops), None),
        };
        let site = site.build(&settings.stack(), telemetry)?;
        let public = Server::bind(settings.server.addr, &settings.server).await?;
        let public = public.with_tls(&settings.server)?;
        let ops = match ops_endpoint {
            Some((address, endpoint)) => {
                let server = Server::bind(address, &settings.server).await?;
                Some(server.for_operators().serve(endpoint, telemetry))
            }
            None => None,
        };
        let public = public.serve(site, telemetry);
        let keys = Idempotency::new(database.clone(), settings.server.request_timeout);
        let sessions = Sessions::new(database.clone(), settings.auth.lifetimes());
        let attempts = Attempts::new(database.clone());
        let recurring = [
            keys.clean_up_every(CLEAN_UP_PAUSE),
            sessions.clean_up_every(CLEAN_UP_PAUSE),
            attempts.clean_up_every(CLEAN_UP_PAUSE),
            outdated,
        ];
        health.started();
        health.settled().await;
        Ok(Self {
            database,
            health,
            public,
            ops,
            drain_delay: settings.server.drain_delay,
            drain_timeout: settings.server.drain_timeout,
            background: (watches, replica, recurring),
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
        let Self { database, health, public, ops, drain_delay, drain_timeout, background } = self;
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
        drop(background);
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
        if let Some(limit) = settings.password.exceeded_limit(Path::new("/")) {
            let needed = settings.password.memory();
            tracing::warn!(needed, limit, "hashing may take more than half of the memory limit");
        }
        let scheme = if settings.server.serves_tls() { "https" } else { "http" };
        let startup = started.elapsed();
        telemetry.metrics().startup_duration.set(startup.as_secs_f64());
        tracing::info!(
            address = %self.address(),
            ops.address = %self.ops_address(),
            database = self.database.system_name(),
            traces = telemetry.traces_target().map(ExportTarget::endpoint),
            logs = telemetry.logs_target().map(ExportTarget::endpoint),
            docs = settings.docs.enabled.then(|| format!("{scheme}://{}/docs", self.address())),
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
        .clients(settings.server.clients());
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

/// A schema that is behind makes the service not ready: its queries would fail. One that is ahead is
/// told once; it is what a version meets that is being replaced, or came back.
fn watch_schema(health: &Health, database: &Database, telemetry: &Telemetry) -> Watch {
    let (database, gauge) =
        (database.clone(), telemetry.metrics().schema_migrations_pending.clone());
    let told_ahead = Arc::new(Mutex::new(None));
    health.watch("schema", move || {
        let (database, gauge, told_ahead) = (database.clone(), gauge.clone(), told_ahead.clone());
        async move {
            let status = migration::status(database.health_connection()).await;
            let status = status.map_err(|_| "the schema cannot be read".to_owned())?;
            let of = |state| status.iter().filter(move |step| step.state == state);
            tell_ahead(&told_ahead, of(MigrationState::Unknown).next_back());
            let pending = of(MigrationState::Pending).count();
            gauge.set(i64::try_from(pending).unwrap_or(i64::MAX));
            match pending {
                0 => Ok(()),
                pending => Err(told_pending(pending)),
            }
        }
    })
}

/// Says so when the latest step of a newer version is another than before.
fn tell_ahead(told: &Mutex<Option<MigrationStatus>>, latest: Option<&MigrationStatus>) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(step) = latest.filter(|step| told.as_ref() != Some(*step)) {
        tracing::info!(migration.name = step.name, "the schema is ahead of this version");
    }
    *told = latest.cloned();
}

/// A replica that has not got the schema yet could not answer.
async fn check_replica(replica: DatabaseConnection) -> Result<(), String> {
    let pending = migration::pending(&replica).await;
    match pending.map_err(|_| "the schema cannot be read".to_owned())? {
        0 => Ok(()),
        pending => Err(told_pending(pending)),
    }
}

/// How many migrations are pending, in words.
pub(crate) fn told_pending(count: usize) -> String {
    match count {
        1 => "1 migration is pending".to_owned(),
        count => format!("{count} migrations are pending"),
    }
}
