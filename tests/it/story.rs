//! One request, one story: every class of answer that the contract lists, and every place where the
//! request id and the trace id must stand. `--nocapture` shows the table.
//!
//! What is checked at each place is `chassis::testing::story`'s. Panics, and what handlers start by
//! themselves, are told in the chassis's own table, for no operation of this service panics.

mod book;
mod lock;
mod refusals;
mod unanswered;

use poem::http::Method;
use serde_json::json;

use self::book::{Book, Row};
use crate::support::{App, PASSWORD, new_user};

/// The classes that are told; a row that is lost must not go unnoticed.
const CLASSES: usize = 36;

#[tokio::test]
async fn every_class_of_answer_has_its_ids_wherever_somebody_may_look() {
    let mut book = Book::open("class of answer");
    let app = app().await;
    successes(&mut book, &app).await;
    refusals::heads(&mut book, &app).await;
    refusals::callers(&mut book, &app).await;
    refusals::bodies(&mut book, &app).await;
    refusals::of_the_service(&mut book).await;
    unanswered::too_late(&mut book).await;
    unanswered::gone(&mut book).await;
    unanswered::cut_off(&mut book).await;
    assert_eq!(book.table.rows(), CLASSES);
    book.table.judge();
}

/// A service with everything on that has an id to show.
async fn app() -> App {
    App::with(settings).await
}

fn settings(settings: &mut belvedere::settings::Settings) {
    settings.database.sql_comments = true;
    settings.server.body_limit = "2KiB".parse().unwrap();
}

async fn successes(book: &mut Book, app: &App) {
    let (person, admin) = (app.person().await, app.admin().await);
    let (client, path) = (&person.client, person.path());
    let row = Row::new("200 read", 200).statements();
    book.tell(app, row, client.get(&path)).await;
    let unsampled = Row::new("200 read, caller's trace is not sampled", 200).statements();
    book.tell(app, unsampled.unsampled(), client.get(&path)).await;
    let credentials = json!({ "email": person.email, "password": PASSWORD });
    let row = Row::new("200 login", 200).statements().hashes(1);
    book.tell(app, row, app.client.post("/auth/login").json(&credentials)).await;
    let body = new_user("new@example.org");
    let row = Row::new("201 created", 201).statements().hashes(1);
    book.tell(app, row, app.client.post("/users").json(&body)).await;
    let known = client.get(&path).header("if-none-match", "\"1\"");
    book.tell(app, Row::new("304 known already", 304).statements(), known).await;
    let options = client.call(Method::OPTIONS, "/users");
    book.tell(app, Row::new("204 options", 204), options).await;
    let row = Row::new("204 deleted", 204).statements();
    book.tell(app, row, admin.client.delete(&path)).await;
}
