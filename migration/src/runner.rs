//! Runs steps: those of this service through the functions of the crate, any others through [`Runner`].

use std::marker::PhantomData;
use std::time::{Duration, Instant, SystemTime};

use sea_orm_migration::IntoSchemaManagerConnection;
use sea_orm_migration::prelude::{
    Expr, ExprTrait, MigrationTrait, MigratorTrait, Query, SchemaManager,
};
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use sea_orm_migration::seaql_migrations::Column;
use tracing::field::Empty;
use tracing::{Instrument, Span, error, info, info_span};

use crate::lock::Lock;
use crate::{MigrationError, MigrationState, MigrationStatus, reason};

/// A migration of a large table takes its time; whoever waits longer than this may fail, be started
/// again and wait once more.
const PATIENCE: Duration = Duration::from_mins(5);

/// Applies and reverts the steps of `M` on one database.
pub struct Runner<M> {
    db: DatabaseConnection,
    patience: Duration,
    steps: PhantomData<fn() -> M>,
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

impl<M: MigratorTrait> Runner<M> {
    /// On this database. The steps run on a connection of their own beside the pool's, but for SQLite.
    pub fn new(db: &DatabaseConnection) -> Self {
        Self { db: db.clone(), patience: PATIENCE, steps: PhantomData }
    }

    /// How long to wait for another process that migrates; five minutes without this.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Applies what is pending and names it. Any number of processes may call this at once: each step is
    /// applied by one of them, and when a call returns, all are.
    pub async fn up(&self) -> Result<Vec<String>, MigrationError> {
        // Most starts find nothing to do, and need no lock to see it.
        if self.pending().await? == 0 {
            return Ok(Vec::new());
        }
        let lock = Lock::acquire(&self.db, self.patience).await?;
        let result = self.apply_pending(&lock).await;
        lock.release().await;
        result
    }

    /// Reverts the last `steps` applied migrations and names them, latest first.
    pub async fn down(&self, steps: usize) -> Result<Vec<String>, MigrationError> {
        let lock = Lock::acquire(&self.db, self.patience).await?;
        let result = self.revert(&lock, steps).await;
        lock.release().await;
        result
    }

    /// Every step with its state, oldest first; those of a newer version last. Changes nothing, also in
    /// an empty database.
    pub async fn status(&self) -> Result<Vec<MigrationStatus>, DbErr> {
        let mut applied = self.applied(&self.db).await?;
        let mut status = Vec::new();
        for migration in M::migrations() {
            let name = migration.name().to_owned();
            let state = match applied.iter().position(|applied| *applied == name) {
                Some(at) => {
                    applied.remove(at);
                    MigrationState::Applied
                }
                None => MigrationState::Pending,
            };
            status.push(MigrationStatus { name, state });
        }
        let unknown = |name| MigrationStatus { name, state: MigrationState::Unknown };
        status.extend(applied.into_iter().map(unknown));
        Ok(status)
    }

    /// How many steps the database lacks. One that has more than are known here lacks none.
    pub async fn pending(&self) -> Result<usize, DbErr> {
        let status = self.status().await?;
        Ok(status.iter().filter(|step| step.state == MigrationState::Pending).count())
    }

    /// The names of the applied steps, oldest first; none where even their table is missing.
    async fn applied<C>(&self, db: &C) -> Result<Vec<String>, DbErr>
    where
        C: ConnectionTrait,
        for<'c> &'c C: IntoSchemaManagerConnection<'c>,
    {
        let table = M::migration_table_name();
        if !SchemaManager::new(db).has_table(table.to_string()).await? {
            return Ok(Vec::new());
        }
        let select = Query::select().column(Column::Version).from(table).take();
        let rows = db.query_all(&select).await?;
        let names: Result<Vec<String>, DbErr> =
            rows.iter().map(|row| row.try_get_by_index(0)).collect();
        let mut names = names?;
        names.sort_unstable();
        Ok(names)
    }

    async fn apply_pending(&self, lock: &Lock) -> Result<Vec<String>, MigrationError> {
        let transaction = lock.begin().await?;
        M::install(&transaction).await?;
        transaction.commit().await?;
        let mut done = Vec::new();
        for migration in M::migrations() {
            if self.step(lock, migration.as_ref(), Direction::Up).await? {
                done.push(migration.name().to_owned());
            }
        }
        Ok(done)
    }

    async fn revert(&self, lock: &Lock, steps: usize) -> Result<Vec<String>, MigrationError> {
        let known = M::migrations();
        let mut done = Vec::new();
        for _ in 0..steps {
            let Some(name) = self.applied(lock.connection()).await?.pop() else { break };
            let Some(migration) = known.iter().find(|migration| migration.name() == name) else {
                return Err(MigrationError::Unknown { name });
            };
            if self.step(lock, migration.as_ref(), Direction::Down).await? {
                done.push(name);
            }
        }
        Ok(done)
    }

    /// Runs one step, unless another process has; says whether it did.
    async fn step(
        &self,
        lock: &Lock,
        migration: &dyn MigrationTrait,
        direction: Direction,
    ) -> Result<bool, MigrationError> {
        lock.hold().await?;
        if migration.use_transaction() == Some(false) && lock.reaches_beyond_transactions() {
            let db = lock.connection();
            let due = self.is_due(db, migration, direction).await?;
            if due {
                told(migration, direction, self.run(db, migration, direction)).await?;
            }
            return Ok(due);
        }
        let db = lock.begin().await?;
        let due = self.is_due(&db, migration, direction).await?;
        if due {
            let work = async {
                self.run(&db, migration, direction).await?;
                db.commit().await
            };
            told(migration, direction, work).await?;
        }
        Ok(due)
    }

    /// Whether an applied step is the latest, or a pending one still pending.
    async fn is_due<C>(
        &self,
        db: &C,
        migration: &dyn MigrationTrait,
        direction: Direction,
    ) -> Result<bool, DbErr>
    where
        C: ConnectionTrait,
        for<'c> &'c C: IntoSchemaManagerConnection<'c>,
    {
        let applied = self.applied(db).await?;
        Ok(match direction {
            Direction::Up => !applied.iter().any(|name| name == migration.name()),
            Direction::Down => applied.last().is_some_and(|name| name == migration.name()),
        })
    }

    async fn run<C>(
        &self,
        db: &C,
        migration: &dyn MigrationTrait,
        direction: Direction,
    ) -> Result<(), DbErr>
    where
        C: ConnectionTrait,
        for<'c> &'c C: IntoSchemaManagerConnection<'c>,
    {
        let (manager, table) = (SchemaManager::new(db), M::migration_table_name());
        match direction {
            Direction::Up => {
                migration.up(&manager).await?;
                let insert = Query::insert()
                    .into_table(table)
                    .columns([Column::Version, Column::AppliedAt])
                    .values([migration.name().into(), unix_seconds().into()])
                    .map_err(|error| DbErr::Custom(error.to_string()))?
                    .take();
                db.execute(&insert).await?;
            }
            Direction::Down => {
                migration.down(&manager).await?;
                let version = Expr::col(Column::Version).eq(migration.name());
                let delete = Query::delete().from_table(table).and_where(version).take();
                db.execute(&delete).await?;
            }
        }
        Ok(())
    }
}

/// One span and one log line for each step.
async fn told(
    migration: &dyn MigrationTrait,
    direction: Direction,
    work: impl Future<Output = Result<(), DbErr>>,
) -> Result<(), MigrationError> {
    let name = migration.name();
    let span = info_span!(
        "migration",
        migration.name = name,
        migration.direction = direction.name(),
        "error.type" = Empty,
        otel.status_code = Empty
    );
    let started = Instant::now();
    let work = async {
        let result = work.await;
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        let Err(failure) = result else {
            info!(migration.name = name, duration_ms, "migration {}", direction.outcome());
            return Ok(());
        };
        let reason = reason::told(&failure);
        Span::current().record("error.type", reason::error_type(&failure));
        Span::current().record("otel.status_code", "ERROR");
        error!(migration.name = name, duration_ms, error = reason, "migration failed");
        Err(MigrationError::Step { name: name.to_owned(), direction: direction.name(), reason })
    };
    work.instrument(span).await
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Up => "applied",
            Self::Down => "reverted",
        }
    }
}
