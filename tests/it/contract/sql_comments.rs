//! `database.sql_comments` in the whole service: everything works with it, and what the database is
//! told stays out of lines and spans. How the comments look is the chassis's to test.

use chassis::database::Database;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use crate::support::App;

#[tokio::test]
async fn the_service_works_with_them_and_tells_statements_without_them() {
    let app = App::with(|settings| {
        settings.database.sql_comments = true;
        settings.log.level = "debug".to_owned();
    })
    .await;
    let person = app.admin().await;
    let _ = person.client.get("/users?limit=2").send().await.expect(200);
    let path = format!("/users/{}", person.id);
    let read = person.client.get(&path).send().await.expect(200);
    let statement = |line: &Value| line["message"] == "database statement";
    let lines = app.witness.lines_of(read.header("x-request-id"));
    assert!(lines.iter().any(statement), "{lines:?}");
    app.witness.assert_silent_about(&["/*", "traceparent="]);

    let database = app.connection().await;
    if database.backend() == DbBackend::Postgres {
        let id = read.header("x-request-id");
        let seen = statements(&database, id).await;
        assert!(seen.iter().any(|sql| sql.starts_with("SELECT")), "{seen:?}");
    }
    let _ = person.client.delete(&path).send().await.expect(204);
    database.close().await;
}

/// What connections of this database ran last, if it was for this request.
async fn statements(database: &Database, request_id: &str) -> Vec<String> {
    let sql = "SELECT query FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE $1";
    let wanted = format!("%/*request_id='{request_id}',traceparent='00-%");
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [wanted.into()]);
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
