//! What the steps' tables have in common: their columns of times, and what MySQL needs besides.
//!
//! Steps that are applied somewhere must go on making what they made there, and so must this.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// A point in time with microseconds. MySQL's `timestamp` would end in 2038.
pub(crate) fn time(backend: DbBackend, name: impl IntoIden) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    match backend {
        DbBackend::MySql => column.custom("datetime(6)"),
        _ => column.timestamp_with_time_zone(),
    };
    column
}

/// MySQL commits with each statement: a table may be there from a step that was cut off, and brings its
/// indexes along. Elsewhere it would be somebody else's, and indexes are statements of their own.
pub(crate) fn repeatable(
    backend: DbBackend,
    table: &mut TableCreateStatement,
    indexes: impl IntoIterator<Item = IndexCreateStatement>,
) {
    if backend == DbBackend::MySql {
        table.if_not_exists();
        // The server's default may know neither all of Unicode nor the difference of a and á.
        table.character_set("utf8mb4").collate("utf8mb4_bin");
        for mut index in indexes {
            table.index(&mut index);
        }
    }
}
