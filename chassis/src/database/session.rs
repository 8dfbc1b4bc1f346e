//! What happens to a connection besides statements: what the server is told when one is opened, which
//! are not handed out again, and what becomes of one that comes back while a statement still runs on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnectionMetadata;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, MySql, Postgres, Sqlite};
use tokio::time::timeout;

use super::reaper::Reaper;

/// A connection that was used within the last second is taken for alive: under load no statement
/// pays for a check, and one that finds out otherwise is answered 503 and may be repeated.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(1);
/// That check may take this long. Then the connection is given up, and there is time to open another.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// A released connection gets this long to end what was begun on it: a rollback takes no longer. What
/// takes longer was abandoned by its caller.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(250);
/// While a database is read-only every refused write would have all connections replaced.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// How the connections of one pool are treated.
pub(super) struct Session {
    /// One by one, because a server may know one of them and not the next.
    commands: Vec<String>,
    reaper: Option<Reaper>,
    born: Instant,
    /// Milliseconds from `born`; connections from before are replaced. 0 is never.
    renewed: AtomicU64,
    /// Milliseconds from `born`; connections that were used last before it are asked whether they are
    /// alive. 0 is never.
    suspected: AtomicU64,
}

/// A kind of database, with what it wants to be told first.
pub(super) trait Kind: sqlx::Database {
    fn open<'c>(
        session: &'c Session,
        connection: &'c mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send + 'c;
}

impl Session {
    pub(super) fn new(
        system_name: &str,
        statement_timeout: Duration,
        reaper: Option<Reaper>,
    ) -> Self {
        let commands = commands(system_name, statement_timeout);
        let [renewed, suspected] = [(); 2].map(|()| AtomicU64::new(0));
        Self { commands, reaper, born: Instant::now(), renewed, suspected }
    }

    /// Tells the server what it is to know of a new connection.
    async fn tell<C>(&self, connection: &mut C) -> Result<(), sqlx::Error>
    where
        C: Connection,
        for<'e> &'e mut C: Executor<'e, Database = C::Database>,
    {
        for command in &self.commands {
            tolerate(connection.execute(AssertSqlSafe(command.clone())).await)?;
        }
        Ok(())
    }

    /// Whether an idle connection may be handed out.
    pub(super) async fn is_usable<C: Connection>(
        &self,
        connection: &mut C,
        meta: &PoolConnectionMetadata,
    ) -> Result<bool, sqlx::Error> {
        if self.is_from_before(&self.renewed, meta.age) {
            return Ok(false);
        }
        if meta.idle_for >= CHECK_AFTER_IDLE || self.is_from_before(&self.suspected, meta.idle_for)
        {
            let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
            timeout(CHECK_TIMEOUT, connection.ping()).await.map_err(silent)??;
        }
        Ok(true)
    }

    /// Returns where a released connection may go back to the pool. One whose statement was abandoned
    /// may not: it would be waited for, and the server learns from the closed connection to end it.
    pub(super) async fn settle<C: Connection>(&self, connection: &mut C) {
        // Takes in what is outstanding; where nothing is, it asks nothing of the server.
        match timeout(SETTLE_TIMEOUT, connection.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => drop_connection(),
            Err(_) => {
                if let Some(reaper) = &self.reaper {
                    reaper.wake();
                }
                drop_connection()
            }
        }
    }

    /// From now on connections that were opened before are replaced when their turn comes.
    pub(super) fn renew(&self) {
        let now = self.now();
        let last = self.renewed.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) >= millis(RENEWAL_PAUSE) {
            self.renewed.store(now, Ordering::Relaxed);
        }
    }

    /// A connection has broken: those that were idle then are asked before they are used again.
    pub(super) fn suspect(&self) {
        self.suspected.store(self.now(), Ordering::Relaxed);
    }

    /// Rounded up: what happened in this very millisecond is before it.
    fn now(&self) -> u64 {
        millis(self.born.elapsed()) + 1
    }

    /// Whether something that began so long ago began before `moment`.
    fn is_from_before(&self, moment: &AtomicU64, ago: Duration) -> bool {
        match moment.load(Ordering::Relaxed) {
            0 => false,
            moment => {
                let since = self.born.elapsed().saturating_sub(Duration::from_millis(moment));
                ago > since
            }
        }
    }
}

impl Kind for Postgres {
    async fn open<'c>(
        session: &'c Session,
        connection: &'c mut Self::Connection,
    ) -> Result<(), sqlx::Error> {
        session.tell(connection).await
    }
}

impl Kind for MySql {
    async fn open<'c>(
        session: &'c Session,
        connection: &'c mut Self::Connection,
    ) -> Result<(), sqlx::Error> {
        session.tell(connection).await?;
        match &session.reaper {
            Some(reaper) => tolerate(reaper.learn(connection).await),
            None => Ok(()),
        }
    }
}

impl Kind for Sqlite {
    async fn open<'c>(_: &'c Session, _: &'c mut Self::Connection) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

/// Closes a connection from within `after_release` by ending the task that has it, which sqlx starts for
/// this alone. To say "close it" would not do: sqlx closes with a farewell, and behind TLS waits for
/// the server to say something (`poll_flush` reads when there is nothing to write), which this one
/// does not. No panic hook runs, and nothing is logged.
pub(super) fn drop_connection() -> ! {
    std::panic::resume_unwind(Box::new("a connection was given up"))
}

/// What a server is told of each connection. Not in the start-up message, where `PgBouncer` and servers
/// that do not know a parameter would refuse the whole connection.
fn commands(system_name: &str, statement_timeout: Duration) -> Vec<String> {
    let (millis, seconds) = (millis(statement_timeout), statement_timeout.as_secs_f64());
    let bound = match system_name {
        "postgresql" => format!("SET statement_timeout = {millis}"),
        "mariadb" => format!("SET SESSION max_statement_time = {seconds}"),
        "mysql" => format!("SET SESSION max_execution_time = {millis}"),
        _ => return Vec::new(),
    };
    let mut commands = Vec::new();
    if system_name == "postgresql" {
        // Since PostgreSQL 14: a statement whose client is gone ends within a second.
        commands.push("SET client_connection_check_interval = 1000".to_owned());
    }
    if !statement_timeout.is_zero() {
        commands.push(bound);
    }
    commands
}

/// A server that does not know a command can do without.
fn tolerate<T>(result: Result<T, sqlx::Error>) -> Result<(), sqlx::Error> {
    match result {
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_replaces_what_was_opened_before_it_and_comes_rarely() {
        let session = Session::new("sqlite", Duration::ZERO, None);
        let hour = Duration::from_hours(1);
        let is_outdated = |age| session.is_from_before(&session.renewed, age);
        assert!(!is_outdated(hour));
        session.renew();
        assert!(is_outdated(hour));
        assert!(!is_outdated(Duration::ZERO));
        let renewed = session.renewed.load(Ordering::Relaxed);
        session.renew();
        assert_eq!(session.renewed.load(Ordering::Relaxed), renewed);
    }

    #[test]
    fn each_product_is_told_its_bound_in_its_words() {
        let bound = |product| commands(product, Duration::from_millis(1500)).pop();
        assert_eq!(bound("postgresql").as_deref(), Some("SET statement_timeout = 1500"));
        assert_eq!(bound("mariadb").as_deref(), Some("SET SESSION max_statement_time = 1.5"));
        assert_eq!(bound("mysql").as_deref(), Some("SET SESSION max_execution_time = 1500"));
        assert_eq!(bound("sqlite"), None);
        assert_eq!(commands("mariadb", Duration::ZERO), Vec::<String>::new());
    }
}
