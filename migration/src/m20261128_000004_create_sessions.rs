//! The tables `sessions` and `refresh_tokens`: who is signed in, and with which tokens that goes on.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::strum::IntoEnumIterator;
use sea_orm_migration::sea_orm::{DbBackend, EnumIter};

use crate::columns::{repeatable, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Of SHA-256.
const HASH: u32 = 32;
/// The start of a `User-Agent`, by which people know their devices.
const USER_AGENT: u32 = 200;

#[derive(DeriveIden, EnumIter)]
enum Sessions {
    Table,
    Id,
    UserId,
    TokenVersion,
    UserAgent,
    CreatedAt,
    UsedAt,
    ExpiresAt,
    EndsAt,
}

#[derive(DeriveIden, EnumIter)]
enum RefreshTokens {
    Table,
    TokenHash,
    SessionId,
    CreatedAt,
    SpentAt,
    Successor,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for table in [sessions(backend), refresh_tokens(backend)] {
            manager.create_table(table).await?;
        }
        // Where they were there already, they must be these tables and not somebody else's.
        let columns = Sessions::iter().filter(|column| !matches!(column, Sessions::Table));
        let ours = Query::select().columns(columns).from(Sessions::Table).limit(0).take();
        manager.get_connection().execute(&ours).await?;
        let columns = RefreshTokens::iter().filter(|it| !matches!(it, RefreshTokens::Table));
        let ours = Query::select().columns(columns).from(RefreshTokens::Table).limit(0).take();
        manager.get_connection().execute(&ours).await?;
        if backend == DbBackend::MySql {
            // There each was one statement, which cannot be left half done.
            return Ok(());
        }
        for index in session_indexes().into_iter().chain([token_index()]) {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RefreshTokens::Table).if_exists().take()).await?;
        manager.drop_table(Table::drop().table(Sessions::Table).if_exists().take()).await
    }
}

fn sessions(backend: DbBackend) -> TableCreateStatement {
    let primary_key = &mut Index::create().name("sessions_pkey").col(Sessions::Id).take();
    let mut table = Table::create()
        .table(Sessions::Table)
        .col(ColumnDef::new(Sessions::Id).uuid().not_null())
        .col(ColumnDef::new(Sessions::UserId).uuid().not_null())
        .col(ColumnDef::new(Sessions::TokenVersion).big_integer().not_null())
        .col(ColumnDef::new(Sessions::UserAgent).string_len(USER_AGENT))
        .col(time(backend, Sessions::CreatedAt).not_null())
        .col(time(backend, Sessions::UsedAt).not_null())
        .col(time(backend, Sessions::ExpiresAt).not_null())
        .col(time(backend, Sessions::EndsAt).not_null())
        .primary_key(primary_key)
        .take();
    repeatable(backend, &mut table, session_indexes());
    table
}

fn refresh_tokens(backend: DbBackend) -> TableCreateStatement {
    let primary_key =
        &mut Index::create().name("refresh_tokens_pkey").col(RefreshTokens::TokenHash).take();
    let mut table = Table::create()
        .table(RefreshTokens::Table)
        .col(ColumnDef::new(RefreshTokens::TokenHash).binary_len(HASH).not_null())
        .col(ColumnDef::new(RefreshTokens::SessionId).uuid().not_null())
        .col(time(backend, RefreshTokens::CreatedAt).not_null())
        .col(time(backend, RefreshTokens::SpentAt))
        .col(ColumnDef::new(RefreshTokens::Successor).binary_len(HASH))
        .primary_key(primary_key)
        .take();
    repeatable(backend, &mut table, [token_index()]);
    table
}

/// By user for listing and ending them, by expiry for cleaning up.
fn session_indexes() -> [IndexCreateStatement; 2] {
    [
        ("sessions_user_id_index", Sessions::UserId),
        ("sessions_expires_at_index", Sessions::ExpiresAt),
    ]
    .map(|(name, column)| Index::create().name(name).table(Sessions::Table).col(column).take())
}

/// By session for ending a family.
fn token_index() -> IndexCreateStatement {
    Index::create()
        .name("refresh_tokens_session_id_index")
        .table(RefreshTokens::Table)
        .col(RefreshTokens::SessionId)
        .take()
}
