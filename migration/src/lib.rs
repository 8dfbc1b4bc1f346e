//! The schema, step by step, and the four things that are done with it: `up`, `down`, `status` and
//! `pending`. Which steps there are is in [`Migrator`]; each has its own file.
//!
//! sea-orm's own runner takes no lock and refuses a database that is ahead of the program, which is the
//! normal state while a new version is rolled out or back. So the steps are run here.

mod lock;
mod m20261120_000001_create_users;

use std::collections::HashSet;
use std::time::{Instant, SystemTime};

use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait, SchemaManager, async_trait};
use sea_orm_migration::sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
};
use sea_orm_migration::seaql_migrations::{ActiveModel, Entity as Applied};
use tracing::{Instrument, info, info_span};

use self::lock::Lock;

/// The steps of the schema, oldest first.
pub struct Migrator;

/// One step and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Name of the step, which begins with its date.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Why the schema could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// One step failed; those before it stay.
    #[error("migration {name} failed")]
    Step {
        /// Name of the step.
        name: String,
        /// What the database said.
        source: DbErr,
    },
    /// Another process has been migrating for too long.
    #[error("another process holds the lock for migrations")]
    Locked,
    /// The latest step was made by a newer version of this program, which alone can revert it.
    #[error("migration {name} is unknown to this version")]
    Unknown {
        /// Name of the step.
        name: String,
    },
    /// The lock, or the list of applied steps, could not be had.
    #[error("the state of the schema is not available")]
    Database(#[from] DbErr),
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261120_000001_create_users::Migration)]
    }
}

/// Applies what is pending and names it. Any number of processes may call this at once: one works, the
/// others wait and find nothing left.
pub async fn up(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    let lock = Lock::acquire(db).await?;
    let result = apply_pending(lock.transaction()).await;
    lock.release(result).await
}

/// Reverts the last `steps` applied migrations and names them, latest first.
pub async fn down(db: &DatabaseConnection, steps: usize) -> Result<Vec<String>, MigrationError> {
    let lock = Lock::acquire(db).await?;
    let result = revert(lock.transaction(), steps).await;
    lock.release(result).await
}

/// Every step of this program with its state. Changes nothing, also in an empty database.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationStatus>, DbErr> {
    let applied: HashSet<String> = applied(db).await?.into_iter().collect();
    let status = |migration: Box<dyn MigrationTrait>| MigrationStatus {
        name: migration.name().to_owned(),
        applied: applied.contains(migration.name()),
    };
    Ok(Migrator::migrations().into_iter().map(status).collect())
}

/// How many steps the database lacks. One that has more than this program knows lacks none.
pub async fn pending(db: &DatabaseConnection) -> Result<usize, DbErr> {
    Ok(status(db).await?.iter().filter(|migration| !migration.applied).count())
}

/// The names of the applied steps, oldest first; none where even their table is missing.
async fn applied<C>(db: &C) -> Result<Vec<String>, DbErr>
where
    C: ConnectionTrait,
    for<'c> &'c C: sea_orm_migration::IntoSchemaManagerConnection<'c>,
{
    let table = Migrator::migration_table_name().to_string();
    if !SchemaManager::new(db).has_table(table).await? {
        return Ok(Vec::new());
    }
    let mut rows = Applied::find().all(db).await?;
    rows.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(rows.into_iter().map(|row| row.version).collect())
}

async fn apply_pending(db: &DatabaseTransaction) -> Result<Vec<String>, MigrationError> {
    Migrator::install(db).await?;
    let applied = applied(db).await?;
    let mut done = Vec::new();
    for migration in Migrator::migrations() {
        if !applied.iter().any(|name| name == migration.name()) {
            done.push(step(db, migration.as_ref(), Direction::Up).await?);
        }
    }
    Ok(done)
}

async fn revert(db: &DatabaseTransaction, steps: usize) -> Result<Vec<String>, MigrationError> {
    let mut known = Migrator::migrations();
    let mut done = Vec::new();
    for name in applied(db).await?.into_iter().rev().take(steps) {
        let Some(at) = known.iter().position(|migration| migration.name() == name) else {
            return Err(MigrationError::Unknown { name });
        };
        let migration = known.swap_remove(at);
        done.push(step(db, migration.as_ref(), Direction::Down).await?);
    }
    Ok(done)
}

/// Runs one step and notes it; one span and one log line each.
async fn step(
    db: &DatabaseTransaction,
    migration: &dyn MigrationTrait,
    direction: Direction,
) -> Result<String, MigrationError> {
    let name = migration.name().to_owned();
    let span =
        info_span!("migration", migration.name = name, migration.direction = direction.name());
    let started = Instant::now();
    let work = async {
        run(db, migration, direction).await?;
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        info!(migration.name = migration.name(), duration_ms, "migration {}", direction.outcome());
        Ok(())
    };
    match work.instrument(span).await {
        Ok(()) => Ok(name),
        Err(source) => Err(MigrationError::Step { name, source }),
    }
}

async fn run(
    db: &DatabaseTransaction,
    migration: &dyn MigrationTrait,
    direction: Direction,
) -> Result<(), DbErr> {
    let manager = SchemaManager::new(db);
    let name = migration.name().to_owned();
    match direction {
        Direction::Up => {
            migration.up(&manager).await?;
            let applied_at = unix_seconds();
            let row = ActiveModel { version: Set(name), applied_at: Set(applied_at) };
            Applied::insert(row).exec_without_returning(db).await?;
        }
        Direction::Down => {
            migration.down(&manager).await?;
            Applied::delete_by_id(name).exec(db).await?;
        }
    }
    Ok(())
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
