//! What a request must say once and clearly: readers along the way may each believe something else.

use chassis::http::quota::Rate;
use poem::http::Method;
use uuid::Uuid;

use crate::support::App;

const ORIGIN: &str = "https://app.example.com";

#[tokio::test]
async fn a_parameter_that_is_given_twice_is_refused_by_its_name() {
    let app = App::start().await;
    for query in ["times=2&times=3", "times=2&x=1&times=2", "times=2&%74imes=3", "times&times="] {
        let problem = app.client.get(&format!("/echo/a?{query}")).send().await.problem(400);
        assert_eq!(problem["detail"], "parameter times is given more than once", "{query}");
    }
    let head = app.client.call(Method::HEAD, "/echo/a?times=2&times=2").send().await;
    assert_eq!(head.status, 400);
    // What nobody reads may come as often as it likes.
    for query in ["x=1&x=2&times=2", "Times=1&times=2", "&&times=2&"] {
        let _ = app.client.get(&format!("/echo/a?{query}")).send().await.expect(200);
    }
    let _ = app.client.get("/plain?times=1&times=2").send().await.expect(200);
}

#[tokio::test]
async fn a_second_request_id_makes_both_worthless() {
    let app = App::start().await;
    let get = app.client.get("/plain").header("x-request-id", "one");
    let answer = get.header("x-request-id", "other").send().await;
    let given = answer.header("x-request-id");
    assert_eq!(Uuid::parse_str(given).unwrap().get_version_num(), 7);
    app.witness.request_line(given);
}

#[tokio::test]
async fn a_request_names_one_host_or_is_refused_whatever_it_asks_for() {
    let app = App::with(|settings| {
        settings.stack.server.cors_allowed_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let faults = [
        ("", "the request must have one Host header"),
        ("host: site\r\nhost: other\r\n", "the request must have one Host header"),
        ("host: a b\r\n", "the Host header must be a name or an address, with a port or without"),
    ];
    let preflight = format!("origin: {ORIGIN}\r\naccess-control-request-method: GET\r\n");
    for (hosts, detail) in faults {
        for start in ["GET /plain", "GET /echo/a", "GET /nowhere", "OPTIONS /plain", "GET /livez"] {
            let mut connection = app.raw().await;
            connection.send(format!("{start} HTTP/1.1\r\n{hosts}{preflight}\r\n")).await;
            let problem = connection.answer().await.problem(400);
            assert_eq!(problem["detail"], detail, "{start}");
        }
    }
    let mut connection = app.raw().await;
    connection.send("GET /plain HTTP/1.0\r\n\r\n").await;
    let _ = connection.answer().await.expect(200);
}

#[tokio::test]
async fn over_http2_the_host_is_the_authority() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    let other = connection.request(Method::GET, "/plain").header("host", "other");
    let problem = connection.send(other, "").await.problem(400);
    assert_eq!(problem["detail"], "the Host header must say the same as :authority");
    let host = app.client.address().to_string();
    let same = connection.request(Method::GET, "/plain").header("host", &host);
    let _ = connection.send(same, "").await.expect(200);
}

#[tokio::test]
async fn a_body_in_another_coding_than_chunks_is_refused_and_the_connection_closed() {
    // Also where nothing else is answered but that the budget is spent.
    let app = App::with(|settings| settings.stack.rate_limit.default = Rate::per_minute(1)).await;
    for codings in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
    ] {
        for start in ["POST /echo", "GET /nowhere", "GET /livez"] {
            let mut connection = app.raw().await;
            let head = format!("{start} HTTP/1.1\r\nhost: site\r\ncontent-type: application/json");
            let body = "e\r\n{\"text\":\"hey\"}\r\n0\r\n\r\n";
            connection.send(format!("{head}\r\n{codings}\r\n\r\n{body}")).await;
            let answer = connection.answer().await;
            assert_eq!(answer.problem(400)["detail"], "the only Transfer-Encoding is chunked");
            assert_eq!(answer.header("connection"), "close", "{start} {codings}");
            assert!(connection.rest().await.is_empty(), "{start} {codings}");
        }
    }
}

#[tokio::test]
async fn a_length_that_is_given_twice_smuggles_nothing() {
    let app = App::start().await;
    for lengths in ["content-length: 14\r\ncontent-length: 15", "content-length: 14, 15"] {
        let mut connection = app.raw().await;
        let head = "POST /echo HTTP/1.1\r\nhost: site\r\ncontent-type: application/json";
        let smuggled = "GET /echo/smuggled HTTP/1.1\r\nhost: site\r\nx-request-id: second\r\n\r\n";
        connection.send(format!("{head}\r\n{lengths}\r\n\r\n{{\"text\":\"hey\"}}{smuggled}")).await;
        connection.answer().await.problem(400);
        assert!(connection.rest().await.is_empty(), "{lengths}");
        assert!(app.witness.lines_of("second").is_empty());
    }
}
