//! Connections that never come to a request: all of them end, and none of them harms.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::raw::Raw;
use crate::support::tls::{Authority, VERSIONS, connect};
use crate::support::{App, eventually};

/// What a client says first.
fn client_hello(authority: &Authority) -> Vec<u8> {
    let client = Arc::new(authority.client(&VERSIONS, &["h2"]));
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(client, name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

/// Little enough time for a handshake that a test can wait for its end.
async fn strict(authority: &Authority) -> App {
    let timeout = Duration::from_millis(400);
    authority.start_with(|settings| settings.stack.server.header_read_timeout = timeout).await
}

fn failures(app: &App, reason: &str) -> f64 {
    app.witness.metric("tls_handshake_failures_total", &[("reason", reason)])
}

async fn assert_well(authority: &Authority, app: &App) {
    eventually("no connection", || app.connections() == 0.0).await;
    let mut connection = authority.raw(app).await;
    connection.get("/plain", "well").await;
    let _ = connection.answer().await.expect(200);
    assert_eq!(app.connections(), 1.0);
}

#[tokio::test]
async fn silence_and_halves_of_a_handshake_are_closed_when_their_time_is_up() {
    let authority = Authority::new();
    let app = strict(&authority).await;
    let hello = client_hello(&authority);
    for start in [&hello[..0], &hello[..1], &hello[..hello.len() / 2]] {
        let mut connection = app.raw().await;
        connection.send(start).await;
        eventually("the connection", || app.connections() == 1.0).await;
        connection.closed_silently().await;
    }
    // A whole hello is answered, and then its sender does no more.
    let mut connection = app.raw().await;
    connection.send(&hello).await;
    assert_eq!(connection.rest().await[0], 22, "a handshake record");
    eventually("the failures", || failures(&app, "timeout") == 4.0).await;
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn a_handshake_that_drips_has_no_more_time_than_one_that_is_silent() {
    let authority = Authority::new();
    let app = strict(&authority).await;
    let mut connection = app.raw().await;
    // A record as large as they may be.
    connection.send([22, 3, 1, 0x40, 0]).await;
    eventually("the connection", || app.connections() == 1.0).await;
    let mut sent = 0;
    while app.connections() > 0.0 {
        assert!(sent < 1000, "it has all the time that it wants");
        connection.send([1]).await;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(failures(&app, "timeout"), 1.0);
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn a_handshake_without_a_request_is_closed_in_order() {
    let authority = Authority::new();
    let app = strict(&authority).await;
    for start in ["", "G", "GET /plain HTTP/1.1\r\nho", "PRI * HTTP/2.0\r\n"] {
        let mut connection = authority.raw(&app).await;
        connection.send(start).await;
        // It would fail without TLS's own farewell.
        connection.closed_silently().await;
    }
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_order() {
    let authority = Authority::new();
    let app = strict(&authority).await;
    let mut connection = authority.raw(&app).await;
    connection.get("/plain", "only").await;
    let _ = connection.answer().await.expect(200);
    connection.closed_silently().await;
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn plain_http_is_closed_without_an_answer() {
    let authority = Authority::new();
    let app = authority.start().await;
    for said in [
        "GET /plain HTTP/1.1\r\nhost: site\r\nx-request-id: plain\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
    ] {
        let mut connection = app.raw().await;
        connection.send(said).await;
        let rest = connection.rest().await;
        // An alert of TLS, or nothing where the rest of what was said closes the connection hard.
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
    }
    eventually("the failures", || failures(&app, "not_tls") == 3.0).await;
    assert_well(&authority, &app).await;
    assert!(app.witness.lines_of("plain").is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_within_the_handshake_leaves_nothing() {
    let authority = Authority::new();
    let app = authority.start().await;
    let hello = client_hello(&authority);
    for start in [&hello[..3], &hello] {
        let mut connection = app.raw().await;
        connection.send(start).await;
        drop(connection);
    }
    eventually("the failures", || failures(&app, "abandoned") == 2.0).await;
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn a_client_that_speaks_nothing_of_ours_is_refused() {
    let authority = Authority::new();
    let app = authority.start().await;
    let client = authority.client(&VERSIONS, &["spdy/3"]);
    let error = connect(app.client.address(), client).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    eventually("the failure", || failures(&app, "incompatible") == 1.0).await;
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn a_client_that_speaks_other_than_agreed_is_closed() {
    let authority = Authority::new();
    let app = authority.start().await;
    for (agreed, said) in [
        ("h2", "GET /plain HTTP/1.1\r\nhost: site\r\n\r\n"),
        ("http/1.1", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let client = authority.client(&VERSIONS, &[agreed]);
        let mut connection = Raw::over(connect(app.client.address(), client).await.unwrap());
        connection.send(said).await;
        connection.closed_silently().await;
    }
    assert_well(&authority, &app).await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let app = authority.start().await;
    for (version, count) in VERSIONS.into_iter().zip([1.0, 2.0]) {
        let client = stranger.client(&[version], &[]);
        connect(app.client.address(), client).await.unwrap_err();
        let refused = || failures(&app, "refused_by_client") == count;
        eventually("the failure", refused).await;
    }
    assert_well(&authority, &app).await;
    assert_eq!(app.witness.metric("tls_handshake_failures_total", &[]), 2.0);
}
