//! Writes that the database gives up for another transaction, as triggers make it do on every write of a
//! user. SQLite's triggers cannot; there a writer waits for its turn before it begins.
#![expect(clippy::float_cmp, reason = "metrics count whole things here")]

use chassis::database::Database;
use chassis::testing::Answer;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;

use crate::support::{App, PASSWORD, new_user};

/// Makes two of three attempts to write a user fail, or all of them; false on SQLite.
async fn lose(database: &Database, all: bool) -> bool {
    let divisor = if all { 1_000_000 } else { 3 };
    let statements = match database.backend() {
        DbBackend::Postgres => vec![
            // What a sequence has given out is not rolled back.
            "CREATE SEQUENCE lost".to_owned(),
            format!(
                "CREATE FUNCTION lose() RETURNS trigger AS $$ BEGIN \
                 IF nextval('lost') % {divisor} <> 0 THEN \
                 RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END IF; \
                 RETURN COALESCE(NEW, OLD); END $$ LANGUAGE plpgsql"
            ),
            "CREATE TRIGGER lose BEFORE INSERT OR UPDATE OR DELETE ON users \
             FOR EACH ROW EXECUTE FUNCTION lose()"
                .to_owned(),
        ],
        DbBackend::MySql => {
            // What is written into such a table is not rolled back.
            let table = "CREATE TABLE lost (n INT NOT NULL) ENGINE = MyISAM".to_owned();
            let mut statements = vec![table, "INSERT INTO lost VALUES (0)".to_owned()];
            statements.extend(["INSERT", "UPDATE", "DELETE"].map(|write| {
                format!(
                    "CREATE TRIGGER lose_{write} BEFORE {write} ON users FOR EACH ROW BEGIN \
                     UPDATE lost SET n = n + 1; IF (SELECT n FROM lost) % {divisor} <> 0 THEN \
                     SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'lost'; \
                     END IF; END"
                )
            }));
            statements
        }
        _ => return false,
    };
    for statement in statements {
        database.execute_unprepared(&statement).await.unwrap();
    }
    true
}

/// How often an attempt was lost, and how often all of them.
fn lost(app: &App) -> [f64; 2] {
    ["retried", "given_up"]
        .map(|outcome| app.witness.metric("db_client_retries_total", &[("outcome", outcome)]))
}

#[tokio::test]
async fn every_write_is_tried_again() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let database = app.connection().await;
    let path = ada.path();
    let calls = [
        (201, app.client.post("/users").json(&new_user("eve@example.org"))),
        (
            201,
            app.client
                .post("/users")
                .json(&new_user("bob@example.org"))
                .header("idempotency-key", "\"bob\""),
        ),
        (200, ada.client.patch(&path).json(&json!({ "name": "Ada" }))),
        (200, ada.client.put(&path).json(&json!({ "name": "Ada", "email": ada.email }))),
        (
            204,
            ada.client.put(&format!("{path}/password")).json(
                &json!({ "current_password": PASSWORD, "new_password": "a heron by the weir again" }),
            ),
        ),
        (200, admin.client.put(&format!("{path}/role")).json(&json!({ "role": "admin" }))),
        (204, admin.client.delete(&path)),
    ];
    if lose(&database, false).await {
        for (number, (status, call)) in (1_u32..).zip(calls) {
            let answer = call.send().await.expect(status);
            assert_eq!(lost(&app), [f64::from(number) * 2.0, 0.0], "{:?}", answer.headers);
        }
    }
    database.close().await;
}

#[tokio::test]
async fn a_write_that_loses_each_time_is_worth_another_try_later() {
    let app = App::start().await;
    let ada = app.person().await;
    let database = app.connection().await;
    if lose(&database, true).await {
        let change = ada.client.patch(&ada.path()).json(&json!({ "name": "Ada" }));
        assert_given_up(&app, &change.send().await, 1);
        let create = app.client.post("/users").json(&new_user("eve@example.org"));
        let create = create.header("idempotency-key", "\"eve\"");
        assert_given_up(&app, &create.send().await, 2);
        let found = ada.client.get(&ada.path()).send().await.expect(200);
        assert_eq!(found.header("etag"), "\"1\"");
    }
    database.close().await;
}

#[track_caller]
fn assert_given_up(app: &App, answer: &Answer, times: u32) {
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(lost(app), [f64::from(times) * 5.0, f64::from(times)]);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["error.type"], "database_conflict");
    let lines = app.witness.lines_of(answer.header("x-request-id"));
    assert!(lines.iter().any(|line| line["message"] == "transaction given up"));
}
