//! What becomes of good and bad settings.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement, TryGetable};
use tempfile::TempDir;

use super::{CANARY, at, connect, in_file, telemetry};
use crate::database::{ConnectError, Database, DatabaseSettings};

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_gives_no_sign_of_life() {
    let directory = TempDir::new().unwrap();
    let (database, _) = connect(&in_file(directory.path())).await;
    let (path, aside) = (directory.path().join("test.db"), directory.path().join("aside.db"));
    database.ping().await.unwrap();
    fs::rename(&path, &aside).unwrap();
    for replace in [|_: &Path| (), |path: &Path| drop(fs::File::create(path).unwrap())] {
        replace(&path);
        let error = database.ping().await.unwrap_err();
        assert!(error.is_unavailable());
        let told = format!("the database file {} was deleted or replaced", path.display());
        assert!(error.to_string().contains(&told), "{error}");
    }
    fs::rename(&aside, &path).unwrap();
    database.ping().await.unwrap();
}

async fn pragma<T: TryGetable>(database: &Database, name: &str) -> T {
    let statement = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {name}"));
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn a_missing_file_is_created_and_opened_for_safe_concurrent_use() {
    let directory = TempDir::new().unwrap();
    let (database, _) = connect(&in_file(directory.path())).await;
    let journal: String = pragma(&database, "journal_mode").await;
    assert_eq!(journal, "wal");
    for (name, value) in [("synchronous", 2), ("foreign_keys", 1)] {
        let found: i32 = pragma(&database, name).await;
        assert_eq!(found, value, "{name}");
    }
    database.ping().await.unwrap();
    database.clone().close().await;
    assert!(database.ping().await.unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_locked_file_is_waited_for_no_longer_than_a_connection() {
    for (acquire_timeout, busy_timeout) in [(2, 2000), (30, 5000)] {
        let acquire_timeout = Duration::from_secs(acquire_timeout);
        let settings = DatabaseSettings { acquire_timeout, ..at("sqlite::memory:") };
        let found: i32 = pragma(&connect(&settings).await.0, "busy_timeout").await;
        assert_eq!(found, busy_timeout);
    }
}

async fn failure(settings: &DatabaseSettings) -> ConnectError {
    Database::connect(settings, &telemetry().0).await.unwrap_err()
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_fails_at_once_and_says_why() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().display();
    for (url, reason) in [
        (
            format!("sqlite://{path}/no/test.db?mode=rwc"),
            format!("the directory {path}/no does not exist"),
        ),
        (format!("sqlite://{path}"), "it is a directory".to_owned()),
        (format!("sqlite://{path}/test.db"), "mode=rwc".to_owned()),
    ] {
        let error =
            failure(&DatabaseSettings { connect_timeout: Duration::MAX / 4, ..at(&url) }).await;
        assert!(!matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&reason), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_later() {
    // Port 1 is reserved and unused.
    for scheme in ["postgres", "postgresql", "mysql"] {
        let error = failure(&at(&format!("{scheme}://user:{CANARY}@127.0.0.1:1/name"))).await;
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the database server 127.0.0.1:1 could not be reached within 0 s"
        );
        assert!(!format!("{error:?}").contains(CANARY));
    }
}

#[tokio::test]
async fn an_unusable_url_is_refused_without_repeating_it() {
    for url in
        ["oracle://u:secret@host/x", "secret", "postgres://u:se/cret@host", "sqlite::memory:?x=1"]
    {
        let error = failure(&at(url)).await;
        let shown = format!("{error} {error:?}");
        assert!(!matches!(error, ConnectError::Unreachable { .. }), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("cret@"), "{shown}");
    }
}

#[tokio::test]
async fn the_parts_describe_a_database_as_well_as_a_url() {
    let directory = TempDir::new().unwrap();
    let parts = DatabaseSettings {
        scheme: Some("sqlite".to_owned()),
        name: Some(directory.path().join("parts.db").display().to_string()),
        ..DatabaseSettings::default()
    };
    let (database, _) = connect(&parts).await;
    assert_eq!(database.system_name(), "sqlite");
    let nameless = failure(&DatabaseSettings { name: None, ..parts }).await;
    assert!(nameless.to_string().starts_with("database.name must be"), "{nameless}");
}
