//! What every operation in the document must have.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use poem_openapi::OpenApiService;
use serde_json::Value;

use crate::auth::api::{AuthApi, KeysApi, SessionsApi};
use crate::users::api::UsersApi;

#[test]
fn every_operation_has_an_id_and_a_summary() {
    for (name, operation) in operations(&document()) {
        assert!(operation["operationId"].is_string(), "{name}");
        assert!(operation["summary"].is_string(), "{name}");
        assert!(operation["tags"][0].is_string(), "{name}");
    }
}

#[test]
fn every_error_has_a_problem_body() {
    for (name, operation) in operations(&document()) {
        let responses = operation["responses"].as_object().unwrap();
        let errors: Vec<_> =
            responses.iter().filter(|(status, _)| *status >= &"400".to_owned()).collect();
        assert!(errors.len() >= 5, "{name}: {errors:?}");
        for (status, response) in errors {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
        }
    }
}

#[test]
fn all_but_registration_logging_in_and_keys_need_a_token() {
    for (name, operation) in operations(&document()) {
        let security = operation["security"].as_array();
        let anonymous =
            security.is_none_or(|all| all.iter().any(|one| one == &serde_json::json!({})));
        let open = ["create_user", "log_in", "refresh", "log_out", "read_keys"];
        let open = open.contains(&operation["operationId"].as_str().unwrap());
        assert_eq!(anonymous, open, "{name}");
    }
}

#[test]
fn parameters_are_named_and_described() {
    let document = document();
    assert!(document["paths"]["/users/{user_id}"].is_object());
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
    }
}

fn document() -> Value {
    let service = OpenApiService::new((UsersApi, AuthApi, SessionsApi, KeysApi), "test", "1");
    serde_json::from_str(&service.spec()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter().map(move |(method, operation)| (format!("{method} {path}"), operation.clone()))
    });
    all.collect()
}
