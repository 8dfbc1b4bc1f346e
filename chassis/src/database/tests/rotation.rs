//! Secrets whose files change while the database is open. Passwords of servers are rotated in
//! `tests/it/rotation.rs` and `scripts/check-database-tls`; a SQLite URL shows the same with its mode.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tracing::instrument::WithSubscriber;

use super::*;
use crate::database::rotation::State;

struct Rotating {
    directory: TempDir,
    telemetry: Telemetry,
    captured: Captured,
}

impl Rotating {
    fn new() -> Self {
        let (telemetry, captured) = telemetry();
        Self { directory: TempDir::new().unwrap(), telemetry, captured }
    }

    fn secret(&self) -> PathBuf {
        self.directory.path().join("secret")
    }

    /// Replaces the file as a whole, as orchestrators do.
    fn write(&self, text: &str) {
        let next = self.directory.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.secret()).unwrap();
    }

    fn url(&self, mode: &str) -> String {
        format!("sqlite://{}/test.db?mode={mode}", self.directory.path().display())
    }

    async fn open(&self) -> Database {
        self.write(&format!("{}\n", self.url("rwc")));
        let url = Secret::new(self.url("rwc")).from_file(self.secret());
        let settings = DatabaseSettings { url: Some(url), max_connections: 1, ..at("sqlite:") };
        Database::connect(&settings, &self.telemetry).await.unwrap()
    }

    async fn until_told(&self, words: &str) {
        for _ in 0..1500 {
            if self.told().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never told: {words}, only {}", self.told());
    }

    fn told(&self) -> String {
        self.captured.text()
    }
}

/// Writes on a connection that is newly opened, for the pool keeps none that failed to come back.
async fn write_on_new_connection(database: &Database, email: &str) -> Result<(), DbErr> {
    let pool = database.connection().get_sqlite_connection_pool();
    let open = pool.acquire().await.unwrap();
    open.close().await.unwrap();
    database.execute_raw(insert(email)).await.map(|_| ())
}

#[tokio::test]
async fn new_connections_use_what_the_file_has_now() {
    let rotating = Rotating::new();
    let database = rotating.open().await;
    create_table(&database).await;
    write_on_new_connection(&database, "a").await.unwrap();
    rotating.write(&rotating.url("ro"));
    rotating.until_told("\"settings\":\"database.url\"").await;
    // The one that is open stays as it is.
    database.execute_raw(insert("b")).await.unwrap();
    write_on_new_connection(&database, "c").await.unwrap_err();
    rotating.write(&rotating.url("rw"));
    for _ in 0..1500 {
        if write_on_new_connection(&database, "d").await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(count(&database).await, 3);
    let told = rotating.told();
    assert!(told.contains("database credentials changed: new connections use them"), "{told}");
    assert!(!told.contains("mode="), "{told}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_told_once() {
    let rotating = Rotating::new();
    rotating.write(&rotating.url("rwc"));
    let url = Secret::new(rotating.url("rwc")).from_file(rotating.secret());
    let mut state = State::new(&DatabaseSettings { url: Some(url), ..at("sqlite:") });
    let pools = Rotated { primary: Vec::new(), replica: Vec::new() };
    for (text, words) in [
        ("\n", "the file is empty"),
        ("hunter2", "they describe no database"),
        ("sqlite:///elsewhere.db", "another database, which takes a restart"),
        ("", "the file is empty"),
    ] {
        let before = rotating.told().len();
        for text in [text, text, &rotating.url("rwc")] {
            rotating.write(text);
            state.look(&pools).with_subscriber(rotating.telemetry.dispatch()).await;
        }
        let told = rotating.told().split_off(before);
        assert_eq!(told.matches("database credentials cannot be read again").count(), 1, "{told}");
        assert!(told.contains(words) && !told.contains("hunter2"), "{told}");
        assert!(!told.contains("credentials changed"), "{told}");
    }
    fs::remove_file(rotating.secret()).unwrap();
    state.look(&pools).with_subscriber(rotating.telemetry.dispatch()).await;
    assert!(rotating.told().contains("No such file"));
}

#[tokio::test]
async fn a_replica_has_its_own_secret() {
    let rotating = Rotating::new();
    let replica = rotating.open().await;
    create_table(&replica).await;
    let url = Secret::new(rotating.url("rwc")).from_file(rotating.secret());
    let primary = DatabaseSettings { read_url: Some(url), ..at("sqlite::memory:") };
    let mut state = State::new(&primary);
    let pools = Rotated { primary: Vec::new(), replica: vec![replica.connection().clone()] };
    rotating.write(&rotating.url("ro"));
    state.look(&pools).with_subscriber(rotating.telemetry.dispatch()).await;
    write_on_new_connection(&replica, "a").await.unwrap_err();
    assert!(rotating.told().contains("\"settings\":\"database.read_url\""), "{}", rotating.told());
}

#[tokio::test]
async fn no_connection_to_a_server_outlives_its_password_for_long() {
    let (_, metrics) = in_memory().await;
    for scheme in ["postgres", "mysql"] {
        let target = Target::from_settings(&at(&format!("{scheme}://db/users"))).unwrap();
        let session = Session::new(scheme, Duration::ZERO, None);
        let pool = Pool::new("primary", 1, Duration::from_secs(1), session, &metrics);
        let connection = target.open(&pool);
        let lifetime = match connection.get_database_backend() {
            DbBackend::Postgres => {
                connection.get_postgres_connection_pool().options().get_max_lifetime()
            }
            _ => connection.get_mysql_connection_pool().options().get_max_lifetime(),
        };
        assert_eq!(lifetime, Some(Duration::from_mins(30)));
    }
}
