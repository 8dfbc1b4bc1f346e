//! Who may do what: every operation of the document, for everyone who could ask. This table is the one place
//! that says it for all of them; an operation that is not in it fails here.

use std::collections::BTreeSet;

use chassis::testing::Client;
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, PASSWORD, Person, new_user};

/// What an operation answers to somebody unknown, to the user that it is about, to another user and
/// to an administrator.
#[rustfmt::skip]
const TABLE: &[(&str, [u16; 4])] = &[
    //                    unknown  self  other  admin
    ("read_index",        [200,    200,  200,   200]),
    ("create_user",       [201,    201,  201,   201]),
    ("list_users",        [401,    403,  403,   200]),
    ("read_current_user", [401,    200,  200,   200]),
    ("read_user",         [401,    200,  404,   200]),
    ("replace_user",      [401,    200,  404,   200]),
    ("patch_user",        [401,    200,  404,   200]),
    ("delete_user",       [401,    204,  404,   204]),
    ("change_password",   [401,    204,  404,   403]),
    ("change_role",       [401,    403,  403,   200]),
    ("change_status",     [401,    403,  403,   200]),
    ("read_status",       [401,    403,  403,   200]),
    ("list_sessions",     [401,    200,  200,   200]),
    ("end_session",       [401,    204,  404,   404]),
    ("end_all_sessions",  [401,    204,  404,   204]),
    ("log_in",            [200,    200,  200,   200]),
    ("refresh",           [200,    200,  200,   200]),
    ("log_out",           [204,    204,  204,   204]),
    ("read_keys",         [200,    200,  200,   200]),
];

struct Operation {
    id: String,
    method: Method,
    template: String,
}

#[tokio::test]
async fn every_operation_is_open_to_those_it_is_for_and_to_nobody_else() {
    let app = App::start().await;
    let (other, admin) = (app.person().await, app.admin().await);
    for operation in operations(&app).await {
        let row = TABLE.iter().find(|(id, _)| *id == operation.id);
        let (_, expected) = row.unwrap_or_else(|| panic!("{} is not in the table", operation.id));
        let mut statuses = Vec::new();
        for caller in ["unknown", "self", "other", "admin"] {
            // A new one each time, for some do not outlive it.
            let ada = app.person().await;
            let client = match caller {
                "unknown" => &app.client,
                "self" => &ada.client,
                "other" => &other.client,
                _ => &admin.client,
            };
            statuses.push(operation.status_for(client, &ada).await);
        }
        assert_eq!(statuses, expected, "{}", operation.id);
    }
}

#[tokio::test]
async fn who_is_refused_has_changed_nothing() {
    let app = App::start().await;
    let (ada, other, admin) = (app.person().await, app.person().await, app.admin().await);
    let stored = async || admin.client.get(&ada.path()).send().await.expect(200).body;
    let before = stored().await;
    for operation in operations(&app).await {
        let (_, statuses) = TABLE.iter().find(|(id, _)| *id == operation.id).unwrap();
        for (status, client) in [(statuses[0], &app.client), (statuses[2], &other.client)] {
            if status >= 400 {
                assert_eq!(operation.status_for(client, &ada).await, status, "{}", operation.id);
                assert_eq!(stored().await, before, "{}", operation.id);
            }
        }
    }
    app.log_in(&ada.email, PASSWORD).await.expect(200).json();
}

#[tokio::test]
async fn the_document_asks_for_a_token_where_strangers_are_refused() {
    let app = App::start().await;
    let document = app.client.get("/openapi.json").send().await.json();
    for operation in operations(&app).await {
        let method = operation.method.as_str().to_lowercase();
        let security = &document["paths"][&operation.template][method]["security"];
        let (_, [unknown, ..]) = TABLE.iter().find(|(id, _)| *id == operation.id).unwrap();
        // An empty requirement says that none will do as well.
        let schemes: Vec<_> = security.as_array().into_iter().flatten().collect();
        let needed = !schemes.is_empty() && schemes.iter().all(|scheme| **scheme != json!({}));
        assert_eq!(needed, *unknown == 401, "{}", operation.id);
    }
}

#[tokio::test]
async fn the_table_has_no_operation_that_the_document_lacks() {
    let app = App::start().await;
    let operations = operations(&app).await.into_iter();
    let documented: BTreeSet<String> = operations.map(|operation| operation.id).collect();
    let tabled = TABLE.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(documented, tabled);
}

#[tokio::test]
async fn every_answer_of_the_table_is_documented() {
    let app = App::start().await;
    let document = app.client.get("/openapi.json").send().await.json();
    for operation in operations(&app).await {
        let method = operation.method.as_str().to_lowercase();
        let responses = &document["paths"][&operation.template][method]["responses"];
        let (_, statuses) = TABLE.iter().find(|(id, _)| *id == operation.id).unwrap();
        for status in statuses {
            assert!(responses[status.to_string()].is_object(), "{} {status}", operation.id);
        }
    }
}

impl Operation {
    /// What the operation answers to this caller when it is about `target`.
    async fn status_for(&self, caller: &Client, target: &Person) -> u16 {
        let session = target.session_id();
        let path = self.template.replace("{user_id}", &target.id).replace("{session_id}", &session);
        let mut call = caller.call(self.method.clone(), &path);
        if let Some(body) = self.body(target) {
            call = call.json(&body);
        }
        call.send().await.status.as_u16()
    }

    fn body(&self, target: &Person) -> Option<Value> {
        let address = || format!("{}@example.org", Uuid::now_v7().simple());
        Some(match self.id.as_str() {
            "create_user" => new_user(&address()),
            "replace_user" => json!({ "name": "Ada", "email": address() }),
            "patch_user" => json!({ "name": "Ada" }),
            "change_password" => {
                json!({ "current_password": PASSWORD, "new_password": "another long password" })
            }
            "change_role" => json!({ "role": "admin" }),
            "change_status" => json!({ "status": "disabled" }),
            "refresh" | "log_out" => json!({ "refresh_token": target.refresh_token }),
            "log_in" => json!({ "email": target.email, "password": PASSWORD }),
            _ => return None,
        })
    }
}

async fn operations(app: &App) -> Vec<Operation> {
    let document = app.client.get("/openapi.json").send().await.json();
    let mut operations = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                template: template.clone(),
            });
        }
    }
    assert!(!operations.is_empty());
    operations
}
