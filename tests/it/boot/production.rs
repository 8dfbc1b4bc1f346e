//! What production refuses, and what it takes to start there.

use chassis::testing::Client;
use serde_json::json;

use crate::support::process::Binary;
use crate::support::{PASSWORD, new_user};

#[tokio::test]
async fn production_wants_a_signing_key_of_its_own() {
    let binary = Binary::new().variable("APP_ENVIRONMENT", "production");
    for command in ["serve", "config"] {
        let end = binary.run(&[command]).await.expect(2);
        end.complains_of(&["auth.signing_key: expected a key: in production none is generated"]);
    }
}

#[tokio::test]
async fn commands_beside_the_service_do_without_the_signing_key() {
    let binary = Binary::with_database().await.variable("APP_ENVIRONMENT", "production");
    binary.run(&["migrate", "up"]).await.expect(0);
    let create = ["users", "create", "--name", "Ada", "--email", "ada@example.org"];
    let create = [&create[..], &["--password-stdin"]].concat();
    binary.run_with_input(&create, PASSWORD).await.expect(0);
    binary.run(&["users", "set-role", "ada@example.org", "admin"]).await.expect(0);
}

#[tokio::test]
async fn production_refuses_to_let_everyone_in() {
    let binary = Binary::new().in_production().variable("APP_AUTH__MODE", "off");
    let end = binary.run(&["serve"]).await.expect(2);
    end.complains_of(&["auth.mode: expected local", "got \"off\" (environment APP_AUTH__MODE)"]);
}

#[tokio::test]
async fn production_changes_nothing_without_a_token() {
    let binary = Binary::with_database()
        .await
        .in_production()
        .variable("APP_SERVER__ADDR", "0.0.0.0:0")
        .variable("APP_DATABASE__MIGRATE_ON_START", "true");
    let mut process = binary.serve();
    let client = here(process.ready().await.port());
    client.get("/log-level").send().await.problem(403);
    let change = client.put("/log-level").json(&json!({ "filter": "off", "for": "1m" }));
    change.send().await.problem(403);
}

#[tokio::test]
async fn a_signing_key_that_is_none_is_refused() {
    let binary = Binary::new().in_production();
    binary.file("signing_key.pem", "hunter2");
    let end = binary.run(&["serve"]).await.expect(2);
    end.complains_of(&["auth.signing_key: expected an Ed25519 private key as PKCS#8 in PEM"]);
    end.is_silent_about(&["hunter2"]);
}

#[tokio::test]
async fn tokens_signed_with_a_key_from_a_file_outlive_a_restart() {
    let binary = Binary::with_database()
        .await
        .in_production()
        .variable("APP_SERVER__ADDR", "0.0.0.0:0")
        .variable("APP_DATABASE__MIGRATE_ON_START", "true");
    let mut process = binary.serve();
    let client = here(process.ready().await.port());
    let _ = client.post("/users").json(&new_user("ada@example.org")).send().await.expect(201);
    let credentials = json!({ "email": "ada@example.org", "password": PASSWORD });
    let login = client.post("/auth/login").json(&credentials).send().await.expect(200).json();
    let token = login["access_token"].as_str().unwrap();
    process.stop().await.expect(0);

    let mut process = binary.serve();
    let client = here(process.ready().await.port()).with_token(token);
    let _ = client.get("/users/me").send().await.expect(200);
    let lines = process.stop().await.expect(0).lines();
    assert!(lines.iter().all(|line| line["deployment.environment.name"] == "production"));
}

/// Production listens on every address; this one is ours.
fn here(port: u16) -> Client {
    Client::new(([127, 0, 0, 1], port).into())
}
