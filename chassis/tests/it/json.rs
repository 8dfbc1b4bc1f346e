//! What counts as a JSON object, and bodies that end before they are one.

use chassis::testing::Answer;
use serde_json::json;

use crate::support::{App, eventually};

const HALF_A_BODY: &str = "POST /echo HTTP/1.1\r\nhost: site\r\nx-request-id: half\r\n\
     content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"text\":";

#[tokio::test]
async fn a_body_of_nonsense_is_not_answered_with_more_of_it() {
    let app = App::start().await;
    let members: Vec<String> = (0..1000).map(|i| format!("\"m{i}\":0")).collect();
    let answer = echo(&app, &format!("{{{}}}", members.join(","))).await;
    assert_eq!(answer.invalid_fields().len(), 64);
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_and_harms_nothing() {
    let app = App::start().await;
    let nested = format!("{{\"text\":{}", "[".repeat(100_000));
    let broken: [&[u8]; 13] = [
        b"",
        b" ",
        b"{",
        b"{'text':'a'}",
        b"{\"text\":\"a\"",
        b"{\"text\":\"a\"} {\"text\":\"b\"}",
        b"{\"text\":\"a\"}]",
        b"{\"text\":\"a\0\"}",
        b"{\"text\":\"a\x1b\"}",
        b"{\"text\":\"\xff\xfe\"}",
        b"{\"text\":\"\\ud800\"}",
        b"\xef\xbb\xbf{\"text\":\"a\"}",
        nested.as_bytes(),
    ];
    for body in broken {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        let post = app.client.post("/echo").body("application/json", body.to_vec());
        let answer = post.send().await;
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        assert!(answer.problem(400)["detail"].is_string(), "{shown}");
    }
    let balanced = format!("{{\"text\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    echo(&app, &balanced).await.problem(400);
    let _ = echo(&app, "{\"text\":\"a\"}").await.expect(200);
}

#[tokio::test]
async fn json_of_another_shape_is_understood_but_invalid() {
    let app = App::start().await;
    for (body, pointer) in [
        ("[]", ""),
        ("null", ""),
        ("7", ""),
        ("{}", "/text"),
        ("{\"text\":null}", "/text"),
        ("{\"text\":{\"a\":1}}", "/text"),
        ("{\"text\":\"a\",\"te~x/t\":1}", "/te~0x~1t"),
    ] {
        let invalid = echo(&app, body).await.invalid_fields();
        assert_eq!(invalid, [pointer], "{body}");
    }
}

#[tokio::test]
async fn a_member_that_is_given_twice_is_refused_wherever_it_is() {
    let app = App::start().await;
    for (body, pointers) in [
        (r#"{"text":"a","text":"b"}"#, &["/text"][..]),
        (r#"{"text":"a","t\u0065xt":"a"}"#, &["/text"]),
        (r#"{"text":[{"x":{"y":1,"y":1}}],"a":0,"a":0}"#, &["/text/0/x/y", "/a"]),
    ] {
        assert_eq!(echo(&app, body).await.invalid_fields(), pointers, "{body}");
        let patch = app.client.patch("/echo").body("application/merge-patch+json", body.to_owned());
        assert_eq!(patch.send().await.invalid_fields(), pointers, "{body}");
    }
}

#[tokio::test]
async fn nesting_is_read_to_a_depth_of_127_and_not_further() {
    let app = App::start().await;
    let nested = |depth| format!("{{\"text\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    // With the object around them, 127.
    assert_eq!(echo(&app, &nested(126)).await.invalid_fields(), ["/text"]);
    let problem = echo(&app, &nested(127)).await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("recursion limit"), "{problem}");
}

#[tokio::test]
async fn escaped_control_characters_come_back_as_they_went() {
    let app = App::start().await;
    let answer = echo(&app, r#"{"text":"\u0000\u001b[31m\r\n\u2028"}"#).await;
    assert_eq!(answer.expect(200).json(), json!({ "text": "\0\u{1b}[31m\r\n\u{2028}" }));
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_refused() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n8\r\n{\"text\":\r\nnonsense\r\n",
        )
        .await;
    let problem = connection.answer().await.problem(400);
    assert_eq!(problem["detail"], "the body ended before it was complete");
}

#[tokio::test]
async fn a_body_that_its_sender_gives_up_is_refused_too() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection.send(HALF_A_BODY).await;
    connection.half_close().await;
    let problem = connection.answer().await.problem(400);
    assert_eq!(problem["detail"], "the body ended before it was complete");
}

#[tokio::test]
async fn a_client_that_goes_away_within_its_body_is_told_once() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection.send(HALF_A_BODY).await;
    eventually("the request", || app.active_requests() > 0.0).await;
    drop(connection);
    app.told("half").await;
    // Whether its sender still listens cannot be seen from here.
    let line = app.witness.request_line("half");
    assert_eq!(line["http.response.status_code"], 400);
    assert_eq!(app.active_requests(), 0.0);
}

async fn echo(app: &App, body: &str) -> Answer {
    let post = app.client.post("/echo").body("application/json", body.to_owned());
    post.send().await
}
