//! Statements whose caller went away: the server does not go on with them.

use std::time::{Duration, Instant};

use belvedere_migration::Runner;
use chassis::database::{Database, DatabaseSettings, is_unavailable};
use chassis::testing::{TestDatabase, Witness};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TransactionSession, TransactionTrait};
use sea_orm_migration::prelude::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{Times, patient, pool_is_idle};
use crate::support::{App, eventually};

/// What every statement asks that a test wants to find again.
const POSTGRES_RUNNING: &str = "SELECT count(*) AS n FROM pg_stat_activity \
    WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() \
    AND query LIKE $1";
const MYSQL_RUNNING: &str = "SELECT count(*) AS n FROM information_schema.processlist \
    WHERE db = database() AND command IN ('Query', 'Execute') AND id <> connection_id() \
    AND info LIKE ?";

/// Takes longer than anybody waits.
const MYSQL_ENDLESS: &str = "SELECT count(*) FROM information_schema.columns a, \
    information_schema.columns b, information_schema.columns c";

/// A statement of this many seconds.
pub(super) fn sleep(database: &Database, seconds: u32) -> String {
    match database.backend() {
        DbBackend::Postgres => format!("SELECT pg_sleep({seconds})"),
        _ => format!("SELECT SLEEP({seconds})"),
    }
}

/// Has a connection opened, which the next statement then finds.
pub(super) async fn warm(database: &Database) {
    let select = async || database.execute_unprepared("SELECT 1").await.is_ok();
    eventually("a connection is open", select).await;
}

/// Statements like this that run in the database, as its server tells.
pub(super) async fn running(database: &Database, like: &str) -> i64 {
    let sql = match database.backend() {
        DbBackend::Postgres => POSTGRES_RUNNING,
        _ => MYSQL_RUNNING,
    };
    let statement = Statement::from_sql_and_values(database.backend(), sql, [like.into()]);
    database.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
}

async fn connect(database: &TestDatabase, change: impl FnOnce(&mut DatabaseSettings)) -> Database {
    let mut settings = database.settings();
    // What is tested is not the bound.
    settings.statement_timeout = Duration::ZERO;
    change(&mut settings);
    let witness = Witness::new("test", "off");
    Database::connect(&settings, witness.telemetry()).await.unwrap()
}

/// Drops a statement of ten minutes once it runs; says what finds it in [`running`].
async fn abandon(database: &Database, onlooker: &Database) -> String {
    let name = Uuid::now_v7().simple().to_string();
    let (sql, like) = (format!("{} /* {name} */", sleep(database, 600)), format!("%{name}%"));
    let work = database.execute_unprepared(&sql);
    let runs = eventually("it runs", async || running(onlooker, &like).await == 1);
    tokio::select! {
        result = work => panic!("it ended: {result:?}"),
        () = runs => like,
    }
}

#[tokio::test]
async fn a_statement_that_was_dropped_ends_in_the_server() {
    let place = TestDatabase::create().await;
    if place.url().starts_with("sqlite:") {
        return;
    }
    let (database, onlooker) = (connect(&place, |_| {}).await, connect(&place, |_| {}).await);
    let like = abandon(&database, &onlooker).await;
    let dropped = Instant::now();
    eventually("it has ended", async || running(&onlooker, &like).await == 0).await;
    let times = Times { recovery: Some(dropped.elapsed()), ..Times::default() };
    times.tell("dropped statement (gone from the server)");
    database.close().await;
    onlooker.close().await;
}

/// The orphan is told from a statement that somebody waits for, which runs at the same time.
#[tokio::test]
async fn a_statement_that_is_waited_for_goes_on_when_another_is_dropped() {
    let place = TestDatabase::create().await;
    if place.url().starts_with("sqlite:") {
        return;
    }
    let (database, onlooker) = (connect(&place, |_| {}).await, connect(&place, |_| {}).await);
    let like = abandon(&database, &onlooker).await;
    database.execute_unprepared(&sleep(&database, 3)).await.unwrap();
    eventually("it has ended", async || running(&onlooker, &like).await == 0).await;
    database.close().await;
    onlooker.close().await;
}

#[tokio::test]
async fn a_statement_ends_at_its_bound_and_migrations_have_none() {
    let place = TestDatabase::create().await;
    if place.url().starts_with("sqlite:") {
        return;
    }
    let bound = |settings: &mut DatabaseSettings| {
        settings.statement_timeout = Duration::from_millis(500);
    };
    let database = connect(&place, bound).await;
    // MariaDB's SLEEP and BENCHMARK tell of their end by a value, not by an error.
    let error = match database.backend() {
        DbBackend::Postgres => database.execute_unprepared("SELECT pg_sleep(600)").await,
        _ => database.execute_unprepared(MYSQL_ENDLESS).await,
    };
    let error = error.unwrap_err();
    assert!(is_unavailable(&error), "{error}");
    let asked = Instant::now();
    Runner::<Patient>::new(database.connection()).up().await.unwrap();
    assert!(asked.elapsed() >= Duration::from_secs(2), "{:?}", asked.elapsed());
    database.close().await;
}

/// A step that takes its time, as an index on a large table does.
struct Patient;

#[async_trait::async_trait]
impl MigratorTrait for Patient {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Self)]
    }
}

impl MigrationName for Patient {
    fn name(&self) -> &'static str {
        "patient"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Patient {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let long = match connection.get_database_backend() {
            DbBackend::Postgres => "SELECT pg_sleep(2)",
            _ => "SELECT SLEEP(2)",
        };
        connection.execute_unprepared(long).await.map(drop)
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

/// SQLite looks for its reader at each row, and stops when there is none.
#[tokio::test]
async fn a_select_from_a_file_ends_when_its_reader_has_gone() {
    const ENDLESS: &str =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
    let place = TestDatabase::in_file();
    let database = connect(&place, |settings| settings.max_connections = 1).await;
    warm(&database).await;
    let endless = Statement::from_string(DbBackend::Sqlite, ENDLESS);
    let work = database.query_all_raw(endless);
    tokio::time::timeout(Duration::from_millis(200), work).await.unwrap_err();
    // The only connection is free again.
    database.execute_unprepared("SELECT 1").await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn the_statement_of_a_client_that_leaves_is_given_up_by_the_server() {
    let app = App::with(|settings| {
        patient(settings);
        settings.database.statement_timeout = Duration::ZERO;
    })
    .await;
    if app.database.url().starts_with("sqlite:") {
        return;
    }
    let person = app.person().await;
    // Whoever wants to change this user waits.
    let onlooker = app.connection().await;
    let holder = onlooker.begin().await.unwrap();
    holder.execute_unprepared("UPDATE users SET version = version + 1").await.unwrap();
    let mut stream = TcpStream::connect(app.client.address()).await.unwrap();
    let patch = person.client.token().unwrap();
    let body = r#"{"name":"Grace Hopper"}"#;
    let request = format!(
        "PATCH {} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {patch}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        person.path(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let like = "UPDATE%users%";
    eventually("it waits", async || running(&onlooker, like).await == 1).await;
    let left = Instant::now();
    drop(stream);
    eventually("it has ended", async || running(&onlooker, like).await == 0).await;
    let recovery = Some(left.elapsed());
    let pool = Some(pool_is_idle(&app.client, left).await);
    Times { recovery, pool, ..Times::default() }.tell("client left (gone from the server)");
    if app.database.url().starts_with("mysql:") {
        let told = async || {
            let lines = app.witness.lines();
            let such = |line: &&Value| line["message"] == "abandoned statements were ended";
            lines.iter().find(such).is_some_and(|line| line["killed"] == 1)
        };
        eventually("it is told", told).await;
    }
    holder.rollback().await.unwrap();
    onlooker.close().await;
    // What was given up has not happened.
    let user = person.client.get(&person.path()).send().await.expect(200).json();
    assert_eq!(user["name"], "Ada Lovelace");
}
