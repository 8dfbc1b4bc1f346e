//! Requests that are answered with an error at once: by the listener, by the stack, by a handler.

use belvedere::users::store;
use chassis::http::quota::Rate;
use poem::http::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::book::{Book, ELSEWHERE, Row};
use super::{app, settings};
use crate::support::{App, PASSWORD, new_user};

/// What neither the listener nor the router finds any use for.
pub(super) async fn heads(book: &mut Book, app: &App) {
    let row = Row::new("400 head that cannot be parsed", 400);
    book.tell_bytes(app, row, "GET / HTTP/1.1\r\nno header\r\n\r\n").await;
    let many = "a: b\r\n".repeat(101);
    let row = Row::new("431 too many headers", 431);
    book.tell_bytes(app, row, &format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    let large = "a".repeat(1 << 20);
    let row = Row::new("431 headers too large", 431);
    book.tell_bytes(app, row, &format!("GET / HTTP/1.1\r\na: {large}\r\n\r\n")).await;
    let long = "a".repeat(1 << 16);
    let row = Row::new("414 path too long", 414);
    book.tell_bytes(app, row, &format!("GET /{long} HTTP/1.1\r\n\r\n")).await;
    book.tell(app, Row::new("404 no route", 404), app.client.get("/nowhere")).await;
    book.tell(app, Row::new("405 method", 405), app.client.delete("/users")).await;
    let unknown = app.client.call(Method::from_bytes(b"FROBNICATE").unwrap(), "/users");
    book.tell(app, Row::new("405 unknown method", 405), unknown).await;
    let image = app.client.get("/").header("accept", "image/png");
    book.tell(app, Row::new("406 not acceptable", 406), image).await;
}

/// Who asks, and for whom.
pub(super) async fn callers(book: &mut Book, app: &App) {
    let (person, other) = (app.person().await, app.person().await);
    let client = &person.client;
    book.tell(app, Row::new("401 no token", 401), app.client.get("/users/me")).await;
    let wrong = json!({ "email": person.email, "password": "not the password at all" });
    let row = Row::new("401 wrong password", 401).statements().hashes(1);
    book.tell(app, row, app.client.post("/auth/login").json(&wrong)).await;
    let row = Row::new("403 not an administrator", 403).statements();
    book.tell(app, row, client.get("/users")).await;
    let row = Row::new("404 somebody else's user", 404).statements();
    book.tell(app, row, client.get(&other.path())).await;
    let row = Row::new("400 bad id in the path", 400).statements();
    book.tell(app, row, client.get("/users/7")).await;
    let late = client.patch(&person.path()).header("if-match", "\"9\"");
    let row = Row::new("412 another version", 412).statements();
    book.tell(app, row, late.json(&json!({ "name": "Grace Hopper" }))).await;
    let taken = json!({ "email": other.email });
    let row = Row::new("409 address taken, changing", 409).statements();
    book.tell(app, row, client.patch(&person.path()).json(&taken)).await;
}

pub(super) async fn bodies(book: &mut Book, app: &App) {
    let _ = app.register("ada@example.org").await.expect(201);
    let post = || app.client.post("/users");
    let broken = post().body("application/json", "{\"name\": ");
    book.tell(app, Row::new("400 body that cannot be parsed", 400), broken).await;
    let row = Row::new("409 address taken, creating", 409).statements().hashes(1);
    book.tell(app, row, post().json(&new_user("ada@example.org"))).await;
    let large = post().json(&json!({ "name": "a".repeat(3000) }));
    book.tell(app, Row::new("413 body too large", 413), large).await;
    let plain = post().body("text/plain", "Ada");
    book.tell(app, Row::new("415 media type", 415), plain).await;
    let invalid = post().json(&json!({ "name": 7 }));
    book.tell(app, Row::new("422 invalid fields", 422), invalid).await;
}

/// What the caller cannot help.
pub(super) async fn of_the_service(book: &mut Book) {
    let limited = App::with(|all| {
        settings(all);
        all.rate_limit.enabled = true;
        all.rate_limit.default = Rate::per_minute(1);
    })
    .await;
    let _ = limited.client.get("/").send().await.expect(200);
    book.tell(&limited, Row::new("429 too many requests", 429), limited.client.get("/")).await;

    let full = App::with(|all| {
        settings(all);
        all.server.max_in_flight = 0;
    })
    .await;
    let row = Row::new("503 too many in flight", 503).error_type("overload");
    book.tell(&full, row, full.client.get("/")).await;

    let hashing = App::with(|all| {
        settings(all);
        (all.password.max_concurrent, all.password.queue) = (Some(0), 0);
    })
    .await;
    let login = json!({ "email": "nobody@example.org", "password": PASSWORD });
    let row = Row::new("503 hashing queue full", 503).error_type("password_hash_overloaded");
    book.tell(&hashing, row.statements(), hashing.client.post("/auth/login").json(&login)).await;

    faults(book).await;
}

async fn faults(book: &mut Book) {
    let app = app().await;
    let person = app.person().await;
    let database = app.connection().await;
    let login = json!({ "email": person.email, "password": PASSWORD });
    let login = || app.client.post("/auth/login").json(&login);
    let id = person.id.parse().unwrap();
    let hash = store::find(&database, id).await.unwrap().unwrap().password_hash;
    assert!(hash.expose().starts_with("$argon2id$"));
    database.execute_unprepared("UPDATE users SET password_hash = 'no hash'").await.unwrap();
    let row = Row::new("500 stored hash unreadable", 500).error_type("500");
    book.tell(&app, row.statements().hashes(1), login()).await;
    database.execute_unprepared("ALTER TABLE users RENAME TO people").await.unwrap();
    let row = Row::new("503 table missing", 503).error_type("database_unavailable").statements();
    // There is nothing to wait for: the statement is refused at once.
    book.tell_of(&app, row, login(), ELSEWHERE).await;
    database.close().await;
}
