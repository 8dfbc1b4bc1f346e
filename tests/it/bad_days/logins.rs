//! A server that refuses the service's login while it runs, and takes it again.

use std::time::Instant;

use chassis::database::Database;
use chassis::settings::Secret;
use chassis::testing::{Client, Proxy, TestDatabase};
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::{
    READINESS_LIMIT, Times, answers_again, is_unavailable, patient, pool_is_idle, readiness_is,
    unavailable_in_time,
};
use crate::support::{App, eventually, new_user, settings};

/// A user of the database server, whom a test may lock out.
struct Login {
    admin: Database,
    name: String,
    postgres: bool,
}

impl Login {
    async fn create(place: &TestDatabase) -> Self {
        let witness = chassis::testing::Witness::new("test", "off");
        let admin = Database::connect(&place.settings(), witness.telemetry()).await.unwrap();
        let name = format!("belvedere_{}", &Uuid::now_v7().simple().to_string()[12..]);
        let database = place.url().rsplit('/').next().unwrap();
        let postgres = admin.backend() == DbBackend::Postgres;
        let login = Self { admin, name, postgres };
        let name = &login.name;
        if postgres {
            login.execute(&format!("CREATE ROLE {name} LOGIN")).await;
            login.execute(&format!("ALTER DATABASE {database} OWNER TO {name}")).await;
        } else {
            login.execute(&format!("CREATE USER {name}@'%' IDENTIFIED BY 'heron'")).await;
            login.execute(&format!("GRANT ALL ON {database}.* TO {name}@'%'")).await;
        }
        login
    }

    /// The database by way of the proxy, as this user.
    fn url(&self, proxy: &Proxy) -> Secret {
        let (scheme, rest) = proxy.url().split_once("://").unwrap();
        let (_, address) = rest.split_once('@').unwrap();
        Secret::new(format!("{scheme}://{}:heron@{address}", self.name))
    }

    /// No new connections; the proxy ends those that are there.
    async fn lock(&self) {
        let name = &self.name;
        self.execute(&if self.postgres {
            format!("ALTER ROLE {name} NOLOGIN")
        } else {
            format!("ALTER USER {name}@'%' IDENTIFIED BY 'crane'")
        })
        .await;
    }

    async fn unlock(&self) {
        let name = &self.name;
        self.execute(&if self.postgres {
            format!("ALTER ROLE {name} LOGIN")
        } else {
            format!("ALTER USER {name}@'%' IDENTIFIED BY 'heron'")
        })
        .await;
    }

    async fn remove(self) {
        let name = &self.name;
        if self.postgres {
            self.execute(&format!("REASSIGN OWNED BY {name} TO CURRENT_USER")).await;
            self.execute(&format!("DROP ROLE {name}")).await;
        } else {
            self.execute(&format!("DROP USER {name}@'%'")).await;
        }
        self.admin.close().await;
    }

    async fn execute(&self, sql: &str) {
        self.admin.execute_unprepared(sql).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_is_refused_while_it_runs_is_told_and_comes_back() {
    let place = TestDatabase::create().await;
    let Some(proxy) = Proxy::before(&place).await else {
        return;
    };
    let login = Login::create(&place).await;
    let url = login.url(&proxy);
    let app = App::on(place, |settings| {
        settings.database.url = Some(url);
        patient(settings);
    });
    let app = app.await;
    let person = app.person().await;

    login.lock().await;
    proxy.cut();
    let lost = Instant::now();
    let answer = unavailable_in_time(person.client.get(&person.path())).await;
    let not_ready = readiness_is(&app.client, 503, lost).await;
    assert!(not_ready < READINESS_LIMIT, "{not_ready:?}");
    says_why(&app.client).await;

    login.unlock().await;
    let restored = Instant::now();
    let recovery = answers_again(&person.client, &person.path(), restored).await;
    readiness_is(&app.client, 200, restored).await;
    let pool = pool_is_idle(&app.client, restored).await;
    let [answer, not_ready, recovery, pool] = [answer, not_ready, recovery, pool].map(Some);
    Times { answer, not_ready, recovery, pool }.tell("login refused at run time");
    app.service.stop().await;
    login.remove().await;
}

/// Connections that are there still work: what tells of the refusal is that no new one can be had.
#[tokio::test]
async fn readiness_notices_that_only_new_connections_are_refused() {
    let place = TestDatabase::create().await;
    let Some(proxy) = Proxy::before(&place).await else {
        return;
    };
    let login = Login::create(&place).await;
    let url = login.url(&proxy);
    let mut settings = settings(&place);
    settings.database.url = Some(url);
    let witness = chassis::testing::Witness::new("test", "off");
    let database = Database::connect(&settings.database, witness.telemetry()).await.unwrap();
    let held = database.begin_write().await.unwrap();
    database.ping().await.unwrap();
    login.lock().await;
    database.ping().await.unwrap();
    database.execute_unprepared("SELECT 1").await.unwrap_err();
    let reason = database.ping().await.unwrap_err().to_string();
    assert!(reason.contains("login refused"), "{reason}");
    login.unlock().await;
    database.ping().await.unwrap();
    drop(held);
    database.close().await;
    login.remove().await;
}

/// Operators read the reason in `/health`; nobody reads a password.
async fn says_why(client: &Client) {
    // The schema's check may have turned first.
    let told = async || {
        let health = client.get("/health").send().await.json();
        health["checks"]["database"]["reason"].to_string().contains("login refused")
    };
    eventually("the reason is told", told).await;
    let health = client.get("/health").send().await.expect(503);
    assert!(!health.text().contains("heron"), "{}", health.text());
    is_unavailable(&client.post("/users").json(&new_user("a@example.org")).send().await);
}
