//! A schema as a list of lines, to compare two of them.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

const SQLITE: [&str; 2] = [
    "SELECT concat_ws(' ', m.name, p.name, p.type, p.\"notnull\", p.dflt_value, p.pk)
     FROM sqlite_schema m, pragma_table_info(m.name) p
     WHERE m.type = 'table' AND m.name <> 'seaql_migrations'",
    "SELECT concat_ws(' ', m.tbl_name, m.name, l.\"unique\", l.origin, x.seqno, x.name, x.coll, x.\"desc\", m.sql)
     FROM sqlite_schema m, pragma_index_list(m.tbl_name) l, pragma_index_xinfo(m.name) x
     WHERE m.type = 'index' AND l.name = m.name AND m.tbl_name <> 'seaql_migrations'",
];
const POSTGRES: [&str; 3] = [
    "SELECT concat_ws(' ', table_name, column_name, udt_name, character_maximum_length,
         datetime_precision, is_nullable, column_default, collation_name)
     FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'",
    "SELECT indexdef::text FROM pg_indexes
     WHERE schemaname = 'public' AND tablename <> 'seaql_migrations'",
    "SELECT concat_ws(' ', conrelid::regclass::text, conname, pg_get_constraintdef(oid))
     FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'seaql_migrations'",
];
const MYSQL: [&str; 3] = [
    "SELECT CAST(CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, column_default,
         collation_name, extra, generation_expression) AS CHAR)
     FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name <> 'seaql_migrations'",
    "SELECT CAST(CONCAT_WS(' ', table_name, index_name, non_unique, seq_in_index, column_name,
         sub_part, collation) AS CHAR)
     FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name <> 'seaql_migrations'",
    "SELECT CAST(CONCAT_WS(' ', constraint_name, check_clause) AS CHAR)
     FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()",
];

/// Tables, columns, indexes and constraints, but for the list of migrations.
pub(crate) async fn dump(db: &impl ConnectionTrait) -> Vec<String> {
    let queries = match db.get_database_backend() {
        DbBackend::Sqlite => &SQLITE[..],
        DbBackend::Postgres => &POSTGRES,
        _ => &MYSQL,
    };
    let mut lines = Vec::new();
    for sql in queries {
        lines.extend(texts(db, sql).await);
    }
    lines.sort();
    lines
}

/// The first column of each row.
pub(crate) async fn texts(db: &impl ConnectionTrait, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
