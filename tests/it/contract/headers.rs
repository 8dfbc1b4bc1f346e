//! The headers that every answer carries.

use std::collections::BTreeSet;

use chassis::http::quota::Rate;
use chassis::testing::Answer;
use uuid::Uuid;

use super::server_timing::ServerTiming;
use super::tour::{Stop, small_bodies, tour};
use crate::support::App;

/// After OWASP's Secure Headers Project.
const SECURITY: [(&str, &str); 7] = [
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What would tell an attacker which weaknesses to look for.
const UNWANTED: [&str; 4] = ["server", "x-powered-by", "via", "x-version"];

#[tokio::test]
async fn every_answer_carries_them_whatever_its_status() {
    let app = App::with(|settings| {
        small_bodies(settings);
        settings.rate_limit.enabled = true;
        settings.rate_limit.auth = Rate::per_minute(600);
    })
    .await;
    let stops = tour(&app).await;
    let statuses: BTreeSet<u16> = stops.iter().map(Stop::status).collect();
    let wanted = [200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 500];
    assert_eq!(statuses, BTreeSet::from(wanted));
    for stop in &stops {
        assert_common(&stop.name(), &stop.answer);
        assert_by_status(&stop.name(), &stop.answer);
        assert_budget(&stop.name(), &stop.answer);
    }
}

#[tokio::test]
async fn an_overloaded_service_answers_with_them_too() {
    let app = App::with(|settings| settings.server.max_in_flight = 0).await;
    let answer = app.client.get("/users/me").send().await;
    answer.problem(503);
    assert_common("GET /users/me", &answer);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn the_operators_endpoints_are_as_strict() {
    let app = App::start().await;
    for path in ["/livez", "/metrics", "/health", "/log-level"] {
        let answer = app.client.get(path).send().await;
        assert_strict(path, &answer);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(Uuid::parse_str(answer.header("x-request-id")).is_ok());
    }
}

#[tokio::test]
async fn strict_transport_security_is_for_clients_of_a_trusted_proxy_that_says_https() {
    let trusting = App::with(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let doubting = App::start().await;
    for (app, header, value, expected) in [
        (&trusting, "x-forwarded-proto", "https", true),
        (&trusting, "forwarded", "for=192.0.2.7;proto=https", true),
        (&trusting, "x-forwarded-proto", "http", false),
        (&trusting, "x-unrelated", "https", false),
        (&doubting, "x-forwarded-proto", "https", false),
    ] {
        for path in ["/", "/nowhere"] {
            let answer = app.client.get(path).header(header, value).send().await;
            let policy = if expected { "max-age=63072000; includeSubDomains" } else { "" };
            assert_eq!(answer.header("strict-transport-security"), policy, "{header}: {value}");
        }
    }
}

fn assert_common(name: &str, answer: &Answer) {
    assert_strict(name, answer);
    assert!(Uuid::parse_str(answer.header("x-request-id")).is_ok(), "{name}");
    ServerTiming::of(answer);
    assert!(!answer.headers.contains_key("strict-transport-security"), "{name}");
}

fn assert_strict(name: &str, answer: &Answer) {
    for (header, value) in SECURITY {
        assert_eq!(answer.header(header), value, "{name}: {header}");
        assert_eq!(answer.headers.get_all(header).iter().count(), 1, "{name}: {header}");
    }
    for header in UNWANTED {
        assert!(!answer.headers.contains_key(header), "{name}: {header}");
    }
}

/// What depends on the kind of answer.
fn assert_by_status(name: &str, answer: &Answer) {
    let status = answer.status.as_u16();
    let kept = match name {
        "GET /docs 200" | "GET /openapi.json 304" => "no-cache",
        "GET /.well-known/jwks.json 200" => "public, max-age=300",
        _ => "no-store",
    };
    assert_eq!(answer.header("cache-control"), kept, "{name}");
    if name != "GET /docs 200" {
        assert_eq!(answer.header("content-security-policy"), CONTENT_SECURITY_POLICY);
    }
    let has = |header: &str| answer.headers.contains_key(header);
    let allows = status == 405 || name.starts_with("OPTIONS");
    assert_eq!(has("allow"), allows, "{name}");
    assert_eq!(has("www-authenticate"), status == 401, "{name}");
    assert_eq!(has("location"), status == 201, "{name}");
    if status == 401 {
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{name}");
    }
    if status >= 400 {
        answer.problem(status);
    }
    if [204, 304].contains(&status) {
        assert!(answer.body.is_empty() && !has("content-type"), "{name}");
    }
}

fn assert_budget(name: &str, answer: &Answer) {
    for header in ["ratelimit-policy", "ratelimit"] {
        let field = answer.header(header);
        assert!(
            field.starts_with("\"default\";") || field.starts_with("\"auth\";"),
            "{name}: {header}"
        );
    }
}
