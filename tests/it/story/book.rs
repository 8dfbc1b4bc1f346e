//! Makes requests of which the test knows how they will go, and enters them in the table.

use chassis::testing::story::Seen;
use chassis::testing::{Answer, Call, Expected, StoryTable, Witness};

use serde_json::Value;

use super::lock::{Lock, tells};
use crate::support::App;

/// The table that shows SQL comments on a database that does not tell what it runs.
pub(super) const ELSEWHERE: Seen<'static> = Seen::Elsewhere("chassis");

/// The table, and the ids that its callers bring.
pub(super) struct Book {
    pub(super) table: StoryTable,
    callers: u64,
}

/// How a request will go.
#[derive(Clone, Copy)]
pub(super) struct Row {
    class: &'static str,
    status: u16,
    error_type: Option<&'static str>,
    statements: bool,
    hashes: usize,
    flags: &'static str,
}

/// Ids that a caller brings.
pub(super) struct Ids {
    pub(super) request_id: String,
    pub(super) traceparent: String,
}

impl Row {
    pub(super) fn new(class: &'static str, status: u16) -> Self {
        Self { class, status, error_type: None, statements: false, hashes: 0, flags: "01" }
    }

    /// Nobody is left to be answered.
    pub(super) fn unanswered(class: &'static str, error_type: &'static str) -> Self {
        Self::new(class, 0).error_type(error_type)
    }

    /// It asks the database.
    pub(super) fn statements(self) -> Self {
        Self { statements: true, ..self }
    }

    /// So many passwords are hashed or verified.
    pub(super) fn hashes(self, hashes: usize) -> Self {
        Self { hashes, ..self }
    }

    /// It is not the caller's fault.
    pub(super) fn error_type(self, error_type: &'static str) -> Self {
        Self { error_type: Some(error_type), ..self }
    }

    /// The caller's trace is not sampled.
    pub(super) fn unsampled(self) -> Self {
        Self { flags: "00", ..self }
    }
}

impl Ids {
    /// A header for each.
    pub(super) fn head(&self) -> String {
        let Self { request_id, traceparent } = self;
        format!("x-request-id: {request_id}\r\ntraceparent: {traceparent}\r\n")
    }

    /// The trace that the caller is in.
    pub(super) fn trace_id(&self) -> &str {
        &self.traceparent[3..35]
    }

    fn on(&self, call: Call) -> Call {
        let Self { request_id, traceparent } = self;
        call.header("x-request-id", request_id).header("traceparent", traceparent)
    }
}

impl Book {
    pub(super) fn open(title: &str) -> Self {
        Self { table: StoryTable::new(title), callers: 0 }
    }

    /// Makes a call, and looks at its first statement where the database lets one look.
    pub(super) async fn tell(&mut self, app: &App, row: Row, call: Call) {
        if !(row.statements && tells(app)) {
            let seen = if row.statements { ELSEWHERE } else { Seen::Nothing };
            return self.tell_of(app, row, call, seen).await;
        }
        let (ids, lock) = (self.some_ids(row), Lock::take(app).await);
        let before = app.witness.lines().len();
        let answer = tokio::spawn(brought(ids.as_ref(), call).send());
        let texts = lock.waiting().await;
        lock.release().await;
        let answer = answer.await.unwrap();
        assert_none_is_lost(&app.witness.lines()[before..]);
        self.enter(&app.witness, row, ids.as_ref(), Some(&answer), Seen::Texts(&texts));
    }

    /// Makes a call of which the database sees what the test says.
    pub(super) async fn tell_of(&mut self, app: &App, row: Row, call: Call, seen: Seen<'_>) {
        let (ids, before) = (self.some_ids(row), app.witness.lines().len());
        let answer = brought(ids.as_ref(), call).send().await;
        assert_none_is_lost(&app.witness.lines()[before..]);
        self.enter(&app.witness, row, ids.as_ref(), Some(&answer), seen);
    }

    /// Sends what is no request.
    pub(super) async fn tell_bytes(&mut self, app: &App, row: Row, bytes: &str) {
        let answer = app.client.say(bytes).await;
        self.enter(&app.witness, row, None, Some(&answer), Seen::Nothing);
    }

    /// Enters a request that has ended.
    pub(super) fn enter(
        &mut self,
        witness: &Witness,
        row: Row,
        ids: Option<&Ids>,
        answer: Option<&Answer>,
        seen: Seen<'_>,
    ) {
        let status = answer.map_or(0, |answer| answer.status.as_u16());
        assert_eq!(status, row.status, "{}: {answer:?}", row.class);
        let given = || answer.unwrap().header("x-request-id");
        let request_id = ids.map_or_else(given, |ids| &ids.request_id);
        let expected = Expected {
            answer,
            traceparent: ids.map(|ids| ids.traceparent.as_str()),
            error_type: row.error_type,
            statements: row.statements,
            hashes: row.hashes,
            seen,
        };
        self.table.add(row.class, &witness.story_of(request_id), &expected);
    }

    /// Ids that nobody has brought before.
    pub(super) fn ids(&mut self, flags: &str) -> Ids {
        self.callers += 1;
        let number = self.callers;
        Ids {
            request_id: format!("story-{number}"),
            traceparent: format!("00-{number:032x}-{number:016x}-{flags}"),
        }
    }

    /// Every other caller brings ids, and so does one whose trace is not sampled.
    fn some_ids(&mut self, row: Row) -> Option<Ids> {
        let brings = row.flags == "00" || self.table.rows().is_multiple_of(2);
        brings.then(|| self.ids(row.flags))
    }
}

/// A line without ids would not be found at all; only what runs in the background writes such.
#[track_caller]
fn assert_none_is_lost(lines: &[Value]) {
    let mut requests = lines.iter().filter(|line| line["target"] != "chassis::health");
    let lost = requests.find(|line| line["trace_id"].is_null());
    assert_eq!(lost, None, "a line has no ids");
}

fn brought(ids: Option<&Ids>, call: Call) -> Call {
    match ids {
        Some(ids) => ids.on(call),
        None => call,
    }
}
