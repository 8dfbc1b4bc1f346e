//! One request, one story, for what only handlers of a test do: panic, wait, hold connections, and
//! start work of their own. And SQL comments as every kind of database sees them.
//!
//! Every class of answer that a service has is in its own table, beside its tests.

mod site;

use std::time::Duration;

use chassis::lifecycle::Outcome;
use chassis::testing::story::{Finding, PLACES, Seen};
use chassis::testing::{Expected, Story, StoryTable};
use opentelemetry::trace::SpanKind;

use self::site::World;
use crate::support::{GET, Settings, eventually, in_time};

/// Enough for a few statements, on any machine.
const SHORT: Duration = Duration::from_secs(2);
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
/// How a request goes that asks the database.
const ASKS: Expected<'_> = Expected {
    answer: None,
    traceparent: None,
    error_type: None,
    statements: true,
    hashes: 0,
    seen: Seen::Nothing,
};

#[tokio::test]
async fn whatever_a_handler_runs_into_has_its_ids_wherever_somebody_may_look() {
    let mut table = StoryTable::new("what a handler runs into");
    answers(&mut table).await;
    refused(&mut table).await;
    without_a_connection(&mut table).await;
    too_late(&mut table).await;
    gone(&mut table).await;
    cut_off(&mut table).await;
    assert_eq!(table.rows(), 13);
    table.judge();
}

/// A site whose database has enough connections.
async fn world(change: impl FnOnce(&mut Settings)) -> World {
    World::with(change, 4).await
}

/// Enters a request whose handler has seen its own statement.
fn enter(
    table: &mut StoryTable,
    world: &World,
    class: &str,
    request_id: &str,
    told: &Expected<'_>,
) {
    let texts = world.seen();
    let expected = Expected { seen: Seen::Texts(&texts), ..*told };
    table.add(class, &world.app.witness.story_of(request_id), &expected);
}

async fn answers(table: &mut StoryTable) {
    let world = world(|_| {}).await;
    let classes = [
        ("200 asks the database", "/ask", 200, None, None),
        ("200 in a trace of the caller's", "/ask", 200, None, Some(SAMPLED)),
        ("200 in a trace that is not sampled", "/ask", 200, None, Some(UNSAMPLED)),
        ("200 with tasks, threads and spans", "/busy", 200, None, None),
        ("500 fails", "/fail", 500, Some("500"), None),
        ("500 panics", "/panic", 500, Some("panic"), None),
    ];
    for (class, path, status, error_type, traceparent) in classes {
        let call = world.app.client.get(path);
        let call = match traceparent {
            Some(parent) => call.header("traceparent", parent),
            None => call,
        };
        let answer = call.send().await.expect(status);
        let told = Expected { answer: Some(&answer), traceparent, error_type, ..ASKS };
        enter(table, &world, class, answer.header("x-request-id"), &told);
    }
    let mut http2 = world.app.http2().await;
    let get = http2.request(GET, "/ask").header("x-request-id", "h2");
    let answer = http2.send(get, "").await.expect(200);
    let told = Expected { answer: Some(&answer), ..ASKS };
    enter(table, &world, "200 over HTTP/2", "h2", &told);
}

async fn refused(table: &mut StoryTable) {
    let world = world(|settings| settings.stack.server.max_in_flight = 1).await;
    let mut first = world.app.raw().await;
    first.get("/wait", "first").await;
    world.app.gate.arrival().await;
    let answer = world.app.client.get("/ask").send().await.expect(503);
    let told =
        Expected { answer: Some(&answer), error_type: Some("overload"), ..Expected::default() };
    let story = world.app.witness.story_of(answer.header("x-request-id"));
    table.add("503 too many in flight", &story, &told);
    world.app.gate.open();
    let _ = first.answer().await.expect(200);
}

async fn without_a_connection(table: &mut StoryTable) {
    let world = World::with(|_| {}, 1).await;
    let mut first = world.app.raw().await;
    first.get("/hold", "first").await;
    world.app.gate.arrival().await;
    let answer = world.app.client.get("/ask-briefly").send().await.expect(503);
    let told = Expected { answer: Some(&answer), error_type: Some("database_unavailable"), ..ASKS };
    let story = world.app.witness.story_of(answer.header("x-request-id"));
    table.add("503 no connection in the pool", &story, &told);
    world.app.gate.open();
    let _ = first.answer().await.expect(200);
}

async fn too_late(table: &mut StoryTable) {
    let world = world(|settings| settings.stack.server.request_timeout = SHORT).await;
    let answer = world.app.client.get("/wait").send().await.expect(503);
    let told = Expected { answer: Some(&answer), error_type: Some("timeout"), ..ASKS };
    enter(table, &world, "503 request timeout", answer.header("x-request-id"), &told);
}

async fn gone(table: &mut StoryTable) {
    let world = world(|_| {}).await;
    let told = Expected { error_type: Some("client_disconnected"), ..ASKS };
    let mut connection = world.app.raw().await;
    connection.get("/wait", "gone").await;
    world.app.gate.arrival().await;
    drop(connection);
    world.app.told("gone").await;
    enter(table, &world, "client gone", "gone", &told);

    let mut http2 = world.app.http2().await;
    let answer = http2.begin(http2.request(GET, "/wait").header("x-request-id", "reset"));
    world.app.gate.arrival().await;
    drop(answer);
    world.app.told("reset").await;
    enter(table, &world, "client gone, over HTTP/2", "reset", &told);
}

async fn cut_off(table: &mut StoryTable) {
    let mut world = world(|_| {}).await;
    let mut connection = world.app.raw().await;
    connection.get("/wait", "cut").await;
    world.app.gate.arrival().await;
    let stopped = world.app.stop(Duration::from_millis(100));
    assert_eq!(in_time("the end", stopped).await.unwrap(), Outcome::CutOff);
    let told = Expected { error_type: Some("drain_timeout"), ..ASKS };
    enter(table, &world, "cut off by the drain timeout", "cut", &told);
}

#[tokio::test]
async fn whatever_is_another_requests_or_missing_is_noticed() {
    let world = world(|_| {}).await;
    let client = &world.app.client;
    let _ = client.get("/fail").header("x-request-id", "one").send().await.expect(500);
    let own = world.seen();
    let other = client.get("/panic").header("x-request-id", "other").send().await.expect(500);
    let seen = world.seen();
    let story = world.app.witness.story_of("one");
    let mistaken = |told: Expected<'_>| {
        let found = story.places(&told);
        PLACES
            .into_iter()
            .zip(found)
            .filter(|(_, found)| matches!(found, Finding::Wrong(_)))
            .map(|(place, _)| place)
            .collect::<Vec<_>>()
    };
    let right = Expected { error_type: Some("500"), seen: Seen::Texts(&own), ..ASKS };
    assert_eq!(mistaken(right), ["log lines"], "it was answered");
    let another = Expected { answer: Some(&other), seen: Seen::Texts(&seen), ..right };
    assert_eq!(mistaken(another), ["headers", "problem", "SQL comment"]);
    let another = Expected { error_type: Some("panic"), ..another };
    assert_eq!(mistaken(another), ["log lines", "headers", "problem", "SQL comment"]);
    let nothing = Expected { statements: false, seen: Seen::Texts(&[]), ..another };
    assert_eq!(mistaken(nothing)[3..], ["spans below", "SQL comment"]);
    let continued = Expected { traceparent: Some(SAMPLED), ..right };
    assert!(mistaken(continued).contains(&"server span"));
}

/// The ids of a span: its own, and its parent's.
fn ids(story: &Story, name: &str) -> (String, String) {
    let span = story.span(name);
    (span.span_context.span_id().to_string(), span.parent_span_id.to_string())
}

#[tokio::test]
async fn lines_and_statements_belong_to_the_span_that_they_are_made_in() {
    let world = world(|_| {}).await;
    let _ = world.app.client.get("/busy").header("x-request-id", "busy").send().await.expect(200);
    let story = world.app.witness.story_of("busy");
    let (server, _) = ids(&story, "GET /busy");
    let (outer, above_outer) = ids(&story, "outer");
    let (inner, above_inner) = ids(&story, "inner");
    assert_eq!((&above_outer, &above_inner), (&server, &outer));
    for (message, span) in [
        ("in the handler", &server),
        ("in a library", &server),
        ("in a task", &server),
        ("in an instrumented task", &server),
        ("in a thread", &server),
        ("in a span", &outer),
        ("in a span of a span", &inner),
        ("request", &server),
    ] {
        assert_eq!(story.line(message)["span_id"], **span, "{message}");
    }
    let statements: Vec<_> =
        story.spans().iter().filter(|span| span.span_kind == SpanKind::Client).collect();
    assert!(!statements.is_empty());
    for statement in statements {
        assert_eq!(statement.parent_span_id.to_string(), inner, "{}", statement.name);
    }
}

#[tokio::test]
async fn what_outlives_its_request_still_belongs_to_it() {
    let world = world(|_| {}).await;
    let call = world.app.client.get("/leave").header("traceparent", SAMPLED);
    let answer = call.header("x-request-id", "left").send().await.expect(200);
    world.app.gate.arrival().await;
    assert_eq!(world.app.witness.story_of("left").spans().len(), 1, "the server span has ended");
    world.app.gate.open();
    let ended = || {
        let spans = world.app.witness.spans_of(&SAMPLED[3..35]);
        spans.iter().any(|span| span.name == "outliving")
    };
    eventually("the end of the span", ended).await;
    let story = world.app.witness.story_of("left");
    let told =
        Expected { answer: Some(&answer), traceparent: Some(SAMPLED), ..Expected::default() };
    let found = story.places(&told);
    assert!(!found.iter().any(|found| matches!(found, Finding::Wrong(_))), "{found:?}");
    let (server, _) = ids(&story, "GET /leave");
    let (outliving, above) = ids(&story, "outliving");
    let (inner, above_inner) = ids(&story, "inner");
    assert_eq!((&above, &above_inner), (&server, &outliving));
    assert_eq!(story.line("after the answer")["span_id"], outliving);
    assert_eq!(story.line("within")["span_id"], inner);
}
