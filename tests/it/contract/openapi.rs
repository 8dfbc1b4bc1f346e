//! The OpenAPI document: what clients are generated from. It is kept in the repository, so that a
//! change of the API is seen by whoever reviews it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use belvedere::app;
use chassis::problem::ProblemType;
use poem::http::StatusCode;
use serde_json::Value;

use super::tour::{small_bodies, tour};
use crate::support::App;

/// Any operation can fail so: the stack around it can.
const ALWAYS: [&str; 4] = ["406", "429", "500", "503"];

/// One operation of the document, with where it is.
struct Operation {
    name: String,
    path: String,
    body: Value,
}

#[test]
fn the_document_in_the_repository_is_what_the_service_says() {
    let printed = Command::new(env!("CARGO_BIN_EXE_belvedere")).arg("openapi").output().unwrap();
    assert!(printed.status.success());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let kept = std::fs::read(file).unwrap_or_default();
    assert!(
        kept == printed.stdout,
        "docs/openapi.json is not the present API. If the change is meant, renew it:\n\n    cargo run -- openapi > docs/openapi.json\n"
    );
}

#[test]
fn yaml_says_the_same_as_json() {
    let yaml: Value = serde_yaml::from_str(&app::document(None).unwrap().yaml).unwrap();
    assert_eq!(yaml, document());
}

#[test]
fn every_operation_is_described() {
    let mut ids = BTreeSet::new();
    for operation in operations() {
        let Operation { name, body, .. } = &operation;
        for member in ["summary", "description"] {
            let text = body[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {member}");
        }
        let id = body["operationId"].as_str().unwrap_or_default();
        let snake = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(!id.is_empty() && id.chars().all(snake), "{name}: {id}");
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert_eq!(body["tags"].as_array().map(Vec::len), Some(1), "{name}");
    }
}

#[test]
fn every_parameter_is_described_and_named_in_the_path_as_people_write_it() {
    for Operation { name, path, body } in operations() {
        assert!(!path.contains(':') && !path.contains("param"), "{path}");
        let parameters = body["parameters"].as_array().cloned().unwrap_or_default();
        let mut in_path = BTreeSet::new();
        for parameter in &parameters {
            let about = parameter["description"].as_str().unwrap_or_default();
            assert!(!about.is_empty(), "{name}: {parameter}");
            if parameter["in"] == "path" {
                in_path.insert(format!("{{{}}}", parameter["name"].as_str().unwrap()));
            }
        }
        let written = path.split('/').filter(|segment| segment.starts_with('{'));
        assert_eq!(written.map(str::to_owned).collect::<BTreeSet<_>>(), in_path, "{name}");
    }
}

#[test]
fn every_body_has_an_example() {
    for Operation { name, body, .. } in operations() {
        let requests = body["requestBody"]["content"].as_object().into_iter().flatten();
        let answers = responses(&body);
        let successes = answers.iter().filter(|(status, _)| status.starts_with('2'));
        let contents = successes.filter_map(|(_, answer)| answer["content"].as_object()).flatten();
        for (media_type, content) in requests.chain(contents) {
            let schema = resolve(&content["schema"]);
            let example = content.get("example").or_else(|| schema.get("example"));
            assert!(example.is_some(), "{name}: {media_type} {}", content["schema"]);
        }
    }
}

#[test]
fn every_failure_is_a_problem() {
    for Operation { name, body, .. } in operations() {
        let responses = responses(&body);
        for status in ALWAYS {
            assert!(responses.contains_key(status), "{name} leaves out {status}");
        }
        let failures = responses.iter().filter(|(status, _)| status.as_str() >= "400");
        for (status, response) in failures {
            let content = response["content"].as_object().unwrap();
            let media_types: Vec<&String> = content.keys().collect();
            assert_eq!(media_types, ["application/problem+json"], "{name} {status}");
            let schema = &content["application/problem+json"]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{name} {status}");
            let code: StatusCode = status.parse().unwrap();
            assert_eq!(ProblemType::for_status(code).status, code, "{name} {status}");
        }
    }
}

#[test]
fn operations_that_need_a_token_say_so() {
    assert_eq!(document()["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for Operation { name, body, .. } in operations() {
        let secured = body["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        let proves = ["POST /auth/login", "POST /auth/refresh"].contains(&name.as_str());
        assert_eq!(secured, responses(&body).contains_key("401") && !proves, "{name}");
    }
}

#[tokio::test]
async fn every_operation_answers_as_the_document_has_it() {
    let app = App::with(small_bodies).await;
    let operations = operations();
    let mut met = BTreeSet::new();
    for stop in tour(&app).await {
        let part = |key: &str| stop.line[key].as_str().unwrap_or_default();
        let name = format!("{} {}", part("http.request.method"), part("http.route"));
        let Some(operation) = operations.iter().find(|operation| operation.name == name) else {
            continue;
        };
        let responses = responses(&operation.body);
        let response = responses.get(stop.answer.status.as_str());
        let response = response.unwrap_or_else(|| panic!("undocumented: {}", stop.name()));
        assert_body(&stop.name(), response, &stop.answer);
        for (header, about) in response["headers"].as_object().into_iter().flatten() {
            let needed = about["required"] == true;
            assert!(
                !needed || stop.answer.headers.contains_key(header.as_str()),
                "{name} {header}"
            );
        }
        met.insert(name);
    }
    let missed: Vec<&String> =
        operations.iter().map(|o| &o.name).filter(|name| !met.contains(*name)).collect();
    assert!(missed.is_empty(), "the tour must visit {missed:?}");
}

/// The media type is documented, and the members of an object are those of its schema.
fn assert_body(name: &str, response: &Value, answer: &chassis::testing::Answer) {
    let media_type = answer.header("content-type");
    let Some(content) = response["content"].as_object().filter(|content| !content.is_empty())
    else {
        return assert_eq!(media_type, "", "{name}");
    };
    let schema = resolve(
        &content.get(media_type).unwrap_or_else(|| panic!("{name}: {media_type}"))["schema"],
    );
    let body = answer.json();
    let members = body.as_object().unwrap();
    let known = schema["properties"].as_object().unwrap();
    for member in members.keys() {
        assert!(known.contains_key(member), "{name}: undocumented {member}");
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(members.contains_key(required.as_str().unwrap()), "{name}: {required}");
    }
}

fn document() -> Value {
    serde_json::from_str(&app::document(None).unwrap().json).unwrap()
}

fn operations() -> Vec<Operation> {
    let document = document();
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, body)| Operation {
            name: format!("{} {path}", method.to_ascii_uppercase()),
            path: path.clone(),
            body: body.clone(),
        })
    });
    operations.collect()
}

fn responses(operation: &Value) -> BTreeMap<String, Value> {
    let responses = operation["responses"].as_object().unwrap().iter();
    responses.map(|(status, response)| (status.clone(), response.clone())).collect()
}

/// The schema itself, where this is a reference to it.
fn resolve(schema: &Value) -> Value {
    let document = document();
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.map_or_else(|| schema.clone(), |name| document["components"]["schemas"][name].clone())
}
