//! A database that takes no writes: reads go on, and the replica stays ready for them.

use std::time::Instant;

use belvedere::settings::Settings;
use belvedere_migration as migration;
use chassis::database::{Database, is_unavailable};
use chassis::settings::Secret;
use chassis::testing::{TestDatabase, Witness};
use sea_orm::{ConnectionTrait, DbBackend};

use super::{Times, is_unavailable as answers_unavailable, patient, unavailable_in_time};
use crate::support::process::signing_key;
use crate::support::{App, PASSWORD, eventually, new_user};

#[tokio::test]
async fn a_server_that_turns_read_only_goes_on_answering_reads() {
    let app = App::with(patient).await;
    let person = app.person().await;
    let admin = app.connection().await;
    if admin.backend() != DbBackend::Postgres {
        // MySQL knows it for whole servers alone; and a file is below.
        return;
    }
    let name = app.database.url().rsplit('/').next().unwrap();
    let mode = async |mode| {
        let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {mode}");
        // Connections of this one were ended as well.
        let set = async || admin.execute_unprepared(&sql).await.is_ok();
        eventually("the mode is set", set).await;
        // Only new connections know of it, as after a failover.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        if mode == "on" {
            admin.execute_unprepared(end).await.unwrap();
        }
    };
    admin.execute_unprepared("SET default_transaction_read_only = off").await.unwrap();
    mode("on").await;
    let read = async || person.client.get(&person.path()).send().await.status == 200;
    eventually("reads are answered", read).await;
    let create = || app.client.post("/users").json(&new_user("ada@example.org"));
    let answer = unavailable_in_time(create()).await;
    let told = app.witness.lines();
    assert!(told.iter().any(|line| line.to_string().contains("25006, read-only")));
    let _ = app.client.get("/readyz").send().await.expect(200);

    mode("off").await;
    let restored = Instant::now();
    // The connections that are there stay read-only; they are replaced.
    eventually("writes are taken", async || create().send().await.status == 201).await;
    let recovery = Some(restored.elapsed());
    Times { answer: Some(answer), recovery, ..Times::default() }.tell("read-only");
    admin.close().await;
}

#[tokio::test]
async fn a_connection_that_was_found_read_only_is_replaced() {
    let place = TestDatabase::create().await;
    let mut settings = place.settings();
    settings.max_connections = 1;
    let witness = Witness::new("test", "off");
    let database = Database::connect(&settings, witness.telemetry()).await.unwrap();
    let (read_only, create) = match database.backend() {
        DbBackend::Postgres => ("SET default_transaction_read_only = on", "CREATE TABLE t (a int)"),
        DbBackend::MySql => ("SET SESSION TRANSACTION READ ONLY", "CREATE TABLE t (a int)"),
        _ => ("PRAGMA query_only = on", "CREATE TABLE t (a int)"),
    };
    database.execute_unprepared(read_only).await.unwrap();
    let error = database.execute_unprepared(create).await.unwrap_err();
    assert!(is_unavailable(&error), "{error}");
    eventually("another connection", async || database.execute_unprepared(create).await.is_ok())
        .await;
    database.close().await;
}

#[tokio::test]
async fn a_file_that_is_read_only_is_read() {
    let place = TestDatabase::in_file();
    let witness = Witness::new("test", "off");
    let writable = Database::connect(&place.settings(), witness.telemetry()).await.unwrap();
    migration::up(writable.connection()).await.unwrap();
    writable.close().await;
    // The one that writes stays, so that the read-only one finds the file's log.
    let url = place.url().replace("mode=rwc", "mode=ro");
    let key = Secret::new(signing_key());
    let with_key = |settings: &mut Settings| {
        settings.auth.signing_key = Some(key.clone());
        patient(settings);
    };
    let writer = App::on(place, with_key).await;
    let person = writer.person().await;
    let place = writer.database.clone();
    let reader = App::on(place, |settings| {
        settings.database.url = Some(Secret::new(&url));
        settings.database.migrate_on_start = Some(false);
        with_key(settings);
    })
    .await;
    // Who is signed in goes on reading; a session cannot begin where it cannot be kept, and guesses that
    // cannot be counted are not let through.
    let client = reader.client.with_token(&person.access_token);
    let _ = client.get("/users/me").send().await.expect(200);
    answers_unavailable(&reader.log_in(&person.email, PASSWORD).await);
    answers_unavailable(&reader.register("grace@example.org").await);
    let told = reader.witness.lines();
    assert!(told.iter().any(|line| line.to_string().contains("SQLITE_READONLY, read-only")));
    let _ = reader.client.get("/readyz").send().await.expect(200);
}
