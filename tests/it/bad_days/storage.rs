//! A disk that takes no more, under a SQLite file: what could not be stored was not created, reads go
//! on, and with space there is service again.

use std::process::Command;
use std::time::Instant;

use chassis::testing::{Client, TestDatabase};
use serde_json::json;

use super::{Times, unavailable_in_time};
use crate::support::process::{Binary, Process};
use crate::support::{App, PASSWORD, eventually, new_user};

/// Nobody's files can be larger than this; the smallest that the file system knows would do.
const NO_SPACE: &str = "1:unlimited";
const SPACE: &str = "unlimited:unlimited";

/// The kernel then refuses to make any file of the process larger, whoever it belongs to. A file system
/// that is really full would need one of its own, which only root may mount.
fn limit(process: &Process, bytes: &str) {
    let (pid, bytes) = (process.id().to_string(), format!("--fsize={bytes}"));
    let status = Command::new("prlimit").args(["--pid", &pid, &bytes]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_full_disk_costs_writes_and_not_the_replica() {
    let binary = Binary::new();
    // Else the kernel ends a process that writes too much, before its write fails.
    let mut process = binary.serve_ignoring("XFSZ");
    let client = Client::new(process.ready().await);
    let _ = client.post("/users").json(&new_user("ada@example.org")).send().await.expect(201);
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let token = client.post("/auth/login").json(&login).send().await.expect(200).json();
    let reader = client.with_token(token["access_token"].as_str().unwrap());

    limit(&process, NO_SPACE);
    let create = |email: &str| client.post("/users").json(&new_user(email));
    let answer = unavailable_in_time(create("grace@example.org")).await;
    unavailable_in_time(create("grace@example.org")).await;
    let _ = reader.get("/users/me").send().await.expect(200);
    let _ = client.get("/livez").send().await.expect(200);
    let _ = client.get("/readyz").send().await.expect(200);
    let line = process.line_where(|line| line["http.response.status_code"] == 503).await;
    assert!(line["error"].as_str().unwrap().contains("SQLITE_IOERR"), "{line}");

    limit(&process, SPACE);
    let restored = Instant::now();
    eventually("writes are taken", async || create("grace@example.org").send().await.status == 201)
        .await;
    let recovery = Some(restored.elapsed());
    Times { answer: Some(answer), recovery, ..Times::default() }.tell("disk full (SQLite)");
    process.stop().await.expect(0);
}

#[tokio::test]
async fn nobody_is_told_that_a_removed_file_keeps_them() {
    let place = TestDatabase::in_file();
    let file = place.url().trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
    let app = App::on(place, |_| {}).await;
    let ada = app.person().await;
    std::fs::rename(&file, format!("{file}.away")).unwrap();
    let _ = app.register("grace@example.org").await.expect(503);
    let change = json!({ "name": "Ada King" });
    let _ = ada.client.patch(&ada.path()).json(&change).send().await.expect(503);
    std::fs::rename(format!("{file}.away"), &file).unwrap();
    let _ = app.register("eve@example.org").await.expect(201);
}
