//! The table `login_failures`: how often passwords were guessed wrong, and when the next guess is allowed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::strum::IntoEnumIterator;
use sea_orm_migration::sea_orm::{DbBackend, EnumIter};

use crate::columns::{repeatable, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Of SHA-256.
const HASH: u32 = 32;

#[derive(DeriveIden, EnumIter)]
enum LoginFailures {
    Table,
    KeyHash,
    AccountHash,
    AttemptId,
    Failures,
    OpenAt,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(table(backend)).await?;
        // Where it was there already, it must be this table and not somebody else's.
        let columns = LoginFailures::iter().filter(|it| !matches!(it, LoginFailures::Table));
        let ours = Query::select().columns(columns).from(LoginFailures::Table).limit(0).take();
        manager.get_connection().execute(&ours).await?;
        if backend == DbBackend::MySql {
            // There it was one statement, which cannot be left half done.
            return Ok(());
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::drop().table(LoginFailures::Table).if_exists().take();
        manager.drop_table(table).await
    }
}

fn table(backend: DbBackend) -> TableCreateStatement {
    let primary_key =
        &mut Index::create().name("login_failures_pkey").col(LoginFailures::KeyHash).take();
    let mut table = Table::create()
        .table(LoginFailures::Table)
        .col(ColumnDef::new(LoginFailures::KeyHash).binary_len(HASH).not_null())
        .col(ColumnDef::new(LoginFailures::AccountHash).binary_len(HASH).not_null())
        .col(ColumnDef::new(LoginFailures::AttemptId).uuid().not_null())
        .col(ColumnDef::new(LoginFailures::Failures).integer().not_null())
        .col(time(backend, LoginFailures::OpenAt).not_null())
        .col(time(backend, LoginFailures::ExpiresAt).not_null())
        .primary_key(primary_key)
        .take();
    repeatable(backend, &mut table, indexes());
    table
}

/// By account for lifting its delays, by expiry for cleaning up.
fn indexes() -> [IndexCreateStatement; 2] {
    [
        ("login_failures_account_hash_index", LoginFailures::AccountHash),
        ("login_failures_expires_at_index", LoginFailures::ExpiresAt),
    ]
    .map(|(name, column)| Index::create().name(name).table(LoginFailures::Table).col(column).take())
}
