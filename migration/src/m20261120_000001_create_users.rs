//! The table `users`. Every constraint has a name, because queries translate violations by it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::strum::IntoEnumIterator;
use sea_orm_migration::sea_orm::{DbBackend, EnumIter};

use crate::columns::{repeatable, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Lower case can be longer than the original: `İ` becomes two characters.
const KEY_FACTOR: u32 = 2;
/// RFC 5321's limit of a path is 256 with its brackets.
const EMAIL: u32 = 254;
const NAME: u32 = 200;
/// E.164 allows 15 digits after the plus.
const PHONE_NUMBER: u32 = 16;
const ROLE: u32 = 16;
/// A PHC string of argon2id has some 100 characters.
const PASSWORD_HASH: u32 = 255;

const BY_NAME: &str = "users_name_key_index";

#[derive(DeriveIden, EnumIter)]
enum Users {
    Table,
    Id,
    Name,
    NameKey,
    Email,
    EmailKey,
    PhoneNumber,
    Address,
    Role,
    PasswordHash,
    Version,
    TokenVersion,
    CreatedAt,
    UpdatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(users(manager.get_database_backend())).await?;
        // Where it was there already, it must be this table and not somebody else's.
        let columns = Users::iter().filter(|column| !matches!(column, Users::Table));
        let ours = Query::select().columns(columns).from(Users::Table).limit(0).take();
        manager.get_connection().execute(&ours).await?;
        // MySQL cannot say IF NOT EXISTS of an index.
        if manager.has_index("users", BY_NAME).await? {
            return Ok(());
        }
        let by_name = Index::create().name(BY_NAME).table(Users::Table).col(Users::NameKey).take();
        manager.create_index(by_name).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Users::Table).if_exists().take()).await
    }
}

fn users(backend: DbBackend) -> TableCreateStatement {
    let primary_key = &mut Index::create().name("users_pkey").col(Users::Id).take();
    let unique_email =
        &mut Index::create().name("users_email_key_unique").col(Users::EmailKey).unique().take();
    let known_role = Expr::col(Users::Role).is_in(["user", "admin"]);
    let mut table = Table::create()
        .table(Users::Table)
        .col(ColumnDef::new(Users::Id).uuid().not_null())
        .col(ColumnDef::new(Users::Name).string_len(NAME).not_null())
        .col(key(backend, Users::NameKey, NAME))
        .col(ColumnDef::new(Users::Email).string_len(EMAIL).not_null())
        .col(key(backend, Users::EmailKey, EMAIL))
        .col(ColumnDef::new(Users::PhoneNumber).string_len(PHONE_NUMBER))
        .col(ColumnDef::new(Users::Address).text())
        .col(ColumnDef::new(Users::Role).string_len(ROLE).not_null())
        .col(ColumnDef::new(Users::PasswordHash).string_len(PASSWORD_HASH).not_null())
        .col(ColumnDef::new(Users::Version).big_integer().not_null())
        .col(ColumnDef::new(Users::TokenVersion).big_integer().not_null())
        .col(time(backend, Users::CreatedAt).not_null())
        .col(time(backend, Users::UpdatedAt).not_null())
        .primary_key(primary_key)
        .index(unique_email)
        .check(("users_role_check", known_role))
        .take();
    repeatable(backend, &mut table, []);
    table
}

/// A text that is compared by its bytes, so that a range of it is a search by its start.
fn key(backend: DbBackend, name: Users, length: u32) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.string_len(length * KEY_FACTOR).not_null();
    if backend == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}
