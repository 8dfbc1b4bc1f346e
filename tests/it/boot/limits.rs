//! Values that can be read but cannot work: refused before anything starts, with what is allowed.

use crate::support::process::Binary;

/// Settings and what is said of the key that they set.
const REFUSED: [(&str, &str, &str); 32] = [
    ("server.max_in_flight", "0", "at least 1"),
    ("server.max_connections", "0", "at least 1"),
    ("server.request_timeout", "\"0s\"", "longer than nothing"),
    ("server.header_read_timeout", "\"0s\"", "longer than nothing"),
    ("server.body_limit", "\"0B\"", "at least 1 byte"),
    ("server.public_url", "\"users.example.com\"", "an http or https URL without query"),
    ("server.public_url", "\"ftp://example.com\"", "an http or https URL without query"),
    ("server.public_url", "\"https://example.com/?page=1\"", "an http or https URL without query"),
    ("server.public_url", "\"https://example.com/#top\"", "an http or https URL without query"),
    ("server.public_url", "\"https://exa mple.com\"", "an http or https URL without query"),
    ("server.cors_allowed_origins", "[\"*\"]", "exact origins"),
    ("server.cors_allowed_origins", "[\"app.example.com\"]", "exact origins"),
    ("server.cors_allowed_origins", "[\"https://app.example.com/\"]", "exact origins"),
    ("server.cors_allowed_origins", "[\"https://App.example.com\"]", "exact origins"),
    ("server.cors_allowed_origins", "[\"https://app.example.com?a\"]", "exact origins"),
    ("server.cors_allowed_origins", "[\"https://a.example\", \"null\"]", "exact origins"),
    (
        "server.public_url",
        "\"https://ada:hunter2@example.com\"",
        "an http or https URL without query",
    ),
    ("server.cors_allowed_origins", "[\"https://ada:hunter2@example.com\"]", "exact origins"),
    ("rate_limit.default", "\"1/366d\"", "a rate such as \"600/1m\""),
    ("database.max_connections", "0", "1 to 10000"),
    ("database.max_connections", "10001", "1 to 10000"),
    ("password.memory_kib", "4194305", "at most 4194304 (4 GiB)"),
    ("database.acquire_timeout", "\"0s\"", "more than 0s"),
    ("password.iterations", "0", "at least 1"),
    ("password.parallelism", "0", "1 to 524288"),
    ("password.max_concurrent", "0", "1 to "),
    ("password.max_length", "4097", "at most 4096"),
    ("auth.issuer", "\"\"", "a text that is not empty"),
    ("auth.previous_keys", "[\"hunter2\"]", "Ed25519 keys in PEM"),
    ("auth.session_ttl", "\"366d\"", "1s to 365d"),
    ("auth.refresh_ttl", "\"366d\"", "1s to 365d"),
    ("auth.refresh_grace", "\"2m\"", "at most 1m"),
];
const TAKEN: [(&str, &str); 9] = [
    ("server.public_url", "\"http://users.example.com\""),
    ("server.public_url", "\"https://example.com:8443/users/v1\""),
    ("server.cors_allowed_origins", "[\"https://app.example.com\", \"http://localhost:3000\"]"),
    ("server.body_limit", "\"1B\""),
    ("auth.refresh_ttl", "\"365d\""),
    ("auth.session_ttl", "\"365d\""),
    ("auth.session_ttl", "\"1s\""),
    ("database.max_connections", "10000"),
    ("rate_limit.default", "\"1/365d\""),
];

#[tokio::test]
async fn a_value_that_cannot_work_is_refused_with_what_is_allowed() {
    // Else the cheap hashes of tests would be in force.
    let binary = Binary::new()
        .variable("APP_PASSWORD__ITERATIONS", "")
        .variable("APP_PASSWORD__MEMORY_KIB", "");
    for (key, value, allowed) in REFUSED {
        let file = binary.file("settings.toml", &format!("{key} = {value}\n"));
        let end = binary.run(&["config", "--config", file.to_str().unwrap()]).await;
        assert_eq!(end.code, Some(2), "{key} = {value}: {end:?}");
        end.complains_of(&["1 problem", &format!("{key}: expected {allowed}"), "line 1"]);
        end.is_silent_about(&["hunter2"]);
    }
}

#[tokio::test]
async fn a_value_at_the_edge_of_what_is_allowed_is_taken() {
    let binary = Binary::new();
    for (key, value) in TAKEN {
        let file = binary.file("settings.toml", &format!("{key} = {value}\n"));
        let end = binary.run(&["config", "--config", file.to_str().unwrap()]).await;
        assert_eq!(end.code, Some(0), "{key} = {value}: {end:?}");
    }
}
