//! A schema that is behind, and somebody else who brings it up.

use chassis::testing::Client;
use serde_json::json;

use crate::support::process::Binary;
use crate::support::{PASSWORD, eventually};

#[tokio::test]
async fn a_schema_behind_makes_the_service_wait_for_its_migration() {
    let binary = Binary::with_database().await.in_production();
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let line = process
        .line_where(|line| line["check"] == "schema" && line["message"] == "check fails: not ready")
        .await;
    assert_eq!(line["reason"], "1 migration is pending");
    let _ = client.get("/livez").send().await.expect(200);
    let _ = client.get("/startupz").send().await.expect(200);
    let _ = client.get("/readyz").send().await.expect(503);
    let health = client.get("/health").send().await.expect(503).json();
    assert_eq!(health["status"], "not_ready");
    assert_eq!(health["checks"]["schema"]["reason"], "1 migration is pending");
    assert_eq!(pending(&client).await, "schema_migrations_pending 1");
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

async fn pending(client: &Client) -> String {
    let metrics = client.get("/metrics").send().await.expect(200).text();
    let line = metrics.lines().find(|line| line.starts_with("schema_migrations_pending"));
    line.unwrap().to_owned()
}
