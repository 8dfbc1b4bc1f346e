//! Plans in words that are the same for all databases: `seek` for a part of an index, `walk` for an
//! index from its end, `read the table`, and `sort`.

use chassis::database::Database;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement, TransactionTrait,
};

/// The plan of a statement with its values, each part once and in alphabetical order.
pub(super) async fn explained(database: &Database, statement: &Statement) -> Vec<String> {
    let connection = database.connection();
    let backend = database.backend();
    let sql = format!("{} {}", explain(backend), statement.sql);
    let rows = connection.query_all_raw(Statement { sql, ..statement.clone() }).await.unwrap();
    parts(backend, &rows)
}

/// The plan that PostgreSQL makes for a statement once and for all, whatever its values are.
pub(super) async fn explained_for_all_values(
    database: &Database,
    statement: &Statement,
) -> Option<Vec<String>> {
    let backend = database.backend();
    let values = statement.values.as_ref().filter(|_| backend == DbBackend::Postgres)?;
    let transaction: DatabaseTransaction = database.connection().begin().await.unwrap();
    let nulls = vec!["NULL"; values.0.len()].join(", ");
    for sql in [
        "SET LOCAL plan_cache_mode = force_generic_plan".to_owned(),
        format!("PREPARE page AS {}", statement.sql),
    ] {
        transaction.execute_unprepared(&sql).await.unwrap();
    }
    let sql = format!("{} EXECUTE page({nulls})", explain(backend));
    let rows = transaction.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    transaction.execute_unprepared("DEALLOCATE page").await.unwrap();
    transaction.rollback().await.unwrap();
    Some(parts(backend, &rows))
}

fn explain(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "EXPLAIN QUERY PLAN",
        DbBackend::Postgres => "EXPLAIN (COSTS OFF)",
        // As JSON it would have ids in it, byte by byte, which make it none.
        _ => "EXPLAIN",
    }
}

fn parts(backend: DbBackend, rows: &[QueryResult]) -> Vec<String> {
    let lines = |column: usize| -> Vec<String> {
        rows.iter().map(|row| row.try_get_by_index(column).unwrap()).collect()
    };
    let mut parts = match backend {
        DbBackend::Sqlite => of_sqlite(&lines(3)),
        DbBackend::Postgres => of_postgres(&lines(0)),
        _ => rows.iter().flat_map(of_mysql).collect(),
    };
    parts.sort();
    parts.dedup();
    parts
}

fn by(index: &str) -> &'static str {
    match index {
        "users_pkey" | "PRIMARY" | "sqlite_autoindex_users_1" => "by id",
        "users_email_key_unique" | "sqlite_autoindex_users_2" => "by address",
        "users_name_key_index" => "by name",
        _ => panic!("an unknown index, {index}"),
    }
}

fn of_sqlite(lines: &[String]) -> Vec<String> {
    let part = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        let index = words.iter().position(|word| *word == "INDEX").map(|at| by(words[at + 1]));
        match (words[0], words[1], index) {
            ("SEARCH", "users", Some(index)) => Some(format!("seek {index}")),
            ("SCAN", "users", Some(index)) => Some(format!("walk {index}")),
            ("SEARCH" | "SCAN", "users", None) => Some("read the table".to_owned()),
            ("USE", ..) => Some("sort".to_owned()),
            _ => None,
        }
    };
    lines.iter().filter_map(part).collect()
}

fn of_postgres(lines: &[String]) -> Vec<String> {
    let mut parts = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let node = line.trim_start().trim_start_matches("->").trim_start();
        // What a node seeks stands in the line below it.
        let below = lines.get(at + 1).map_or("", |line| line.trim_start());
        let how = if below.starts_with("Index Cond") { "seek" } else { "walk" };
        let words: Vec<&str> = node.split(' ').collect();
        match words[..] {
            ["Index", "Scan", "using", index, ..]
            | ["Index", "Only", "Scan", "using", index, ..]
            | ["Bitmap", "Index", "Scan", "on", index] => {
                parts.push(format!("{how} {}", by(index)));
            }
            ["Seq", "Scan", ..] | ["Parallel", ..] => parts.push("read the table".to_owned()),
            ["Sort"] | ["Incremental", "Sort"] => parts.push("sort".to_owned()),
            _ => {}
        }
    }
    parts
}

fn of_mysql(row: &QueryResult) -> Vec<String> {
    let cell = |name| row.try_get::<Option<String>>("", name).unwrap().unwrap_or_default();
    let mut parts = Vec::new();
    if cell("table") == "users" {
        parts.push(match (cell("type").as_str(), cell("key").as_str()) {
            (_, "") => "read the table".to_owned(),
            ("index", index) => format!("walk {}", by(index)),
            (_, index) => format!("seek {}", by(index)),
        });
    }
    parts.extend(cell("Extra").contains("filesort").then(|| "sort".to_owned()));
    parts
}
