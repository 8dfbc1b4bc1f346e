//! Settings that cannot be used: exit code 2, and every problem at once.

use crate::support::process::{Binary, End};

/// Runs with this settings file, which must be refused.
async fn refuse(binary: &Binary, settings: &str) -> End {
    let file = binary.file("settings.toml", settings);
    let end = binary.run(&["--config", file.to_str().unwrap()]).await.expect(2);
    assert_eq!(end.stdout, "", "nothing was started");
    end
}

#[tokio::test]
async fn a_settings_file_that_cannot_be_read_is_named() {
    let binary = Binary::new();
    let missing = binary.path("missing.toml");
    for (path, cause) in [(missing.to_str().unwrap(), "No such file"), (".", "Is a directory")] {
        let end = binary.run(&["--config", path]).await.expect(2);
        end.complains_of(&[path, "cannot be read", cause]);
    }
}

#[tokio::test]
async fn a_mistake_in_the_syntax_is_located_and_the_text_not_repeated() {
    let binary = Binary::new();
    let end = refuse(&binary, "environment = \"production\"\n[database]\nurl = hunter2\n").await;
    end.complains_of(&["settings.toml, line 3", "not TOML at column 7"]);
    end.is_silent_about(&["hunter2"]);
}

#[tokio::test]
async fn every_problem_of_every_source_is_listed_at_once() {
    let binary = Binary::new()
        .variable("APP_SERVER__BODY_LIMIT", "much")
        .variable("APP_SERVER_ADDR", "127.0.0.1:80")
        .variable("RUST_LOG", "=,=");
    let settings = "
[server]
requst_timeout = \"5s\"
max_in_flight = \"many\"
max_connections = 0
[database]
scheme = \"oracle\"
[auth]
access_ttl = \"2d\"
[password]
min_length = 300
";
    let end = refuse(&binary, settings).await;
    end.complains_of(&[
        "9 problems in the settings",
        "server.requst_timeout: unknown key; the nearest known key is `server.request_timeout`",
        "settings.toml, line 3",
        "server.max_in_flight: expected a whole number",
        "got \"many\"",
        "server.max_connections: expected at least 1, got 0",
        "database.scheme: expected sqlite, postgres or mysql",
        "auth.access_ttl: expected 1s to 24h, got \"2d\"",
        "password.min_length: expected 1 to password.max_length, got 300",
        "server.body_limit: expected a size such as \"1MiB\", got \"much\" (environment APP_SERVER__BODY_LIMIT)",
        "unknown key; the nearest known key is `server.addr`, APP_SERVER__ADDR (environment APP_SERVER_ADDR)",
        "log.level: expected",
        "environment RUST_LOG",
    ]);
}

#[tokio::test]
async fn a_mistyped_log_level_does_not_silence_the_service() {
    let binary = Binary::new().variable("RUST_LOG", "inof");
    refuse(&binary, "").await.complains_of(&[
        "log.level: expected a level (off, error, warn, info, debug, trace)",
        "got \"inof\"; `inof` is no level, the nearest is `info` (environment RUST_LOG)",
    ]);
}

#[tokio::test]
async fn an_environment_that_is_none_is_the_only_problem_with_it() {
    let binary = Binary::new()
        .variable("APP_ENVIRONMENT", "prod")
        .variable("APP_SERVER__ADDR", "0.0.0.0:0")
        .variable("APP_OPS__ADDR", "0.0.0.0:0");
    let end = refuse(&binary, "").await;
    end.complains_of(&[
        "1 problem",
        "environment: expected one of \"development\", \"production\"",
    ]);
}

#[tokio::test]
async fn a_password_in_a_url_is_not_repeated() {
    let binary = Binary::new();
    let settings =
        "auth.oidc_issuer = \"https://ada:hunter2@id.example.com/?x\"\nauth.mode = \"oidc\"
server.cors_allowed_origins = [\"https://a.example\", \"https://ada:hun/ter2@b.example\"]\n";
    let end = refuse(&binary, settings).await;
    end.complains_of(&["https://[redacted]@id.example.com/?x", "https://[redacted]@b.example"]);
    end.is_silent_about(&["hunter2", "ter2"]);
    let url = "http://ada:hunter2@127.0.0.1:1";
    let end = binary.run(&["health", "--url", url]).await.expect(1);
    end.complains_of(&["cannot reach http://[redacted]@127.0.0.1:1"]);
    end.is_silent_about(&["hunter2"]);
}

#[tokio::test]
async fn development_listens_on_this_machine_alone() {
    let binary = Binary::new().variable("APP_OPS__ADDR", "[::]:0");
    let binary = binary.variable("APP_SERVER__ADDR", "0.0.0.0:0");
    let end = binary.run(&["serve"]).await.expect(2);
    end.complains_of(&[
        "server.addr: expected a loopback address",
        "ops.addr: expected a loopback address",
    ]);
}

#[tokio::test]
async fn a_secret_is_in_no_complaint() {
    let binary = Binary::new()
        .variable("DATABASE_URL", "oracle://belvedere:hunter2@db/users")
        .variable("APP_DATABASE__PASSWORD", "hunter2")
        .variable("APP_AUTH__SIGNING_KEY", "hunter2")
        .variable("APP_OPS__TOKEN_FILE", "hunter2");
    let end = refuse(&binary, "[password]\npepper = [\"hunter2\"]\n").await;
    end.complains_of(&["database.url", "auth.signing_key", "ops.token", "password.pepper"]);
    end.is_silent_about(&["hunter2"]);
}

#[tokio::test]
async fn a_database_is_described_by_its_url_or_by_its_parts() {
    let parts = Binary::new()
        .variable("APP_DATABASE__SCHEME", "postgres")
        .variable("APP_DATABASE__HOST", "db.example.org");
    parts.run(&["config"]).await.expect(0);
    let both = parts.variable("DATABASE_URL", "sqlite::memory:");
    both.run(&["config"]).await.expect(2).complains_of(&["database.url: expected either a URL or"]);
}

#[tokio::test]
async fn every_command_that_needs_settings_refuses_bad_ones() {
    let binary = Binary::new().variable("APP_NONSENSE", "1");
    for command in [
        &["serve"][..],
        &["config"],
        &["openapi"],
        &["migrate", "status"],
        &["users", "set-role", "ada@example.org", "admin"],
    ] {
        let end = binary.run(command).await.expect(2);
        end.complains_of(&["1 problem in the settings", "APP_NONSENSE"]);
    }
}

#[tokio::test]
async fn the_document_names_no_server_that_the_service_would_refuse() {
    let binary = Binary::new().variable("APP_SERVER__PUBLIC_URL", "users.example.com");
    for command in ["serve", "openapi"] {
        let end = binary.run(&[command]).await.expect(2);
        end.complains_of(&["1 problem in the settings", "server.public_url"]);
    }
}
