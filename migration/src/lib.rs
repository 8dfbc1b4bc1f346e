//! The schema, step by step, and the four things that are done with it: `up`, `down`, `status` and
//! `pending`. Which steps there are is in [`Migrator`]; each has its own file.
//!
//! sea-orm's own runner takes no lock and refuses a database that is ahead of the program, which is the
//! normal state while a new version is rolled out or back. So the steps are run here: `lock` lets one
//! process migrate at a time, `runner` says what is due, does it and tells of it.
//!
//! # How to write a step
//!
//! - A step is applied by one process, in a transaction of its own together with the note that it is
//!   applied. When it fails, the steps before it stay, and `up` goes on with it once the cause is mended.
//! - **MySQL and MariaDB commit with each change of the schema.** A step that was cut off half-way has
//!   done some of its statements, maybe all of them, and is not noted. So there every statement must be one
//!   that may be repeated: `if_not_exists()` and `if_exists()` where MySQL has them, a look with
//!   [`SchemaManager::has_index`] or [`SchemaManager::has_column`] where it has not, for `up` and for
//!   `down`. Changes of rows go into a step of their own, which is a transaction again. A
//!   test cuts every statement of every step off, before and after it is executed.
//! - `use_transaction() == Some(false)` runs a step outside of a transaction, for PostgreSQL's
//!   `CREATE INDEX CONCURRENTLY` (drop what an earlier attempt left behind first: it is invalid, but
//!   `IF NOT EXISTS` finds it). What is true of MySQL is then true of PostgreSQL. SQLite knows no such
//!   statements and has its lock in the transaction: a step always has one there.
//! - On a server a step gives up after waiting a minute for a table that others use; it may say
//!   `SET lock_timeout` (PostgreSQL) or `SET lock_wait_timeout` (MySQL) itself. It may work as long
//!   as it likes.
//!
//! # What the lock needs
//!
//! Its session must be one: **a PostgreSQL pooler in transaction mode (`PgBouncer`'s
//! `pool_mode = transaction`) would hand it from hand to hand**, so `migrate` has to go past it, to the server itself. In
//! a MariaDB Galera cluster or MySQL group a lock is known to its node only: migrate through one of them.
//! `CockroachDB` has advisory locks that hold nobody back, older `YugabyteDB` has none, which is told
//! in a warning: there let one process migrate, with `database.migrate_on_start` off.
//!
//! [`SchemaManager::has_index`]: sea_orm_migration::SchemaManager::has_index
//! [`SchemaManager::has_column`]: sea_orm_migration::SchemaManager::has_column

mod columns;
mod lock;
mod m20261120_000001_create_users;
mod m20261120_000002_create_idempotency_keys;
mod m20261120_000003_compare_keys_without_padding;
mod m20261128_000004_create_sessions;
mod m20261128_000005_create_login_failures;
mod m20261128_000006_create_identities;
mod m20261128_000007_disable_users;
mod reason;
mod runner;

use std::time::Duration;

use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait, async_trait};
use sea_orm_migration::sea_orm::{DatabaseConnection, DbErr};

pub use self::runner::Runner;

/// The steps of the schema, oldest first.
pub struct Migrator;

/// One step and what the database has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Name of the step, which begins with its date.
    pub name: String,
    /// Whether the database has it.
    pub state: MigrationState,
}

/// Whether a database has a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    /// It has.
    Applied,
    /// It has not.
    Pending,
    /// It has, from a newer version of this program, and this version does not know what is in it.
    Unknown,
}

/// Why the schema could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// One step failed; those before it stay.
    #[error(
        "migration {name} failed: {reason}; once that is mended, `belvedere migrate {direction}` goes on with it"
    )]
    Step {
        /// Name of the step.
        name: String,
        /// `up` or `down`.
        direction: &'static str,
        /// What the database said, without values of rows.
        reason: String,
    },
    /// Another process has been migrating for too long.
    #[error(
        "another process has been migrating for {} s; once it has ended, try again",
        .patience.as_secs_f64()
    )]
    Locked {
        /// How long it was waited for.
        patience: Duration,
    },
    /// The session is no longer the one that took the lock, and the lock is not to be had again.
    #[error(
        "the lock for migrations is another session's: was the connection lost, or does a pooler in transaction mode share it out?"
    )]
    Lost,
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

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_create_users::Migration),
            Box::new(m20261120_000002_create_idempotency_keys::Migration),
            Box::new(m20261120_000003_compare_keys_without_padding::Migration),
            Box::new(m20261128_000004_create_sessions::Migration),
            Box::new(m20261128_000005_create_login_failures::Migration),
            Box::new(m20261128_000006_create_identities::Migration),
            Box::new(m20261128_000007_disable_users::Migration),
        ]
    }
}

/// [`Runner::up`] for the steps of this service.
pub async fn up(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    Runner::<Migrator>::new(db).up().await
}

/// [`Runner::down`] for the steps of this service.
pub async fn down(db: &DatabaseConnection, steps: usize) -> Result<Vec<String>, MigrationError> {
    Runner::<Migrator>::new(db).down(steps).await
}

/// [`Runner::status`] for the steps of this service.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationStatus>, DbErr> {
    Runner::<Migrator>::new(db).status().await
}

/// [`Runner::pending`] for the steps of this service.
pub async fn pending(db: &DatabaseConnection) -> Result<usize, DbErr> {
    Runner::<Migrator>::new(db).pending().await
}
