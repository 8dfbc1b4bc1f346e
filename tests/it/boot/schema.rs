//! A schema that is behind, and somebody else who brings it up; one that is ahead.

use belvedere_migration::Migrator;
use chassis::testing::Client;
use sea_orm::ConnectionTrait;
use sea_orm_migration::MigratorTrait;
use serde_json::json;

use crate::support::process::Binary;
use crate::support::{PASSWORD, eventually};

const AHEAD: &str = "the schema is ahead of this version";

/// How many migrations an empty database lacks, as the service says it and as its gauge does.
fn all_pending() -> (String, String) {
    let reason = match Migrator::migrations().len() {
        1 => "1 migration is pending".to_owned(),
        count => format!("{count} migrations are pending"),
    };
    (reason, format!("schema_migrations_pending {}", Migrator::migrations().len()))
}

#[tokio::test]
async fn a_schema_behind_makes_the_service_wait_for_its_migration() {
    let binary = Binary::with_database().await.in_production();
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let (reason, gauge) = all_pending();
    let line = process
        .line_where(|line| line["check"] == "schema" && line["message"] == "check fails: not ready")
        .await;
    assert_eq!(line["reason"], reason);
    let _ = client.get("/livez").send().await.expect(200);
    let _ = client.get("/startupz").send().await.expect(200);
    let _ = client.get("/readyz").send().await.expect(503);
    let health = client.get("/health").send().await.expect(503).json();
    assert_eq!(health["status"], "not_ready");
    assert_eq!(health["checks"]["schema"]["reason"], reason);
    assert_eq!(pending(&client).await, gauge);
    let credentials = json!({ "email": "ada@example.org", "password": PASSWORD });
    let answer = client.post("/auth/login").json(&credentials).send().await.expect(503);
    assert_eq!(answer.header("retry-after"), "2");

    binary.run(&["migrate", "up"]).await.expect(0);

    process
        .line_where(|line| line["check"] == "schema" && line["message"] == "check passes: ready")
        .await;
    eventually("ready", async || client.get("/readyz").send().await.status == 200).await;
    assert_eq!(pending(&client).await, "schema_migrations_pending 0");
}

#[tokio::test]
async fn development_brings_the_schema_up_by_itself() {
    let binary = Binary::with_database().await;
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    eventually("ready", async || client.get("/readyz").send().await.status == 200).await;
    assert_eq!(pending(&client).await, "schema_migrations_pending 0");
}

#[tokio::test]
async fn ten_services_that_start_at_once_make_the_schema_once() {
    let binary = Binary::with_database().await;
    let mut processes = [(); 10].map(|()| binary.serve());
    let mut applied = 0;
    for process in &mut processes {
        let client = Client::new(process.ready().await);
        eventually("ready", async || client.get("/readyz").send().await.status == 200).await;
    }
    for process in processes {
        let end = process.stop().await.expect(0);
        let is_step = |line: &serde_json::Value| line["message"] == "migration applied";
        applied += end.lines().iter().filter(|line| is_step(line)).count();
    }
    assert_eq!(applied, Migrator::migrations().len());
}

#[tokio::test]
async fn a_schema_ahead_is_served_and_told_once() {
    let binary = Binary::with_database().await;
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let database = binary.connect().await;
    let names = ["m2999_newer", "m2999_newest"];
    for name in names {
        let newer =
            format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
        database.execute_unprepared(&newer).await.unwrap();
        // Each line is given once: another one about the first would come before the second's.
        assert_eq!(process.line(AHEAD).await["migration.name"], name);
        let _ = client.get("/readyz").send().await.expect(200);
        assert_eq!(pending(&client).await, "schema_migrations_pending 0");
    }
    database.close().await;
    process.stop().await.expect(0);
    // A version that does not know the step starts on it as well.
    let binary = binary.in_production();
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    assert_eq!(process.line(AHEAD).await["migration.name"], names[1]);
    let _ = client.get("/readyz").send().await.expect(200);
}

async fn pending(client: &Client) -> String {
    let metrics = client.get("/metrics").send().await.expect(200).text();
    let line = metrics.lines().find(|line| line.starts_with("schema_migrations_pending"));
    line.unwrap().to_owned()
}
