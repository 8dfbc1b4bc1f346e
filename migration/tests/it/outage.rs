//! Connections that the server ends, as a restart of it does. SQLite has none to end.

use chassis::database::{Database, is_unavailable};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};

use crate::support::on_a_database;

async fn number(database: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index::<i64>(0).unwrap()
}

#[tokio::test]
async fn a_connection_that_the_server_closed_fails_once_and_is_replaced() {
    on_a_database(async |database: &Database| {
        let (own_id, end) = match database.backend() {
            DbBackend::Postgres => {
                ("SELECT pg_backend_pid()::bigint", "SELECT pg_terminate_backend")
            }
            DbBackend::MySql => ("SELECT CAST(CONNECTION_ID() AS SIGNED)", "KILL"),
            _ => return,
        };
        let transaction = database.begin().await.unwrap();
        let id = number(&transaction, own_id).await;
        database.execute_unprepared(&format!("{end} ({id})")).await.unwrap();

        let error = transaction.execute_unprepared("SELECT 1").await.unwrap_err();
        assert!(is_unavailable(&error), "{error}");
        drop(transaction);
        for _ in 0..8 {
            assert_ne!(number(database, own_id).await, id);
        }
    })
    .await;
}
