//! What the OpenAPI document says of bodies and answers, held against what the service does.

use serde_json::{Value, json};

use crate::support::App;

#[tokio::test]
async fn bodies_of_requests_are_closed_in_the_document_as_they_are_in_fact() {
    let app = App::start().await;
    let document = app.client.get("/openapi.json").send().await.json();
    for name in
        ["NewUser", "UserChange", "UserPatch", "PasswordChange", "RoleChange", "Credentials"]
    {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["additionalProperties"], false, "{name}");
    }
}

#[tokio::test]
async fn only_new_passwords_have_limits_in_the_document() {
    let app = App::start().await;
    let document = app.client.get("/openapi.json").send().await.json();
    for (name, member, limits) in [
        ("NewUser", "password", json!([15, 256])),
        ("PasswordChange", "new_password", json!([15, 256])),
        ("PasswordChange", "current_password", json!([null, null])),
        ("Credentials", "password", json!([null, null])),
    ] {
        let schema = &document["components"]["schemas"][name]["properties"][member];
        assert_eq!(json!([schema["minLength"], schema["maxLength"]]), limits, "{name} {member}");
    }
}

#[tokio::test]
async fn every_member_of_an_answer_is_required_in_the_document() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let document = admin.get("/openapi.json").send().await.json();
    let page = admin.get("/users").send().await.expect(200).json();
    for (name, answer) in [("UserPage", &page), ("User", &page["items"][0])] {
        let schema = &document["components"]["schemas"][name];
        let sent: Vec<&String> = answer.as_object().unwrap().keys().collect();
        let required = schema["required"].as_array().unwrap().iter();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        assert_eq!(required, sent, "{name}");
    }
}

#[tokio::test]
async fn the_page_and_the_yaml_show_the_same_document() {
    let app = App::start().await;
    let json = app.client.get("/openapi.json").send().await.expect(200);
    let page = app.client.get("/docs").send().await.expect(200);
    assert!(page.text().contains(&json.text()));
    let yaml = app.client.get("/openapi.yaml").send().await.expect(200);
    let closed = |text: String, line: &str| text.matches(line).count();
    assert_eq!(
        closed(yaml.text(), "additionalProperties: false"),
        closed(json.text(), "\"additionalProperties\": false"),
    );
}
