//! `users.disabled_at`: users who may not sign in, and since when.

use sea_orm_migration::prelude::*;

use crate::columns::time;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "users";
const COLUMN: &str = "disabled_at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // MySQL cannot say IF NOT EXISTS of a column, and commits it before the step is noted.
        if manager.has_column(TABLE, COLUMN).await? {
            return Ok(());
        }
        let mut column = time(manager.get_database_backend(), COLUMN);
        manager.alter_table(Table::alter().table(TABLE).add_column(column.null()).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column(TABLE, COLUMN).await? {
            return Ok(());
        }
        manager.alter_table(Table::alter().table(TABLE).drop_column(COLUMN).take()).await
    }
}
