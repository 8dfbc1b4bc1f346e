//! Requests that no decent client sends. Whatever they are answered, the service lives on.

use serde_json::json;

use crate::support::App;

#[tokio::test]
async fn strange_paths_are_answered_like_any_other() {
    let app = App::start().await;
    let long = format!("/{}", "a".repeat(60_000));
    for (target, status) in [
        ("/echo/%FF", 400),
        ("/echo/%00", 200),
        ("/echo/%2e%2e%2fetc", 200),
        ("/echo/%", 200),
        ("/echo/%zz", 200),
        ("/../../etc/passwd", 404),
        ("//", 404),
        ("//evil.example/echo", 404),
        ("/echo//", 404),
        ("http://elsewhere.example/plain", 200),
        ("http://elsewhere.example", 404),
        (&long, 404),
    ] {
        let mut connection = app.raw().await;
        connection.get(target, "strange").await;
        let answer = connection.answer().await;
        let shown = &target[..target.len().min(40)];
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        if status >= 400 {
            answer.problem(status);
        }
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn an_encoded_nul_reaches_the_handler_as_it_was_meant() {
    let app = App::start().await;
    let answer = app.client.get("/echo/a%00b").send().await;
    assert_eq!(answer.expect(200).json(), json!({ "text": "a\0b" }));
}

#[tokio::test]
async fn a_path_or_query_that_is_no_utf8_is_told_so() {
    let app = App::start().await;
    for (target, part) in
        [("/echo/%C3%28", "path"), ("/echo/a?x=%FF", "query"), ("/plain?%ED%A0%80", "query")]
    {
        let problem = app.client.get(target).send().await.problem(400);
        assert_eq!(problem["detail"], format!("the {part} is not valid UTF-8"));
    }
}

#[tokio::test]
async fn unknown_methods_are_not_allowed_anywhere() {
    let app = App::start().await;
    for method in ["BREW", "get", "PROPFIND", "M-SEARCH"] {
        let mut connection = app.raw().await;
        let request = format!("{method} /plain HTTP/1.1\r\nhost: site\r\nx-request-id: m\r\n\r\n");
        connection.send(request).await;
        let answer = connection.answer().await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    }
    let other = [("http_request_method", "_OTHER")];
    let told = app.witness.metric("http_server_request_duration_seconds", &other);
    assert_eq!(told, 4.0);
}

#[tokio::test]
async fn a_target_that_names_no_path_is_not_found() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    let request = "CONNECT site:443 HTTP/1.1\r\nhost: site\r\nx-request-id: t\r\n\r\n";
    connection.send(request).await;
    connection.answer().await.problem(404);
    assert_alive(&app).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_closed() {
    let app = App::start().await;
    let many: Vec<_> = (0..500).map(|i| format!("x-{i}: y\r\n")).collect();
    let many = many.concat();
    let big = "x".repeat(1024 * 1024);
    for (what, request) in [
        ("no HTTP", "hello there, who are you?\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".to_owned()),
        ("a strange version", "GET / HTTP/7.3\r\n\r\n".to_owned()),
        ("a space in the path", "GET /a b HTTP/1.1\r\n\r\n".to_owned()),
        ("a header without a name", with_header(": x")),
        ("a folded header", with_header("a: b\r\n c: d")),
        ("NUL in a header", with_header("a: b\0c")),
        ("many headers", with_header(many.trim_end())),
        ("a big header", with_header(&format!("x: {big}"))),
        ("a big URI", format!("GET /{big} HTTP/1.1\r\nhost: site\r\n\r\n")),
        ("two lengths", with_header("content-length: 1\r\ncontent-length: 2")),
        ("a negative length", with_header("content-length: -1")),
        ("an unknown coding", with_header("transfer-encoding: gzip")),
    ] {
        let mut connection = app.raw().await;
        connection.send(request).await;
        let answer = connection.answer().await;
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{what}: {status}");
        answer.problem(status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        let line = app.witness.request_line(answer.header("x-request-id"));
        assert_eq!(line["http.response.status_code"], status, "{what}");
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn invalid_utf8_in_the_request_line_is_refused() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection
        .send(b"GET /echo/\xff\xfe HTTP/1.1\r\nhost: site\r\nconnection: close\r\n\r\n")
        .await;
    let answer = connection.rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    assert_alive(&app).await;
}

#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\nx-request-id: first\r\n\
             content-type: application/json\r\ncontent-length: 4\r\n\
             transfer-encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /echo/smuggled HTTP/1.1\r\nhost: site\r\nx-request-id: second\r\n\r\n",
        )
        .await;
    connection.answer().await.problem(400);
    // RFC 9112, section 6.1: the connection ends after such a message.
    let rest = connection.rest().await;
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    assert!(app.witness.lines_of("second").is_empty());
}

fn with_header(header: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: site\r\n{header}\r\n\r\n")
}

async fn assert_alive(app: &App) {
    let _ = app.client.get("/plain").send().await.expect(200);
}
