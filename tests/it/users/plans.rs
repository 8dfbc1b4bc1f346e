//! What the databases do for a page: `EXPLAIN` of the very statements that are sent.

use std::sync::Mutex;

use belvedere::users::model::Email;
use belvedere::users::{Cursor, PageQuery, store};
use chassis::database::Database;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use self::explained::{explained, explained_for_all_values};
use super::many::{everyone, fill, search};
use crate::support::App;

mod explained;

/// So many that reading all of them is no planner's choice.
const USERS: usize = 12_000;

/// A connection that remembers what it was asked.
struct Recorder<'a> {
    database: &'a Database,
    statements: Mutex<Vec<Statement>>,
}

#[async_trait]
impl ConnectionTrait for Recorder<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.database.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.remember(&statement);
        self.database.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.remember(&Statement::from_string(self.get_database_backend(), sql));
        self.database.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.remember(&statement);
        self.database.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.remember(&statement);
        self.database.query_all_raw(statement).await
    }
}

impl Recorder<'_> {
    fn remember(&self, statement: &Statement) {
        self.statements.lock().unwrap().push(statement.clone());
    }
}

/// The statements of one page.
async fn sent(database: &Database, query: &PageQuery) -> Vec<Statement> {
    let recorder = Recorder { database, statements: Mutex::default() };
    store::page(&recorder, query).await.unwrap();
    recorder.statements.into_inner().unwrap()
}

fn name(number: usize) -> String {
    match number % 10 {
        3 => format!("Common {number}"),
        _ if number % 2000 == 7 => format!("Rare {number}"),
        _ => format!("Person {number}"),
    }
}

/// `PostgreSQL` sorts where it expects an index to find a handful; that is not the table.
fn without_small_sorts(mut plan: Vec<String>) -> Vec<String> {
    if plan.iter().any(|part| part == "seek by address") {
        plan.retain(|part| part != "sort");
    }
    plan
}

#[tokio::test]
async fn no_page_reads_or_sorts_the_whole_table() {
    let app = App::start().await;
    let database = app.connection().await;
    let ids = fill(&database, (0..USERS).map(name)).await;
    let deep = |query| PageQuery { after: Some(Cursor(ids[USERS / 2])), ..query };
    let email = Email::parse("u77@example.org".to_owned()).unwrap();
    let by_email = |query| PageQuery { email: Some(email.clone()), ..query };
    let unique = &["seek by address"][..];
    let indexes = &["seek by address", "seek by name"][..];
    let (along, behind) = (&["walk by id"][..], &["seek by id"][..]);
    let cases = [
        (everyone(20), vec![along]),
        (deep(everyone(20)), vec![behind]),
        (by_email(everyone(20)), vec![unique]),
        (by_email(search("person", 20)), vec![unique]),
        (search("rare", 20), vec![indexes, behind]),
        (deep(search("rare", 20)), vec![indexes, behind]),
        (search("nobody", 20), vec![indexes]),
        (search("common", 20), vec![indexes, along]),
        (deep(search("common", 20)), vec![indexes, behind]),
        (search("u", 20), vec![indexes, along]),
        (deep(search("u", 20)), vec![indexes, behind]),
    ];
    // SQLite is never told to look at the table; PostgreSQL looks by itself, soon after.
    let statistics = match database.backend() {
        DbBackend::Postgres => &["fresh"][..],
        _ => &["none", "fresh"],
    };
    for statistics in statistics.iter().copied() {
        if statistics == "fresh" {
            let analyze = match database.backend() {
                DbBackend::MySql => "ANALYZE TABLE users",
                _ => "ANALYZE",
            };
            database.execute_unprepared(analyze).await.unwrap();
        }
        for (query, expected) in &cases {
            let statements = sent(&database, query).await;
            let mut plans = Vec::new();
            for statement in &statements {
                assert!(!statement.sql.to_lowercase().contains("count("), "{}", statement.sql);
                let plan = without_small_sorts(explained(&database, statement).await);
                if let Some(for_all) = explained_for_all_values(&database, statement).await {
                    assert_eq!(without_small_sorts(for_all), plan, "for all values, {statement}");
                }
                plans.push(plan);
            }
            assert_eq!(plans, *expected, "{statistics} statistics, {query:?}: {statements:?}");
        }
    }
    database.close().await;
}

#[tokio::test]
async fn a_plan_that_reads_or_sorts_the_table_is_told() {
    let app = App::start().await;
    let database = app.connection().await;
    fill(&database, (0..USERS).map(name)).await;
    for (sql, bad) in [
        ("SELECT * FROM users WHERE address = 'x'", "read the table"),
        ("SELECT * FROM users WHERE id > '0' ORDER BY name LIMIT 5000", "sort"),
    ] {
        // Only SQLite compares an id with a text.
        let sql = match database.backend() {
            DbBackend::Sqlite => sql.to_owned(),
            _ => sql.replace("id > '0'", "version > 0"),
        };
        let statement = Statement::from_string(database.backend(), sql);
        let plan = explained(&database, &statement).await;
        assert!(plan.iter().any(|part| part == bad), "{plan:?}");
    }
    database.close().await;
}
