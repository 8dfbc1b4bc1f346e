//! The pool of connections: its size, how it keeps them usable, and its metrics.
//!
//! The driver offers no figure for the time that callers wait. But it calls us in the caller's own
//! task, just before it hands out a connection: there the wait ends, and [`Pool::timed`] says
//! where it began. It ends at a usable connection, so opening a new one is part of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter, IntGauge};
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::{DatabaseConnection, DbBackend};

use super::session::{Kind, Session};
use crate::telemetry::Metrics;

/// A connection lives no longer, so that a rotated password, a new certificate or a server that joined
/// behind a name reaches all of them within half an hour.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

tokio::task_local! {
    static ASKED_AT: Instant;
}

/// Limits and metrics of the pool. The connections are in sea-orm's `DatabaseConnection`.
pub(super) struct Pool {
    max_connections: u32,
    acquire_timeout: Duration,
    session: Arc<Session>,
    wait: Histogram,
    timeouts: IntCounter,
    idle: IntGauge,
    used: IntGauge,
}

impl Pool {
    pub(super) fn new(
        name: &'static str,
        max_connections: u32,
        acquire_timeout: Duration,
        session: Session,
        metrics: &Metrics,
    ) -> Self {
        let pool = Self {
            max_connections,
            acquire_timeout,
            session: Arc::new(session),
            wait: metrics.db_connection_wait.with_label_values(&[name]),
            timeouts: metrics.db_connection_timeouts.with_label_values(&[name]),
            idle: metrics.db_connections.with_label_values(&[name, "idle"]),
            used: metrics.db_connections.with_label_values(&[name, "used"]),
        };
        metrics.db_connections_max.with_label_values(&[name]).set(max_connections.into());
        pool
    }

    pub(super) fn options<DB: Kind>(&self) -> PoolOptions<DB> {
        let (reused, opened) = (self.wait.clone(), self.wait.clone());
        let sessions = [(); 3].map(|()| Arc::clone(&self.session));
        let [acquiring, opening, releasing] = sessions;
        PoolOptions::<DB>::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .max_lifetime(MAX_LIFETIME)
            .test_before_acquire(false)
            .before_acquire(move |connection: &mut DB::Connection, meta| {
                let (wait, session) = (reused.clone(), Arc::clone(&acquiring));
                Box::pin(async move {
                    let usable = session.is_usable(connection, &meta).await?;
                    if usable {
                        end_wait(&wait);
                    }
                    Ok(usable)
                })
            })
            .after_connect(move |connection, _| {
                let (wait, session) = (opened.clone(), Arc::clone(&opening));
                Box::pin(async move {
                    DB::open(&session, connection).await?;
                    end_wait(&wait);
                    Ok(())
                })
            })
            .after_release(move |connection, _| {
                let session = Arc::clone(&releasing);
                Box::pin(async move {
                    session.settle(connection).await;
                    Ok(true)
                })
            })
    }

    /// For connections that no server, proxy or firewall closes.
    pub(super) fn lasting<DB: Kind>(&self) -> PoolOptions<DB> {
        self.options().idle_timeout(None).max_lifetime(None)
    }

    /// Runs `work` so that a wait for a connection in it is measured.
    pub(super) async fn timed<T>(&self, work: impl Future<Output = T>) -> T {
        ASKED_AT.scope(Instant::now(), work).await
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
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
