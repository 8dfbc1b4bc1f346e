//! What every route does alike: unknown paths, methods, HEAD, OPTIONS, trailing slashes, `Accept`.

use poem::http::Method;
use serde_json::json;

use crate::support::raw::request;
use crate::support::{App, GET};

const DURATION: &str = "http_server_request_duration_seconds";

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let app = App::start().await;
    for path in ["/nowhere", "/echo/a/b", "/ECHO", "/echo//", "//", "/problems/none"] {
        let problem = app.client.get(path).send().await.problem(404);
        assert_eq!(problem["type"], "/problems/not-found");
        assert_eq!(problem["instance"], path);
    }
}

#[tokio::test]
async fn made_up_paths_and_methods_add_no_series() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    for i in 0..100 {
        let request = connection.request(GET, &format!("/made-up/{i}"));
        let _ = connection.send(request, "").await.expect(404);
        let method = Method::from_bytes(format!("MADE-UP-{i}").as_bytes()).unwrap();
        let request = connection.request(method, "/echo");
        let _ = connection.send(request, "").await.expect(405);
    }
    assert_eq!(app.witness.metric(DURATION, &[("http_route", "")]), 100.0);
    let other = [("http_request_method", "_OTHER")];
    assert_eq!(app.witness.metric(DURATION, &other), 100.0);
    let families = app.witness.metrics().gather();
    let family = families.iter().find(|family| family.name() == DURATION);
    assert_eq!(family.unwrap().get_metric().len(), 2);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = App::start().await;
    for (method, path, allow) in [
        (Method::POST, "/echo/a", "DELETE, GET, HEAD, OPTIONS"),
        (Method::GET, "/echo", "OPTIONS, PATCH, POST"),
        (Method::HEAD, "/echo", "OPTIONS, PATCH, POST"),
        (Method::TRACE, "/slow", "GET, HEAD, OPTIONS"),
    ] {
        let answer = app.client.call(method.clone(), path).send().await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), allow);
        if method != Method::HEAD {
            assert_eq!(answer.problem(405)["type"], "/problems/method-not-allowed");
        }
    }
}

#[tokio::test]
async fn options_tells_what_a_resource_can_do() {
    let app = App::start().await;
    for (path, allow) in
        [("/echo/a", "DELETE, GET, HEAD, OPTIONS"), ("/echo/", "OPTIONS, PATCH, POST")]
    {
        let answer = app.client.call(Method::OPTIONS, path).send().await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("allow"), allow);
        assert!(answer.body.is_empty());
        assert!(!answer.headers.contains_key("content-type"));
    }
    let nowhere = app.client.call(Method::OPTIONS, "/nowhere").send().await;
    nowhere.problem(404);

    let mut connection = app.raw().await;
    connection.send("OPTIONS * HTTP/1.1\r\nhost: site\r\n\r\n").await;
    let everything = connection.answer().await;
    assert_eq!(everything.status, 204);
    assert_eq!(everything.header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH, POST");
}

#[tokio::test]
async fn head_answers_as_get_does_but_without_the_body() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    for path in ["/echo/hello?times=3", "/plain", "/nowhere", "/panic", "/metrics"] {
        connection.send(request("GET", path, "g")).await;
        let get = connection.answer().await;
        connection.send(request("HEAD", path, "h")).await;
        let head = connection.answer_to_head().await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        if path == "/metrics" {
            // What is measured differs by then, but not that it has a length.
            assert!(head.header("content-length").parse::<u64>().unwrap() > 0);
        } else {
            assert_eq!(head.header("content-length"), get.header("content-length"));
        }
    }
    // Had one of them carried a body, this would not be an answer.
    connection.get("/plain", "last").await;
    assert_eq!(connection.answer().await.expect(200).text(), "plain");
}

#[tokio::test]
async fn head_over_http2_answers_as_get_does_but_without_the_body() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    for path in ["/echo/hello?times=3", "/plain", "/nowhere", "/livez"] {
        let get = connection.request(GET, path);
        let get = connection.send(get, "").await;
        let head = connection.request(Method::HEAD, path);
        let head = connection.send(head, "").await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        assert!(!get.body.is_empty());
        assert!(head.body.is_empty(), "{path}: {}", head.text());
    }
}

#[tokio::test]
async fn a_page_that_has_not_changed_has_no_length_of_another_answer() {
    let app = App::start().await;
    let page = "/problems/not-found";
    let etag = app.client.get(page).send().await.expect(200);
    for method in [GET, Method::HEAD] {
        let call = app.client.call(method, page);
        let call = call.header("if-none-match", etag.header("etag"));
        let answer = call.send().await.expect(304);
        assert!(answer.body.is_empty());
        assert!(!answer.headers.contains_key("content-length"));
    }
}

#[tokio::test]
async fn a_slash_at_the_end_makes_no_difference() {
    let app = App::start().await;
    let answer = app.client.get("/echo/hello/?times=2").send().await;
    assert_eq!(answer.expect(200).json(), json!({ "text": "hellohello" }));
    let post = app.client.post("/echo/").json(&json!({ "text": "a" }));
    let _ = post.send().await.expect(200);
    for route in ["/echo/{text}", "/echo"] {
        assert_eq!(app.witness.metric(DURATION, &[("http_route", route)]), 1.0);
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_accepted_is_not_given() {
    let app = App::start().await;
    for accept in ["text/html", "application/json;q=0, */*", "image/*"] {
        let get = app.client.get("/echo/a").header("accept", accept);
        let problem = get.send().await.problem(406);
        assert_eq!(problem["detail"], "the answer can be had as application/json; charset=utf-8");
    }
    for accept in ["*/*", "application/*", "text/html, application/json;q=0.1", ""] {
        let get = app.client.get("/echo/a").header("accept", accept);
        let _ = get.send().await.expect(200);
    }
    let get = app.client.get("/plain").header("accept", "application/json");
    get.send().await.problem(406);
}

#[tokio::test]
async fn errors_are_problems_also_for_those_who_accept_only_json() {
    let app = App::start().await;
    let delete = app.client.delete("/echo/a");
    let delete = delete.header("accept", "application/json");
    delete.send().await.problem(404);
    let get = app.client.get("/nowhere").header("accept", "image/png");
    get.send().await.problem(404);
}
