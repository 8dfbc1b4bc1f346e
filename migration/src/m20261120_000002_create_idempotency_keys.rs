//! The table `idempotency_keys`: requests that are worked on once, and what they were answered.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::strum::IntoEnumIterator;
use sea_orm_migration::sea_orm::{DbBackend, EnumIter};

use crate::columns::{repeatable, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Of SHA-256.
const HASH: u32 = 32;
/// A PHC string of argon2id has some 100 characters.
const SECRET_HASH: u32 = 255;

#[derive(DeriveIden, EnumIter)]
enum IdempotencyKeys {
    Table,
    KeyHash,
    ClaimId,
    Fingerprint,
    SecretHash,
    SubjectId,
    Status,
    Location,
    Version,
    Body,
    CreatedAt,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(table(backend)).await?;
        // Where it was there already, it must be this table and not somebody else's.
        let columns = IdempotencyKeys::iter().filter(|it| !matches!(it, IdempotencyKeys::Table));
        let ours = Query::select().columns(columns).from(IdempotencyKeys::Table).limit(0).take();
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
        let table = Table::drop().table(IdempotencyKeys::Table).if_exists().take();
        manager.drop_table(table).await
    }
}

fn table(backend: DbBackend) -> TableCreateStatement {
    let primary_key =
        &mut Index::create().name("idempotency_keys_pkey").col(IdempotencyKeys::KeyHash).take();
    let mut table = Table::create()
        .table(IdempotencyKeys::Table)
        .col(ColumnDef::new(IdempotencyKeys::KeyHash).binary_len(HASH).not_null())
        .col(ColumnDef::new(IdempotencyKeys::ClaimId).uuid().not_null())
        .col(ColumnDef::new(IdempotencyKeys::Fingerprint).binary_len(HASH).not_null())
        .col(ColumnDef::new(IdempotencyKeys::SecretHash).string_len(SECRET_HASH))
        .col(ColumnDef::new(IdempotencyKeys::SubjectId).uuid())
        .col(ColumnDef::new(IdempotencyKeys::Status).small_integer())
        .col(ColumnDef::new(IdempotencyKeys::Location).text())
        .col(ColumnDef::new(IdempotencyKeys::Version).big_integer())
        .col(ColumnDef::new(IdempotencyKeys::Body).text())
        .col(time(backend, IdempotencyKeys::CreatedAt).not_null())
        .col(time(backend, IdempotencyKeys::ExpiresAt).not_null())
        .primary_key(primary_key)
        .take();
    repeatable(backend, &mut table, indexes());
    table
}

/// By expiry for cleaning up, by subject for forgetting it.
fn indexes() -> [IndexCreateStatement; 2] {
    [
        ("idempotency_keys_expires_at_index", IdempotencyKeys::ExpiresAt),
        ("idempotency_keys_subject_id_index", IdempotencyKeys::SubjectId),
    ]
    .map(|(name, column)| {
        Index::create().name(name).table(IdempotencyKeys::Table).col(column).take()
    })
}
