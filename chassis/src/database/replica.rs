//! A read replica: used while it answers, and left alone while it does not.
//!
//! One probe at a time, on the connection beside the replica's pool, decides whether it is in use. A read that the
//! replica cannot answer goes to the primary, and so does one that waits on the replica when the probe
//! finds it gone: no request waits longer for a dead replica than the probe needs to find out.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::IntGauge;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, info, warn};

use super::Database;
use super::error::is_unavailable;
use crate::telemetry::Telemetry;

/// The name of its pool.
pub(super) const POOL: &str = "replica";
/// A read waits no longer for a connection to the replica, and a probe no longer for an answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// Reads that fail call for a probe at once, but not for one each.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// With the pause and one probe's patience less than a second: so much later than within `acquire_timeout`
/// a read is answered that comes to the primary from a replica, when both hang.
const PROBE_INTERVAL: Duration = Duration::from_millis(350);

/// While the replica is not in use nobody waits for the probe, and it may open a connection.
const PATIENCE_MEANWHILE: Duration = Duration::from_secs(2);
/// A replica in use is checked no more often, but for reads that fail; a sign of life is asked each time.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The replica of a [`Database`], with its own pool.
pub(super) struct Replica {
    pub(super) database: Database,
    in_use: watch::Sender<bool>,
    gauge: IntGauge,
    /// Where its lines go.
    dispatch: Dispatch,
    /// A read has failed.
    doubted: Notify,
}

/// Probes the replica; when this is dropped, all reads go to the primary.
#[must_use = "the replica is not used after the handle is dropped"]
pub struct ReplicaWatch {
    replica: Arc<Replica>,
    probing: JoinHandle<()>,
}

/// For reading what may be a moment old: asks the replica while it is in use, else the primary. What
/// writes goes to the primary. For one request; see [`may_lag`](Self::may_lag).
pub struct Reader<'a> {
    primary: &'a Database,
    of_primary: bool,
    lags: AtomicBool,
}

impl Replica {
    pub(super) fn new(database: Database, telemetry: &Telemetry) -> Self {
        let gauge = telemetry.metrics().db_replica_in_use.clone();
        gauge.set(0);
        Self {
            database,
            in_use: watch::Sender::new(false),
            gauge,
            dispatch: telemetry.dispatch(),
            doubted: Notify::new(),
        }
    }

    /// What the replica answers, unless it is not in use, cannot, or goes away meanwhile.
    async fn attempt<T>(
        &self,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Option<Result<T, DbErr>> {
        let mut in_use = self.in_use.subscribe();
        if !*in_use.borrow_and_update() {
            return None;
        }
        tokio::select! {
            biased;
            answer = work => match answer {
                Err(error) if is_unavailable(&error) => {
                    self.doubted.notify_one();
                    None
                }
                answer => Some(answer),
            },
            _ = in_use.wait_for(|in_use| !in_use) => None,
        }
    }

    /// Asks for a sign of life, then `check` if there is one; neither is measured, as no request asked.
    async fn ask<C, E>(
        &self,
        check: Option<impl FnOnce(DatabaseConnection) -> C>,
        patience: Duration,
    ) -> Result<(), String>
    where
        C: Future<Output = Result<(), E>>,
        E: Display,
    {
        let asked = async {
            self.database.ping().await.map_err(|error| error.to_string())?;
            match check {
                Some(check) => {
                    let checked = check(self.database.health_connection().clone()).await;
                    checked.map_err(|error| error.to_string())
                }
                None => Ok(()),
            }
        };
        let answer = timeout(patience, asked.with_subscriber(Dispatch::none())).await;
        answer.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// Whether reads go to the replica from now on; `first` when nothing has been told of it yet.
    fn decide(&self, answer: Result<(), String>, first: bool) {
        let in_use = answer.is_ok();
        let changed = self.set(in_use);
        match answer {
            Ok(()) if changed => info!("reads go to the replica"),
            Err(reason) if changed || first => {
                warn!(reason, "the replica is gone: reads go to the primary");
            }
            _ => {}
        }
    }

    fn set(&self, in_use: bool) -> bool {
        self.gauge.set(in_use.into());
        self.in_use.send_if_modified(|before| std::mem::replace(before, in_use) != in_use)
    }
}

impl ReplicaWatch {
    /// Asks once, then in the background.
    pub(super) async fn start<F, C, E>(replica: Arc<Replica>, check: F) -> Self
    where
        F: Fn(DatabaseConnection) -> C + Send + Sync + 'static,
        C: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let dispatch = replica.dispatch.clone();
        let first = async { replica.decide(replica.ask(Some(&check), PATIENCE).await, true) };
        first.with_subscriber(dispatch.clone()).await;
        let probed = Arc::clone(&replica);
        let probing = async move {
            let mut checked = Instant::now();
            loop {
                sleep(PROBE_PAUSE).await;
                let doubted = tokio::select! {
                    () = sleep(PROBE_INTERVAL) => false,
                    () = probed.doubted.notified() => true,
                };
                let in_use = *probed.in_use.borrow();
                let check_now = doubted || !in_use || checked.elapsed() >= CHECK_INTERVAL;
                if check_now {
                    checked = Instant::now();
                }
                let patience = if in_use { PATIENCE } else { PATIENCE_MEANWHILE };
                let answer = probed.ask(check_now.then_some(&check), patience).await;
                probed.decide(answer, false);
            }
        };
        Self { replica, probing: tokio::spawn(probing.with_subscriber(dispatch)) }
    }
}

impl Drop for ReplicaWatch {
    fn drop(&mut self) {
        self.probing.abort();
        self.replica.set(false);
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(primary: &'a Database) -> Self {
        Self { primary, of_primary: false, lags: AtomicBool::new(false) }
    }

    /// Of the primary alone, where what is read must not lag.
    #[must_use]
    pub fn of_primary(self) -> Self {
        Self { of_primary: true, ..self }
    }

    /// Whether the next statement goes to a replica.
    pub fn asks_replica(&self) -> bool {
        self.replica().is_some_and(|replica| *replica.in_use.borrow())
    }

    /// Whether any answer so far came from the replica. Where such an answer would be wrong, and not
    /// only old, ask the [`Database`] before you give it: for what was not found, for instance.
    pub fn may_lag(&self) -> bool {
        self.lags.load(Ordering::Relaxed)
    }

    fn replica(&self) -> Option<&'a Replica> {
        self.primary.replica.as_deref().filter(|_| !self.of_primary)
    }

    fn answered<T>(&self, answer: Result<T, DbErr>) -> Result<T, DbErr> {
        self.lags.store(true, Ordering::Relaxed);
        answer
    }
}

#[async_trait]
impl ConnectionTrait for Reader<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.primary.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.primary.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.primary.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        if let Some(replica) = self.replica() {
            let work = replica.database.query_one_raw(statement.clone());
            if let Some(answer) = replica.attempt(work).await {
                return self.answered(answer);
            }
        }
        self.primary.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if let Some(replica) = self.replica() {
            let work = replica.database.query_all_raw(statement.clone());
            if let Some(answer) = replica.attempt(work).await {
                return self.answered(answer);
            }
        }
        self.primary.query_all_raw(statement).await
    }
}
