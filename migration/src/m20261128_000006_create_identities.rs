//! The table `identities`: which user an outside issuer means by a subject.
//!
//! It refers to `users` with `ON DELETE CASCADE`, so that a user goes together with its identities
//! whoever deletes it, an older version of the service included.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::strum::IntoEnumIterator;
use sea_orm_migration::sea_orm::{DbBackend, EnumIter};

use crate::columns::{repeatable, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Of SHA-256.
const HASH: u32 = 32;
/// `OpenID` Connect Core, section 2: `sub` has at most 255 characters. `iss` has no limit; ours is the same.
const TEXT: u32 = 255;

#[derive(DeriveIden, EnumIter)]
enum Identities {
    Table,
    KeyHash,
    Issuer,
    Subject,
    UserId,
    CreatedAt,
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One statement, which is done wholly or not at all.
        manager.create_table(table(manager.get_database_backend())).await?;
        // Where it was there already, it must be this table and not somebody else's.
        let columns = Identities::iter().filter(|column| !matches!(column, Identities::Table));
        let ours = Query::select().columns(columns).from(Identities::Table).limit(0).take();
        manager.get_connection().execute(&ours).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Identities::Table).if_exists().take()).await
    }
}

fn table(backend: DbBackend) -> TableCreateStatement {
    let primary_key = &mut Index::create().name("identities_pkey").col(Identities::KeyHash).take();
    // A user is one subject of an issuer. It begins with the column by which users are deleted.
    let one_each = &mut Index::create()
        .name("identities_user_id_issuer_unique")
        .col(Identities::UserId)
        .col(Identities::Issuer)
        .unique()
        .take();
    let of_user = &mut ForeignKey::create()
        .name("identities_user_id_fkey")
        .from(Identities::Table, Identities::UserId)
        .to(Users::Table, Users::Id)
        .on_delete(ForeignKeyAction::Cascade)
        .take();
    let mut table = Table::create()
        .table(Identities::Table)
        .col(ColumnDef::new(Identities::KeyHash).binary_len(HASH).not_null())
        .col(ColumnDef::new(Identities::Issuer).string_len(TEXT).not_null())
        .col(ColumnDef::new(Identities::Subject).string_len(TEXT).not_null())
        .col(ColumnDef::new(Identities::UserId).uuid().not_null())
        .col(time(backend, Identities::CreatedAt).not_null())
        .primary_key(primary_key)
        .index(one_each)
        .foreign_key(of_user)
        .take();
    repeatable(backend, &mut table, []);
    table
}
