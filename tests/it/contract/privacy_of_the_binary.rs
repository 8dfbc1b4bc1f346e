//! Nothing that is secret or personal leaves the process, whatever it writes to: stdout, stderr, a
//! collector, a scrape. Beside `privacy`, which looks at the service from inside.

use belvedere::settings::Settings;
use chassis::settings::{Environ, known_keys};
use chassis::testing::{Client, Collector};
use poem::http::Method;
use serde_json::{Map, Value, json};

use crate::support::process::{Binary, signing_key};
use crate::support::{App, PASSWORD};

/// What stands in headers that carry secrets or name people.
const HEADERS: [(&str, &str); 8] = [
    ("authorization", "Bearer canary-access-token"),
    ("proxy-authorization", "Basic canary-proxy-password"),
    ("cookie", "session=canary-cookie"),
    ("x-api-key", "canary-api-key"),
    ("x-auth-token", "canary-auth-token"),
    ("referer", "https://example.org/?token=canary-referer"),
    ("from", "canary-from@example.org"),
    ("idempotency-key", "canary-idempotency"),
];

/// An operation of the document, with the bodies and parameters that it wants filled with canaries.
struct Operation {
    method: Method,
    target: String,
    bodies: Vec<(String, Value)>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let named = |place: &str| -> Vec<&str> {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let here = parameters.filter(|parameter| parameter["in"] == place);
                here.map(|parameter| parameter["name"].as_str().unwrap()).collect()
            };
            let mut target = path.clone();
            for name in named("path") {
                let id = "01a1fd8c-697b-7c1e-9d53-2b6f0a4e7d11";
                target = target.replace(&format!("{{{name}}}"), id);
            }
            target.push_str("?made=canary-query");
            for name in named("query") {
                target.extend(["&", name, "=canary-query"]);
            }
            let content = operation["requestBody"]["content"].as_object();
            let bodies = content.into_iter().flatten().flat_map(|(kind, body)| {
                [planted(document, &body["schema"]), json!(["canary-body"])]
                    .map(|body| (kind.clone(), body))
            });
            operations.push(Operation { method, target, bodies: bodies.collect() });
        }
    }
    operations
}

/// An object with a canary in each member that the schema has.
fn planted(document: &Value, schema: &Value) -> Value {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let members = schema["properties"].as_object().unwrap().keys();
    let planted = |name: &String| (name.clone(), Value::from(format!("canary-{name}@example.org")));
    Value::Object(members.map(planted).collect::<Map<_, _>>())
}

#[tokio::test]
async fn no_operation_of_the_document_tells_what_it_is_sent() {
    let app = App::with(|settings| settings.log.level = "trace".to_owned()).await;
    let admin = app.admin().await;
    let document = app.client.get("/openapi.json").send().await.expect(200).json();
    let operations = operations(&document);
    assert!(operations.len() >= 10, "the document has its operations");
    for Operation { method, target, bodies } in &operations {
        let none = [("text/plain".to_owned(), json!("canary-body"))];
        for (kind, body) in bodies.iter().chain(&none) {
            // A signed-in caller has a token of its own.
            for (client, headers) in [(&app.client, &HEADERS[..]), (&admin.client, &HEADERS[1..])] {
                let call = client.call(method.clone(), target).body(kind, body.to_string());
                let call =
                    headers.iter().fold(call, |call, (name, value)| call.header(name, value));
                let answer = call.send().await;
                if answer.status.as_u16() >= 400 {
                    let told = format!("{:?}{}", answer.headers, answer.text());
                    assert!(!told.contains("canary"), "{method} {target}: {told}");
                }
            }
        }
    }
    assert!(app.witness.lines().len() > operations.len());
    app.witness.assert_silent_about(&["canary"]);
}

#[tokio::test]
async fn the_process_and_its_collector_stay_silent() {
    let collector = Collector::start().await;
    let key = signing_key();
    let key_text = key.lines().nth(1).unwrap();
    let binary = Binary::with_database()
        .await
        .variable("APP_LOG__LEVEL", "trace")
        .variable("APP_OPS__TOKEN", "canary-ops-token")
        .variable("APP_PASSWORD__PEPPER", "canary-pepper")
        .variable("APP_AUTH__SIGNING_KEY", &key)
        .variable("APP_DATABASE__SLOW_QUERY", "0s")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary-otlp-header");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let email = "canary-email@example.org";
    let user = json!({
        "name": "Canary Name", "email": email, "password": PASSWORD,
        "phone_number": "+442071838752", "address": "Canary Postal 1"
    });
    let id = client.post("/users").json(&user).send().await.expect(201).json()["id"].clone();
    let _ = client.post("/users").json(&user).send().await.expect(409);
    let credentials = json!({ "email": email, "password": PASSWORD });
    let token = client.post("/auth/login").json(&credentials).send().await.expect(200).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let signed_in = client.with_token(&token);
    let path = format!("/users/{}?q=canary-query", id.as_str().unwrap());
    for (name, value) in &HEADERS[1..] {
        let _ = signed_in.get(&path).header(name, value).send().await.expect(200);
    }
    let change = json!({ "name": "Canary Other" });
    let _ = signed_in.patch(&path).json(&change).send().await.expect(200);
    let operator = client.with_token("canary-ops-token");
    let _ = operator.get("/log-level").send().await.expect(200);
    let _ = client.with_token("canary-wrong-token").get("/log-level").send().await.expect(401);
    let scraped = client.get("/metrics").send().await.expect(200).text()
        + &client.get("/health").send().await.expect(200).text();
    let end = process.stop().await.expect(0);
    assert!(collector.tells("PATCH /users/{user_id}"), "the spans came");
    assert!(collector.tells("db.duration_ms"), "the log records came");
    let secrets =
        ["anary", PASSWORD, "+442071838752", &token, key_text, "BEGIN PRIVATE KEY", "$argon2"];
    end.is_silent_about(&secrets);
    for secret in secrets {
        assert!(!collector.tells(secret), "a span tells {secret}");
        assert!(!scraped.contains(secret), "a scrape tells {secret}");
    }
}

#[tokio::test]
async fn no_secret_setting_shows_in_any_form_of_the_settings() {
    let secret: Vec<_> = known_keys::<Settings>().into_iter().filter(|key| key.secret).collect();
    assert!(secret.len() >= 4, "{secret:?}");
    let variables = secret.iter().map(|key| {
        let name = format!("APP_{}", key.name.to_uppercase().replace('.', "__"));
        (name.into(), "canary-of-a-setting".into())
    });
    let environ: Environ = variables.collect();
    // Some of them cannot be what they are set to; that error must not show them either.
    let told = match Settings::load(None, environ.clone()) {
        Ok(loaded) => format!("{:?} {}", loaded.settings, loaded.to_toml()),
        Err(error) => {
            assert!(!error.problems().is_empty());
            format!("{error} {error:?}")
        }
    };
    assert!(!told.contains("canary"), "{told}");
    let mut settings = Settings::default();
    settings.database.url = Some(chassis::settings::Secret::new("postgres://a:canary@b/c"));
    settings.ops.token = Some(chassis::settings::Secret::new("canary"));
    settings.password.pepper = Some(chassis::settings::Secret::new("canary"));
    settings.auth.signing_key = Some(chassis::settings::Secret::new("canary"));
    assert!(!format!("{settings:?} {environ:?}").contains("canary"));
}

#[tokio::test]
async fn a_start_that_fails_does_not_tell_the_password_of_the_database() {
    for url in [
        "postgres://canary-user:canary-password@127.0.0.1:1/users",
        "mysql://u:canary-password@127.0.0.1:1/a",
    ] {
        let binary = Binary::new()
            .variable("APP_DATABASE__URL", url)
            .variable("APP_DATABASE__CONNECT_TIMEOUT", "300ms")
            .variable("APP_LOG__LEVEL", "trace");
        for command in [
            &["serve"][..],
            &["migrate", "status"],
            &["users", "set-role", "canary-email@example.org", "admin"],
        ] {
            let end = binary.run(command).await.expect(1);
            end.is_silent_about(&["canary-password", "canary-email"]);
        }
    }
}
