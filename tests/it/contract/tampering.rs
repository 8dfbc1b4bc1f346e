//! Requests that want to be taken for others: another method, another value, another parameter.

use poem::http::Method;

use crate::support::{App, PASSWORD, new_user};

#[tokio::test]
async fn a_method_is_what_the_request_line_says_and_nothing_else() {
    let app = App::start().await;
    let ada = app.person().await;
    let path = ada.path();
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let get = ada.client.get(&path).header(header, "DELETE").send().await;
        assert_eq!(get.expect(200).json()["id"], ada.id);
        // No operation of this path is a POST.
        let post = ada.client.post(&path).header(header, "DELETE").send().await;
        post.problem(405);
        assert_eq!(post.header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH, PUT");
    }
    for query in ["_method=DELETE", "method=DELETE"] {
        let target = format!("{path}?{query}");
        let _ = ada.client.get(&target).send().await.expect(200);
        ada.client.post(&target).send().await.problem(405);
    }
    let body = "_method=DELETE";
    let form = ada.client.post(&path).body("application/x-www-form-urlencoded", body);
    form.send().await.problem(405);
    for method in ["delete", "DELETE_", "DELETEX"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        ada.client.call(method, &path).send().await.problem(405);
    }
    assert_eq!(ada.client.get("/users/me").send().await.expect(200).json()["id"], ada.id);
}

#[tokio::test]
async fn a_member_given_twice_changes_nobody() {
    let app = App::start().await;
    let ada = app.person().await;
    let name = r#"{"name":"Ada","name":"Eve"}"#;
    let patch = ada.client.patch(&ada.path()).body("application/merge-patch+json", name);
    assert_eq!(patch.send().await.invalid_fields(), ["/name"]);
    assert_eq!(ada.client.get("/users/me").send().await.json()["name"], "Ada Lovelace");

    let credentials = format!(
        r#"{{"email":"{}","password":"a wrong password","password":"{PASSWORD}"}}"#,
        ada.email
    );
    let login = app.client.post("/auth/login").body("application/json", credentials);
    let refused = login.send().await;
    assert_eq!(refused.invalid_fields(), ["/password"]);
    assert!(!refused.text().contains(PASSWORD));

    let user = new_user("twice@example.org").to_string();
    let user = user.replacen('{', r#"{"email":"other@example.org","#, 1);
    let post = app.client.post("/users").body("application/json", user);
    assert_eq!(post.send().await.invalid_fields(), ["/email"]);
}

#[tokio::test]
async fn a_parameter_given_twice_lists_nobody() {
    let app = App::start().await;
    let admin = app.admin().await;
    for name in ["limit", "after", "email", "q"] {
        let target = format!("/users?{name}=1&{name}=2");
        let problem = admin.client.get(&target).send().await.problem(400);
        assert_eq!(problem["detail"], format!("parameter {name} is given more than once"));
    }
}
