//! `belvedere config`

use std::fs;

use belvedere::settings::Settings;
use chassis::settings::{Environ, known_keys};

use crate::support::process::Binary;

#[tokio::test]
async fn every_key_is_shown_with_its_source() {
    let end = Binary::new().run(&["config"]).await.expect(0);
    for key in known_keys::<Settings>() {
        let name = key.name.rsplit('.').next().unwrap();
        let own = |line: &&str| line.trim_start_matches("# ").starts_with(&format!("{name} ="));
        let line = end.stdout.lines().find(own).unwrap_or_else(|| panic!("{}", key.name));
        let sources = ["  # default", "  # environment APP_"];
        assert!(sources.iter().any(|source| line.contains(source)), "{line}");
    }
}

#[tokio::test]
async fn what_is_shown_can_be_used_as_a_settings_file() {
    let binary = Binary::new()
        .variable("APP_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1")
        .variable("APP_SERVER__PUBLIC_URL", "https://users.example.org")
        .variable("APP_LOG__FILE", "a file with \"quotes\".log")
        .variable("APP_RATE_LIMIT__AUTH", "5/30s");
    let first = binary.run(&["config"]).await.expect(0).stdout;
    let file = binary.file("shown.toml", &first);
    let second =
        Binary::new().run(&["config", "--config", file.to_str().unwrap()]).await.expect(0).stdout;
    assert_eq!(values(&first), values(&second));
    let loaded = Settings::load(Some(file), Environ::default()).unwrap();
    assert_eq!(values(&loaded.to_toml()), values(&first));
}

#[tokio::test]
async fn secrets_are_redacted_wherever_they_come_from() {
    let binary = Binary::new()
        .in_production()
        .variable("DATABASE_URL", "postgres://belvedere:hunter2@db.example.org/users")
        .variable("APP_OPS__TOKEN", "hunter2")
        .variable("APP_PASSWORD__PEPPER_FILE", "pepper");
    binary.file("pepper", "hunter2\n");
    let end = binary.run(&["config"]).await.expect(0);
    end.is_silent_about(&["hunter2", "BEGIN PRIVATE KEY"]);
    for line in [
        "url = \"[redacted]\"  # environment DATABASE_URL",
        "token = \"[redacted]\"  # environment APP_OPS__TOKEN",
        "pepper = \"[redacted]\"  # environment APP_PASSWORD__PEPPER_FILE",
        "signing_key = \"[redacted]\"  # environment APP_AUTH__SIGNING_KEY_FILE",
    ] {
        assert!(end.stdout.contains(line), "{line} is not in\n{}", end.stdout);
    }
}

#[tokio::test]
async fn the_database_that_is_there_without_a_setting_is_no_unset_key() {
    let end = Binary::new().run(&["config"]).await.expect(0);
    let line = "# url = \"[redacted]\"  # default\n";
    assert!(end.stdout.contains(line), "{}", end.stdout);
}

#[tokio::test]
async fn showing_settings_touches_nothing() {
    let binary = Binary::new();
    binary.run(&["config"]).await.expect(0);
    assert_eq!(fs::read_dir(binary.path("")).unwrap().count(), 0);
}

/// What is set, without where it comes from.
fn values(toml: &str) -> Vec<&str> {
    let lines = toml.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split("  # ").next().unwrap()).collect()
}
