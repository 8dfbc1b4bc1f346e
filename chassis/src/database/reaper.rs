//! Ends statements that nobody waits for on MariaDB, which goes on with them when their connection is
//! closed. The driver does not say which of the server's connections runs what. But it is known how
//! long each statement has run that somebody waits for: one of ours that runs longer is an orphan.
//!
//! It is killed by its own number, so that a later statement of the same connection is never hit.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::replace;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, MySqlConnection, Row};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use tokio::time::{sleep, timeout};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, info};

use super::lifeline::{Lifeline, WeakLifeline};

/// Between what the server measures and what is measured here.
const SLACK: Duration = Duration::from_millis(100);
/// While others run longer an orphan cannot be told from them. Beyond these attempts since the last
/// was abandoned it is left to `database.statement_timeout`.
const ATTEMPTS: u32 = 10;
/// A look takes milliseconds, and must not keep the connection from those who ask for signs of life.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(1);
/// Connections that are remembered; closed ones among them are forgotten at the next look.
const REMEMBERED: usize = 1024;

const OWN: &str = "SELECT ID, HOST FROM information_schema.processlist WHERE ID = CONNECTION_ID()";
const RUNNING: &str = "SELECT ID, HOST, COMMAND, QUERY_ID, CAST(TIME_MS AS SIGNED) AS RUNNING_MS, \
     ID = CONNECTION_ID() AS OWN \
     FROM information_schema.processlist";

/// Knows the connections of one pool and the statements that are waited for. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reaper(Arc<Inner>);

struct Inner {
    /// Who wakes it has none: tasks of sqlx.
    dispatch: Dispatch,
    connections: Mutex<BTreeMap<i64, Known>>,
    waited_for: Mutex<BTreeMap<u64, Instant>>,
    counter: AtomicU64,
    /// Weak: it leads to the pool, whose connections lead here.
    lifeline: OnceLock<WeakLifeline>,
    search: Mutex<Search>,
}

/// What is looked for, and for how long yet.
#[derive(Default)]
struct Search {
    abandoned: usize,
    attempts: u32,
    is_running: bool,
}

/// A connection, beside its id.
struct Known {
    /// The client's address tells it from another of the same id after the server was restarted.
    host: String,
    since: Instant,
}

/// A statement that somebody waits for, until it is dropped.
pub(super) struct Awaited {
    reaper: Reaper,
    number: u64,
}

struct Process {
    id: i64,
    host: String,
    /// It is the one that looks.
    is_looking: bool,
    is_running: bool,
    query: i64,
    time: Duration,
}

impl Reaper {
    /// Speaks to this subscriber.
    pub(super) fn new(dispatch: Dispatch) -> Self {
        Self(Arc::new(Inner {
            dispatch,
            connections: Mutex::default(),
            waited_for: Mutex::default(),
            counter: AtomicU64::default(),
            lifeline: OnceLock::new(),
            search: Mutex::default(),
        }))
    }

    /// The connection to look and to kill by.
    pub(super) fn work_by(&self, lifeline: &Lifeline) {
        // Set once, before the first statement.
        let _ = self.0.lifeline.set(lifeline.downgrade());
    }

    /// Remembers a new connection of the pool.
    pub(super) async fn learn(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let row = sqlx::query(OWN).fetch_one(connection).await?;
        let mut connections = lock(&self.0.connections);
        if connections.len() >= REMEMBERED {
            connections.pop_first();
        }
        let known = Known { host: row.try_get(1)?, since: Instant::now() };
        connections.insert(row.try_get(0)?, known);
        Ok(())
    }

    /// From now until the result is dropped somebody waits for a statement.
    pub(super) fn awaited(&self) -> Awaited {
        let number = self.0.counter.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.waited_for).insert(number, Instant::now());
        Awaited { reaper: self.clone(), number }
    }

    /// A statement was abandoned: it is looked for, by one for all.
    pub(super) fn wake(&self) {
        if !lock(&self.0.search).add() {
            return;
        }
        let reaper = self.clone();
        let dispatch = self.0.dispatch.clone();
        tokio::spawn(async move { reaper.reap().await }.with_subscriber(dispatch));
    }

    async fn reap(&self) {
        while lock(&self.0.search).goes_on() {
            let lifeline = self.0.lifeline.get().and_then(WeakLifeline::upgrade);
            let Some(lifeline) = lifeline else {
                return;
            };
            let look = self.kill_orphans(&lifeline).with_subscriber(Dispatch::none());
            // Who cannot look may be able to a moment later.
            if let Ok(Ok(killed @ 1..)) = timeout(LOOK_TIMEOUT, look).await {
                info!(killed, "abandoned statements were ended");
                lock(&self.0.search).take_off(killed);
            }
            drop(lifeline);
            sleep(PAUSE).await;
        }
    }

    async fn kill_orphans(&self, lifeline: &Lifeline) -> Result<usize, DbErr> {
        let connection = lifeline.connection();
        let asked = Instant::now();
        let oldest = lock(&self.0.waited_for).values().next().copied().unwrap_or(asked);
        let rows = connection.query_all_raw(statement(RUNNING.to_owned())).await?;
        let longest = oldest.elapsed() + SLACK;
        let processes = rows.iter().map(process).collect::<Result<Vec<_>, _>>()?;
        let mut ours = self.ours(&processes, asked)?;
        ours.retain(|process| process.is_running && process.time > longest);
        let mut killed = 0;
        for Process { query, .. } in ours {
            // One that has ended meanwhile cannot be killed: no harm.
            let kill = statement(format!("KILL QUERY ID {query}"));
            killed += usize::from(connection.execute_raw(kill).await.is_ok());
        }
        Ok(killed)
    }

    /// Those on connections of the pool; forgets connections that were gone when it was asked.
    /// An answer without the connection that looks is none: by it all would be forgotten.
    fn ours<'p>(
        &self,
        processes: &'p [Process],
        asked: Instant,
    ) -> Result<Vec<&'p Process>, DbErr> {
        if !processes.iter().any(|process| process.is_looking) {
            return Err(DbErr::Custom("the list of processes is not whole".to_owned()));
        }
        let mut connections = lock(&self.0.connections);
        let is_ours = |process: &&Process| {
            connections.get(&process.id).is_some_and(|known| known.host == process.host)
        };
        let ours: Vec<_> = processes.iter().filter(is_ours).collect();
        let ids: BTreeSet<i64> = ours.iter().map(|process| process.id).collect();
        connections.retain(|id, known| ids.contains(id) || known.since > asked);
        Ok(ours)
    }
}

impl Search {
    /// One more was abandoned. Whether somebody has to begin with the search.
    fn add(&mut self) -> bool {
        self.abandoned += 1;
        self.attempts = ATTEMPTS;
        !replace(&mut self.is_running, true)
    }

    /// Whether to look again; with "no" the search is over.
    fn goes_on(&mut self) -> bool {
        if self.abandoned == 0 || self.attempts == 0 {
            *self = Self::default();
        } else {
            self.attempts -= 1;
        }
        self.is_running
    }

    fn take_off(&mut self, killed: usize) {
        self.abandoned = self.abandoned.saturating_sub(killed);
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        lock(&self.reaper.0.waited_for).remove(&self.number);
    }
}

/// Text protocol: kept nowhere as a prepared statement.
fn statement(sql: String) -> Statement {
    Statement::from_string(DbBackend::MySql, sql)
}

fn process(row: &QueryResult) -> Result<Process, DbErr> {
    let command: String = row.try_get("", "COMMAND")?;
    let millis: i64 = row.try_get("", "RUNNING_MS")?;
    Ok(Process {
        id: row.try_get("", "ID")?,
        host: row.try_get("", "HOST")?,
        is_looking: row.try_get::<i64>("", "OWN")? == 1,
        is_running: matches!(command.as_str(), "Query" | "Execute"),
        query: row.try_get("", "QUERY_ID")?,
        time: Duration::from_millis(u64::try_from(millis).unwrap_or_default()),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_for_all_that_were_abandoned_since_it_began() {
        let mut search = Search::default();
        assert!(search.add());
        assert!(search.goes_on());
        assert!(!search.add(), "somebody looks already");
        search.take_off(1);
        assert!(search.goes_on(), "the other one still runs");
        search.take_off(1);
        assert!(!search.goes_on());
        assert!(search.add(), "the next one has to begin anew");
    }

    #[test]
    fn a_search_for_what_is_not_found_ends() {
        let mut search = Search::default();
        search.add();
        assert!(search.goes_on());
        search.add();
        for _ in 0..ATTEMPTS {
            assert!(search.goes_on());
        }
        assert!(!search.goes_on());
        assert!(search.add());
    }

    #[test]
    fn an_answer_without_the_one_who_looks_makes_nothing_forgotten() {
        let reaper = Reaper::new(Dispatch::none());
        let known = Known { host: "a:1".to_owned(), since: Instant::now() };
        lock(&reaper.0.connections).insert(7, known);
        assert!(reaper.ours(&[], Instant::now()).is_err());
        assert_eq!(lock(&reaper.0.connections).len(), 1);
        let looking = Process {
            id: 8,
            host: "a:2".to_owned(),
            is_looking: true,
            is_running: true,
            query: 1,
            time: Duration::ZERO,
        };
        assert!(reaper.ours(&[looking], Instant::now()).is_ok_and(|ours| ours.is_empty()));
        assert!(lock(&reaper.0.connections).is_empty());
    }
}
