//! A database for one test, gone afterwards.

use std::thread;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use uuid::Uuid;

use super::Witness;
use crate::database::{Database, DatabaseSettings};
use crate::settings::{Environ, Secret};

/// Names a server (`postgres://…` or `mysql://…`, with a database to log in to) to test on; without
/// it each test has a SQLite file.
const SERVER: &str = "TEST_DATABASE_URL";

/// An empty database of its own for one test; dropped with this.
pub struct TestDatabase {
    url: String,
    place: Place,
}

enum Place {
    /// Removed when it is dropped; nobody looks into it.
    File {
        _directory: TempDir,
    },
    Server {
        url: String,
        name: String,
    },
}

impl TestDatabase {
    /// Creates the database where the environment says.
    pub async fn create() -> Self {
        let Some(server) = Environ::process().get(SERVER).map(str::to_owned) else {
            return Self::in_file();
        };
        let (base, _) = server.rsplit_once('/').expect("a database in TEST_DATABASE_URL");
        let name = format!("belvedere_test_{}", Uuid::now_v7().simple());
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        Self { url: format!("{base}/{name}"), place: Place::Server { url: server, name } }
    }

    /// A SQLite file, whatever the environment says: for tests about that file.
    pub fn in_file() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = directory.path().join("test.db");
        Self {
            url: format!("sqlite://{}?mode=rwc", path.display()),
            place: Place::File { _directory: directory },
        }
    }

    /// Settings that lead to it.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: Some(Secret::new(&self.url)),
            max_connections: 4,
            // The disks of test machines are slow; tests about waiting set their own limit.
            acquire_timeout: Duration::from_secs(30),
            ..DatabaseSettings::default()
        }
    }

    /// The URL, for tests that start the binary.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Server { url, name } = &self.place else {
            return;
        };
        // PostgreSQL refuses to drop what somebody is connected to, and a failed test leaves
        // connections behind.
        let force = if url.starts_with("postgres") { " WITH (FORCE)" } else { "" };
        let (url, statement) = (url.clone(), format!("DROP DATABASE {name}{force}"));
        // Blocking on a runtime is not allowed on the thread of another one.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(execute(&url, &statement));
        });
        // A database that stays must not hide why the test failed.
        let _ = dropped.join();
    }
}

async fn execute(server: &str, statement: &str) {
    let settings = DatabaseSettings {
        url: Some(Secret::new(server)),
        max_connections: 1,
        ..DatabaseSettings::default()
    };
    let witness = Witness::new("test", "off");
    let server = Database::connect(&settings, witness.telemetry()).await;
    let server = server.expect("the server of TEST_DATABASE_URL");
    server.execute_unprepared(statement).await.expect("the statement");
    server.close().await;
}
