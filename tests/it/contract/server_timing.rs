//! `Server-Timing`: what the time went to, in the grammar of W3C Server Timing, and true.

use chassis::testing::Answer;
use opentelemetry::trace::SpanKind;

use crate::support::App;

/// The parts of the header.
pub(super) struct ServerTiming {
    pub(super) total: f64,
    pub(super) database: f64,
    pub(super) queries: usize,
    /// The ids of the server span, and the flags: `trace-span-flags` without the version.
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) flags: String,
}

impl ServerTiming {
    /// Fails where the header is not exactly of the form that the contract gives.
    #[track_caller]
    pub(super) fn of(answer: &Answer) -> Self {
        let field = answer.header("server-timing");
        Self::parse(field).unwrap_or_else(|| panic!("not the agreed form: {field}"))
    }

    fn parse(field: &str) -> Option<Self> {
        let mut metrics = field.split(", ");
        let total = metrics.next()?.strip_prefix("total;dur=")?;
        let (database, queries) =
            metrics.next()?.strip_prefix("db;dur=")?.split_once(";desc=\"")?;
        let parent = metrics.next()?.strip_prefix("traceparent;desc=\"00-")?;
        let ids: Vec<&str> = parent.strip_suffix('"')?.split('-').collect();
        let lengths: Vec<usize> = ids.iter().map(|id| id.len()).collect();
        (lengths == [32, 16, 2] && metrics.next().is_none()).then_some(())?;
        Some(Self {
            total: total.parse().ok()?,
            database: database.parse().ok()?,
            queries: queries.strip_suffix(" queries\"")?.parse().ok()?,
            trace_id: ids[0].to_owned(),
            span_id: ids[1].to_owned(),
            flags: ids[2].to_owned(),
        })
    }
}

#[tokio::test]
async fn the_statements_are_counted_truly() {
    let app = App::start().await;
    let (person, admin) = (app.person().await, app.admin().await);
    let other = format!("/users/{}", person.id);
    for (call, statements) in [
        (app.client.get("/"), 0),
        (app.client.get("/nowhere"), 0),
        // The caller is looked up.
        (person.client.get("/users/me"), 1),
        (person.client.get(&format!("/users/{}", admin.id)), 1),
        // And so is the one that is asked for.
        (admin.client.get(&other), 2),
    ] {
        let answer = call.send().await;
        let timing = ServerTiming::of(&answer);
        assert_eq!(timing.queries, statements);
        let spans = app.witness.spans_of(&timing.trace_id);
        let clients = spans.iter().filter(|s| s.span_kind == SpanKind::Client);
        assert_eq!(clients.count(), statements);
    }
}

#[tokio::test]
async fn its_numbers_are_those_of_the_request_line() {
    let app = App::start().await;
    let answer = app.person().await.client.get("/users/me").send().await;
    let timing = ServerTiming::of(&answer);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["duration_ms"].as_f64(), Some(timing.total));
    assert_eq!(line["db.duration_ms"].as_f64(), Some(timing.database));
    assert_eq!(line["db.queries"], timing.queries);
    assert!(0.0 < timing.database && timing.database < timing.total);
}
