//! Requests that somebody gives up on: the service, its database, the caller.

use std::time::Duration;

use belvedere::settings::Settings;
use chassis::testing::story::Seen;
use chassis::testing::{Call, Witness};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::book::{Book, ELSEWHERE, Ids, Row};
use super::lock::{Lock, tells};
use super::settings;
use crate::support::{App, PASSWORD, Person, eventually};

/// Enough for the statements before the one that waits, on any machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// Statements that come to no end.
pub(super) async fn too_late(book: &mut Book) {
    let app = with(|all| all.server.request_timeout = PATIENCE).await;
    let person = app.person().await;
    let lock = Lock::take(&app).await;
    let row = Row::new("503 request timeout", 503).error_type("timeout").statements();
    book.tell_of(&app, row, rename(&person), ELSEWHERE).await;
    lock.release().await;

    let app = with(|all| {
        all.database.acquire_timeout = PATIENCE;
        all.database.max_connections = 1;
    })
    .await;
    let person = app.person().await;
    let lock = Lock::take(&app).await;
    let row = Row::new("503 database not to be had", 503).error_type("database_unavailable");
    if tells(&app) {
        let first = tokio::spawn(rename(&person).send());
        lock.waiting().await;
        // That one has the only connection.
        book.tell_of(&app, row.statements(), rename(&person), Seen::Nothing).await;
        lock.release().await;
        let _ = first.await.unwrap().expect(200);
    } else {
        book.tell_of(&app, row.statements(), rename(&person), ELSEWHERE).await;
        lock.release().await;
    }
}

/// Callers that do not wait for their answers.
pub(super) async fn gone(book: &mut Book) {
    let app = with(|_| {}).await;
    let ids = book.ids("01");
    let (stream, lock) = waiting(&app, &ids).await;
    let texts = if tells(&app) { lock.waiting().await } else { Vec::new() };
    drop(stream);
    let told = async || !app.witness.lines_of(&ids.request_id).is_empty();
    eventually("its line is there", told).await;
    lock.release().await;
    let row = Row::unanswered("client gone", "client_disconnected").statements();
    book.enter(&app.witness, row, Some(&ids), None, seen(&app, &texts));
}

/// A service that cannot wait for its callers any longer.
pub(super) async fn cut_off(book: &mut Book) {
    let app = with(|all| all.server.drain_timeout = Duration::from_millis(100)).await;
    let ids = book.ids("01");
    let (_stream, lock) = waiting(&app, &ids).await;
    let texts = if tells(&app) { lock.waiting().await } else { Vec::new() };
    let seen = seen(&app, &texts);
    let App { service, witness, .. } = app;
    let stopped = tokio::spawn(service.stop());
    eventually("its line is there", async || !witness.lines_of(&ids.request_id).is_empty()).await;
    // It ends whether or not the database lets go of the statement.
    timeout(Duration::from_secs(20), stopped).await.unwrap().unwrap();
    lock.release().await;
    let row = Row::unanswered("cut off by the drain timeout", "drain_timeout").statements();
    book.enter(&witness, row, Some(&ids), None, seen);
}

async fn with(change: impl FnOnce(&mut Settings)) -> App {
    App::with(|all| {
        settings(all);
        change(all);
    })
    .await
}

/// Reads the caller's row, and then writes.
fn rename(person: &Person) -> Call {
    person.client.patch(&person.path()).json(&json!({ "name": "Grace Hopper" }))
}

/// A change that waits for the table, on a connection of the test's own.
async fn waiting(app: &App, ids: &Ids) -> (TcpStream, Lock) {
    let person = app.person().await;
    let login = app.log_in(&person.email, PASSWORD).await.expect(200).json();
    let (path, token) = (person.path(), login["access_token"].as_str().unwrap());
    let (ids_sent, body) = (ids.head(), "{\"name\":\"Grace Hopper\"}");
    let request = format!(
        "PATCH {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n{ids_sent}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let lock = Lock::take(app).await;
    let mut stream = TcpStream::connect(app.client.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    if !tells(app) {
        // Readers do not wait there.
        let read = async || is_read(&app.witness, ids.trace_id());
        eventually("the caller's row has been read", read).await;
    }
    (stream, lock)
}

fn is_read(witness: &Witness, trace_id: &str) -> bool {
    witness.spans_of(trace_id).iter().any(|span| span.name == "SELECT users")
}

fn seen<'a>(app: &App, texts: &'a [String]) -> Seen<'a> {
    if tells(app) { Seen::Texts(texts) } else { ELSEWHERE }
}
