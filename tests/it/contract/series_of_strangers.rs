//! Ten thousand requests of strangers, none like another, add no series.

use std::collections::BTreeSet;
use std::fmt::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exposition::Exposition;
use crate::support::{App, eventually};

/// Pipelined on one connection, the last of them no HTTP at all.
const REQUESTS: u32 = 250;
const CONNECTIONS: u32 = 40;

#[tokio::test]
async fn ten_thousand_strangers_add_no_series() {
    let app = App::with(|settings| {
        settings.rate_limit.enabled = true;
        // Every stranger comes from an address of its own.
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        settings.log.level = "error".to_owned();
    })
    .await;
    let tracked = async || {
        let exposition = Exposition::scrape(&app).await;
        exposition.families.contains_key("rate_limit_tracked_keys")
    };
    eventually("ready", async || app.service.health().is_ready()).await;
    eventually("the limiter has swept once", tracked).await;
    visit(&app, 0).await;
    let before = Exposition::scrape(&app).await;
    for connection in 1..=CONNECTIONS {
        visit(&app, connection).await;
    }
    let after = Exposition::scrape(&app).await;
    let new: BTreeSet<&str> = after.series().difference(&before.series()).copied().collect();
    assert_eq!(new, BTreeSet::new());

    let counted = |exposition: &Exposition| -> f64 {
        let durations = &exposition.families["http_server_request_duration_seconds"].series;
        durations.iter().filter(|(name, _)| name.contains("_count{")).map(|(_, value)| value).sum()
    };
    let more = counted(&after) - counted(&before);
    assert!((more - f64::from(REQUESTS * CONNECTIONS)).abs() < 1e-9, "{more}");
    let decisions = &after.families["rate_limit_decisions_total"];
    assert_eq!(decisions.labels.keys().collect::<Vec<_>>(), ["decision", "policy"]);
    let events = &after.families["auth_events_total"].series;
    let moved: Vec<_> =
        events.iter().filter(|(_, count)| **count > 0.0).map(|(name, _)| name).collect();
    assert_eq!(moved, ["auth_events_total{event=\"authn_login_fail\"}"]);
}

/// Sends what nobody has sent before, and waits for all answers.
async fn visit(app: &App, connection: u32) {
    let mut stream = TcpStream::connect(app.client.address()).await.unwrap();
    let mut requests = String::new();
    for number in connection * REQUESTS..(connection + 1) * REQUESTS - 1 {
        requests.push_str(&stranger(number));
    }
    write!(requests, "made up {connection}\r\n\r\n").unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answers = Vec::new();
    let (sent, read) =
        tokio::join!(writer.write_all(requests.as_bytes()), reader.read_to_end(&mut answers));
    sent.unwrap();
    read.unwrap();
    let answered = answers.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    assert_eq!(answered, REQUESTS as usize, "{}", String::from_utf8_lossy(&answers));
}

/// One request out of all sorts, each with a host, an agent, ids and an address of its own.
fn stranger(number: u32) -> String {
    let (address, port) = ([10, number >> 16, number >> 8 & 255, number & 255], 1000 + number);
    let [a, b, c, d] = address;
    let (line, more, body) = match number % 10 {
        0 => (format!("GET /made/up/{number}?and={number}"), String::new(), String::new()),
        1 => (format!("MADE{number} /made-up"), String::new(), String::new()),
        2 => (format!("MADE{number} /users"), String::new(), String::new()),
        3 => (format!("DELETE /users?made={number}"), String::new(), String::new()),
        4 => (format!("GET /users/{number}"), String::new(), String::new()),
        5 => (
            format!("GET /users/01a1fd8c-697b-7c1e-9d53-{number:012}"),
            String::new(),
            String::new(),
        ),
        6 => ("GET /".to_owned(), format!("accept: made/up{number}\r\n"), String::new()),
        7 => (
            "POST /users".to_owned(),
            format!("content-type: made/up{number}\r\n"),
            "{}".to_owned(),
        ),
        8 => ("POST /users".to_owned(), json(), format!("made up {number}")),
        _ => (
            "POST /auth/login".to_owned(),
            json(),
            format!("{{\"email\":\"{number}@example.org\",\"password\":\"{number}\"}}"),
        ),
    };
    format!(
        "{line} HTTP/1.1\r\nhost: made-up-{number}.example:{port}\r\nuser-agent: {number}\r\n\
         x-request-id: {number}\r\nx-forwarded-for: {a}.{b}.{c}.{d}\r\n\
         x-forwarded-host: forwarded-{number}.example\r\n\
         traceparent: 00-{number:032x}-{number:016x}-00\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn json() -> String {
    "content-type: application/json\r\n".to_owned()
}
