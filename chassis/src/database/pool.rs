//! The pool of connections: its size, how it keeps them usable, and its metrics.
//!
//! The driver offers no figure for the time that callers wait. But it calls us in the caller's own
//! task, just before it hands out a connection: there the wait ends, and [`Pool::timed`] says
//! where it began. It ends at a usable connection, so opening a new one is part of it.

use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter, IntGauge};
use sea_orm::sqlx::{self, Connection, pool::PoolOptions};
use sea_orm::{DatabaseConnection, DbBackend};

use super::settings::DatabaseSettings;
use crate::telemetry::Metrics;

/// There is one pool; a replica's would have another name.
const NAME: &str = "primary";
/// A connection that was used within the last second is taken for alive: under load no statement
/// pays for a check, and one that finds out otherwise is answered 503 and may be repeated.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(1);

tokio::task_local! {
    static ASKED_AT: Instant;
}

/// Limits and metrics of the pool. The connections are in sea-orm's `DatabaseConnection`.
pub(super) struct Pool {
    max_connections: u32,
    acquire_timeout: Duration,
    wait: Histogram,
    timeouts: IntCounter,
    idle: IntGauge,
    used: IntGauge,
}

impl Pool {
    pub(super) fn new(
        settings: &DatabaseSettings,
        max_connections: u32,
        metrics: &Metrics,
    ) -> Self {
        let pool = Self {
            max_connections,
            acquire_timeout: settings.acquire_timeout,
            wait: metrics.db_connection_wait.with_label_values(&[NAME]),
            timeouts: metrics.db_connection_timeouts.with_label_values(&[NAME]),
            idle: metrics.db_connections.with_label_values(&[NAME, "idle"]),
            used: metrics.db_connections.with_label_values(&[NAME, "used"]),
        };
        metrics.db_connections_max.with_label_values(&[NAME]).set(max_connections.into());
        pool
    }

    pub(super) fn name() -> &'static str {
        NAME
    }

    pub(super) fn options<DB: sqlx::Database>(&self) -> PoolOptions<DB> {
        let (reused, opened) = (self.wait.clone(), self.wait.clone());
        PoolOptions::<DB>::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(move |connection: &mut DB::Connection, meta| {
                let wait = reused.clone();
                Box::pin(async move {
                    if meta.idle_for >= CHECK_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    end_wait(&wait);
                    Ok(true)
                })
            })
            .after_connect(move |_, _| {
                end_wait(&opened);
                Box::pin(async { Ok(()) })
            })
    }

    /// For connections that no server, proxy or firewall closes.
    pub(super) fn lasting<DB: sqlx::Database>(&self) -> PoolOptions<DB> {
        self.options().idle_timeout(None).max_lifetime(None)
    }

    /// Runs `work` so that a wait for a connection in it is measured.
    pub(super) async fn timed<T>(&self, work: impl Future<Output = T>) -> T {
        ASKED_AT.scope(Instant::now(), work).await
    }

    pub(super) fn count_timeout(&self) {
        self.timeouts.inc();
    }

    pub(super) fn refresh_gauges(&self, connection: &DatabaseConnection) {
        let (size, idle) = size_and_idle(connection);
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(size);
        self.idle.set(idle.into());
        self.used.set((size - idle).into());
    }
}

/// Connections that the pool opens by itself, in nobody's name, are no wait.
fn end_wait(wait: &Histogram) {
    let _ = ASKED_AT.try_with(|asked_at| wait.observe(asked_at.elapsed().as_secs_f64()));
}

fn size_and_idle(connection: &DatabaseConnection) -> (u32, usize) {
    match connection.get_database_backend() {
        DbBackend::Sqlite => {
            let pool = connection.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        }
        DbBackend::Postgres => {
            let pool = connection.get_postgres_connection_pool();
            (pool.size(), pool.num_idle())
        }
        DbBackend::MySql => {
            let pool = connection.get_mysql_connection_pool();
            (pool.size(), pool.num_idle())
        }
        // sea-orm leaves room for kinds of databases that `Target` does not open.
        _ => (0, 0),
    }
}
