//! The keys of `users` are compared byte by byte to their ends. MySQL's `utf8mb4_bin` takes a shorter
//! text as filled up with spaces, so that `"ada "` would be the start of `"ada"`. Other databases
//! compare as is wanted anyway.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const PADDING: &str = "utf8mb4_bin";
/// The same without padding, where the server is MariaDB, and where it is MySQL 8.
const NOT_PADDING: [&str; 2] = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::MySql {
            return Ok(());
        }
        let [mariadb, mysql] = NOT_PADDING;
        let collation = if is_mariadb(manager).await? { mariadb } else { mysql };
        collate(manager, collation).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::MySql {
            return Ok(());
        }
        collate(manager, PADDING).await
    }
}

/// One statement, which is done wholly or not at all, and which changes nothing the second time: the
/// server commits it before the step is noted.
async fn collate(manager: &SchemaManager<'_>, collation: &str) -> Result<(), DbErr> {
    let text = format!("CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL");
    let alter = format!(
        "ALTER TABLE users MODIFY name_key varchar(400) {text}, MODIFY email_key varchar(508) {text}"
    );
    manager.get_connection().execute_unprepared(&alter).await?;
    Ok(())
}

async fn is_mariadb(manager: &SchemaManager<'_>) -> Result<bool, DbErr> {
    let version = Statement::from_string(DbBackend::MySql, "SELECT VERSION()");
    let row = manager.get_connection().query_one_raw(version).await?;
    let version = row.map(|row| row.try_get_by_index::<String>(0)).transpose()?;
    Ok(version.is_some_and(|version| version.contains("MariaDB")))
}
