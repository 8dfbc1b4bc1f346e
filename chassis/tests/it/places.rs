//! More connections than there are places: idle ones make room, busy ones keep theirs.

use chassis::lifecycle::Outcome;

use crate::support::frames::connect;
use crate::support::{App, GET, PATIENCE, eventually, in_time};

#[tokio::test]
async fn the_connection_that_has_been_idle_longest_makes_room_for_a_newcomer() {
    let app = places(3).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let mut connection = app.raw().await;
        connection.get("/plain", "early").await;
        let _ = connection.answer().await.expect(200);
        connections.push(connection);
    }
    let second = connections.remove(1);
    for connection in &mut connections {
        connection.get("/plain", "again").await;
        let _ = connection.answer().await.expect(200);
    }

    let mut newcomer = app.raw().await;
    newcomer.get("/plain", "newcomer").await;
    let _ = newcomer.answer().await.expect(200);
    second.closed_silently().await;
    for connection in &mut connections {
        connection.get("/plain", "still").await;
        let _ = connection.answer().await.expect(200);
    }
    assert_eq!(app.connections(), 3.0);
}

#[tokio::test]
async fn connections_that_say_nothing_or_too_little_or_do_not_go_make_room() {
    let app = places(6).await;
    let mut held = Vec::new();
    for start in ["", "G", "GET /plain HTTP/1.1\r\nx: ", "PRI * HTTP/2.0\r\n"] {
        let mut connection = app.raw().await;
        connection.send(start).await;
        held.push(connection);
    }
    // It says no more, whatever it is told.
    held.push(connect(&app, &[]).await);
    let mut idle = app.http2().await;
    let request = idle.request(GET, "/plain");
    let _ = idle.send(request, "").await.expect(200);
    eventually("all of them", || app.connections() == 6.0).await;

    let mut newcomers = Vec::new();
    for _ in 0..6 {
        let mut newcomer = app.raw().await;
        newcomer.get("/slow", "newcomer").await;
        app.gate.arrival().await;
        newcomers.push(newcomer);
    }
    idle.sent_away().await;
    for connection in held {
        in_time("a connection that makes room", connection.rest()).await;
    }
    (0..6).for_each(|_| app.gate.open());
    for newcomer in &mut newcomers {
        let _ = newcomer.answer().await.expect(200);
    }
}

#[tokio::test]
async fn a_connection_with_a_request_in_flight_keeps_its_place() {
    let app = places(4).await;
    let mut waiting = app.raw().await;
    waiting.get("/slow", "waiting").await;
    let mut streaming = app.http2().await;
    let slow = streaming.request(GET, "/slow");
    let slow = tokio::spawn(streaming.begin(slow));
    for _ in 0..2 {
        app.gate.arrival().await;
    }
    let mut sending = app.raw().await;
    sending
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\nx-request-id: sending\r\n\
             content-type: application/json\r\ncontent-length: 14\r\n\r\n{\"text\"",
        )
        .await;
    eventually("all requests", || app.active_requests() == 3.0).await;
    // Each takes the one place that the one before it leaves.
    let mut newcomers = Vec::new();
    for _ in 0..10 {
        let mut newcomer = app.raw().await;
        newcomer.get("/plain", "newcomer").await;
        let _ = newcomer.answer().await.expect(200);
        newcomers.push(newcomer);
    }

    sending.send(":\"hey\"}").await;
    let _ = sending.answer().await.expect(200);
    app.gate.open();
    app.gate.open();
    let _ = waiting.answer().await.expect(200);
    assert_eq!(slow.await.unwrap(), 200);
}

#[tokio::test]
async fn a_newcomer_gets_the_place_of_a_connection_that_becomes_idle() {
    let app = places(1).await;
    let mut busy = app.raw().await;
    busy.get("/slow", "busy").await;
    app.gate.arrival().await;
    let mut newcomer = app.raw().await;
    newcomer.get("/plain", "newcomer").await;
    app.gate.open();
    let _ = busy.answer().await.expect(200);
    let _ = newcomer.answer().await.expect(200);
    busy.closed_silently().await;
}

#[tokio::test]
async fn connections_that_were_told_to_make_room_hold_up_no_shutdown() {
    let mut app = places(2).await;
    let _stubborn = connect(&app, &[]).await;
    eventually("the stubborn one", || app.connections() == 1.0).await;
    let mut busy = app.raw().await;
    busy.get("/slow", "busy").await;
    app.gate.arrival().await;
    let mut newcomer = app.raw().await;
    newcomer.get("/slow", "newcomer").await;
    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    app.gate.arrival().await;
    app.gate.open();
    app.gate.open();
    let _ = busy.answer().await.expect(200);
    let _ = newcomer.answer().await.expect(200);
    assert_eq!(in_time("the shutdown", stopped).await.unwrap(), Outcome::Complete);
}

/// So few places, and time enough for headers that nothing but a newcomer ends a connection.
async fn places(count: usize) -> App {
    App::with(|settings| {
        settings.stack.server.max_connections = count;
        settings.stack.server.header_read_timeout = 2 * PATIENCE;
    })
    .await
}
