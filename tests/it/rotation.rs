//! A password that is rotated while the service runs. Only servers have passwords: without
//! `TEST_DATABASE_URL` there is nothing to see here, and `scripts/check-database-tls` does the same on
//! servers that it starts.

use std::fs;
use std::thread;

use chassis::database::{Database, DatabaseSettings};
use chassis::settings::{Environ, Secret};
use chassis::testing::{TestDatabase, Witness};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{App, eventually};

/// A way in that can be closed, and the way in that replaces it.
struct Login {
    administrator: Database,
    settings: DatabaseSettings,
    name: String,
    /// PostgreSQL's server for tests asks for no password, so there it is the user that changes.
    successor: String,
}

impl Login {
    async fn create(database: &TestDatabase) -> Self {
        // Not the test's own, which is dropped before the login: its tables belong to the login.
        let server = Environ::process().get("TEST_DATABASE_URL").map(Secret::new);
        let settings = DatabaseSettings { url: server, max_connections: 1, ..database.settings() };
        let witness = Witness::new("test", "off");
        let administrator = Database::connect(&settings, witness.telemetry()).await.unwrap();
        let name = format!("t_{}", &Uuid::now_v7().simple().to_string()[6..]);
        let successor = match administrator.backend() {
            DbBackend::Postgres => format!("{name}_b"),
            _ => name.clone(),
        };
        let login = Self { administrator, settings, name, successor };
        for statement in login.creating() {
            login.administrator.execute_unprepared(&statement).await.unwrap();
        }
        login
    }

    fn creating(&self) -> Vec<String> {
        let Self { name, successor, .. } = self;
        match self.administrator.backend() {
            DbBackend::Postgres => {
                [name, successor].map(|name| format!("CREATE ROLE {name} LOGIN SUPERUSER")).to_vec()
            }
            _ => vec![
                format!("CREATE USER {name}@'%' IDENTIFIED BY 'first'"),
                format!("GRANT ALL ON *.* TO {name}@'%'"),
            ],
        }
    }

    /// From now on only the successor gets in; whoever is in has to leave.
    async fn rotate(&self) {
        let Self { name, administrator, .. } = self;
        let postgres = administrator.backend() == DbBackend::Postgres;
        let change = if postgres {
            format!("ALTER ROLE {name} NOLOGIN")
        } else {
            format!("ALTER USER {name}@'%' IDENTIFIED BY 'second'")
        };
        administrator.execute_unprepared(&change).await.unwrap();
        if postgres {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename";
            administrator.execute_unprepared(&format!("{end} = '{name}'")).await.unwrap();
            return;
        }
        let open = format!("SELECT id FROM information_schema.processlist WHERE user = '{name}'");
        let open = Statement::from_string(DbBackend::MySql, open);
        for row in administrator.query_all_raw(open).await.unwrap() {
            let id: i64 = row.try_get_by_index(0).unwrap();
            // It may have ended by itself.
            let _ = administrator.execute_unprepared(&format!("KILL {id}")).await;
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let mut statements = Vec::new();
        for name in [&self.name, &self.successor] {
            statements.push(match self.administrator.backend() {
                DbBackend::Postgres => format!("DROP ROLE IF EXISTS {name}"),
                _ => format!("DROP USER IF EXISTS {name}@'%'"),
            });
        }
        let settings = self.settings.clone();
        // Blocking on a runtime is not allowed on the thread of another one.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let witness = Witness::new("test", "off");
                let database = Database::connect(&settings, witness.telemetry()).await.unwrap();
                for statement in statements {
                    database.execute_unprepared(&statement).await.unwrap();
                }
            });
        });
        let _ = dropped.join();
    }
}

/// The same database for somebody else.
fn url(database: &TestDatabase, user: &str) -> Option<String> {
    let (scheme, rest) = database.url().split_once("://")?;
    let (_, place) = rest.split_once('@').filter(|_| scheme != "sqlite")?;
    Some(format!("{scheme}://{user}@{place}"))
}

#[tokio::test]
async fn a_rotated_password_needs_no_restart() {
    let database = TestDatabase::create().await;
    if url(&database, "").is_none() {
        return;
    }
    let login = Login::create(&database).await;
    let first = url(&database, &format!("{}:first", login.name)).unwrap();
    let second = url(&database, &format!("{}:second", login.successor)).unwrap();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("database_url");
    fs::write(&file, &first).unwrap();
    let secret = Secret::new(first).from_file(file.clone());
    let app = App::on(database, |settings| settings.database.url = Some(secret)).await;
    let ada = app.person().await;

    login.rotate().await;
    let refused = async || {
        let answer = ada.client.get("/users/me").send().await;
        if answer.status == 200 {
            return false;
        }
        // Never 500: what is wrong is not the request's, and passes.
        let _ = answer.problem(503);
        assert!(!answer.header("retry-after").is_empty());
        true
    };
    eventually("connections end", refused).await;
    fs::write(&file, format!("{second}\n")).unwrap();
    let answered = async || !refused().await;
    eventually("the new password is used", answered).await;

    let lines = app.witness.lines();
    let told = lines
        .iter()
        .find(|line| line["message"] == "database credentials changed: new connections use them");
    assert_eq!(told.unwrap()["settings"], "database.url");
    app.witness.assert_silent_about(&[":first@", ":second@"]);
    drop(app);
}
