//! The end of a listener that speaks TLS is as orderly as that of any other, and says farewell.

use std::time::Duration;

use chassis::lifecycle::Outcome;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::support::tls::{Authority, VERSIONS, narrow};
use crate::support::{App, GET, PATIENCE, in_time};

/// Time that a test can wait for to be up.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn requests_in_flight_are_finished_and_idle_connections_closed() {
    let authority = Authority::new();
    let mut app = forbearing(&authority).await;
    let mut idle = authority.raw(&app).await;
    idle.get("/plain", "idle").await;
    let _ = idle.answer().await.expect(200);
    let unused = authority.raw(&app).await;
    let mut busy = authority.raw(&app).await;
    busy.get("/slow", "in-flight").await;
    let mut streaming = authority.http2(&app).await;
    let get = streaming.request(GET, "/slow");
    let streamed = tokio::spawn(streaming.begin(get));
    app.gate.arrival().await;
    app.gate.arrival().await;

    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    // Each is told so in TLS's own words; a connection that just breaks would fail here.
    idle.closed_silently().await;
    unused.closed_silently().await;
    app.gate.open();
    app.gate.open();
    let answer = busy.answer().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
    busy.closed_silently().await;
    assert_eq!(streamed.await.unwrap(), 200);
    streaming.closed().await;
    assert_eq!(ended(stopped).await, Outcome::Complete);
    assert_eq!(app.connections(), 0.0);
}

#[tokio::test]
async fn half_of_a_handshake_holds_nothing_up() {
    let authority = Authority::new();
    let mut app = forbearing(&authority).await;
    let mut half = app.raw().await;
    half.send([22, 3, 1]).await;
    let mut later = authority.raw(&app).await;
    later.get("/plain", "later").await;
    let _ = later.answer().await.expect(200);
    assert_eq!(ended(app.stop(SHORT)).await, Outcome::Complete);
    half.closed_silently().await;
    assert_eq!(app.connections(), 0.0);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_until_the_drain_timeout_is_cut_off() {
    let authority = Authority::new();
    let mut app = authority.start().await;
    let client = authority.client(&VERSIONS, &[]);
    let mut connection = narrow(app.client.address(), client).await;
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(900_000));
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let length = format!("content-length: {}", body.len());
    let request = format!("{head}x-request-id: untaken\r\n{length}\r\n\r\n{body}");
    let sending =
        tokio::spawn(async move { (connection.send(request.repeat(8)).await, connection) });
    let (mut before, mut now) = (0, 0);
    while now == 0 || now > before {
        sleep(Duration::from_millis(50)).await;
        (before, now) = (now, app.witness.lines_of("untaken").len());
    }
    assert!(now < 8, "the kernel takes them all");
    assert_eq!(app.active_requests(), 0.0);
    assert_eq!(ended(app.stop(SHORT)).await, Outcome::CutOff);
    sending.abort();
}

async fn ended(stopped: JoinHandle<Outcome>) -> Outcome {
    in_time("the end", stopped).await.unwrap()
}

/// Gives handshakes and idle connections more time than any test has.
async fn forbearing(authority: &Authority) -> App {
    let long = Duration::from_hours(1);
    authority.start_with(|settings| settings.stack.server.header_read_timeout = long).await
}
