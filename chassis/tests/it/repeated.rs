//! What is said twice and must be said once: readers along the way may each believe another one.

use poem::http::Method;
use uuid::Uuid;

use crate::support::App;

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
async fn a_second_host_is_refused_on_every_route() {
    let app = App::start().await;
    for target in ["/plain", "/echo/a"] {
        let mut connection = app.raw().await;
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: site\r\nhost: other\r\nx-request-id: t\r\n\r\n"
        );
        connection.send(request).await;
        let problem = connection.answer().await.problem(400);
        assert_eq!(problem["detail"], "the request must have one Host header");
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
